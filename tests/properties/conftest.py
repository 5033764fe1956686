"""How many examples there are: few, and always the same ones, unless MENTOR_PYG_EXAMPLES says how
many random ones are drawn for each property."""

import os

from hypothesis import settings

settings.register_profile("quick", derandomize=True, database=None, deadline=None, max_examples=25)
settings.register_profile(
    "long",
    deadline=None,
    print_blob=True,
    max_examples=int(os.environ.get("MENTOR_PYG_EXAMPLES", "1000")),
)
settings.load_profile("long" if "MENTOR_PYG_EXAMPLES" in os.environ else "quick")
