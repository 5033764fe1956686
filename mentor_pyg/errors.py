"""The one exception for mistakes of the user's."""


class InputError(ValueError):
    """A file, option or value from outside that can't be used.

    The message is one line that says where, what was found and what was expected;
    command-line programs print it and exit with code 2.
    """


def reason(error: Exception) -> str:
    """The first line of what an exception says; its type if it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
