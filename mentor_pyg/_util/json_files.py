"""Files of JSON, as strict as their readers need them."""

import json
import math
from pathlib import Path
from typing import Any

from mentor_pyg._util.files import check_file, write_text
from mentor_pyg.errors import InputError, reason, shown


def write_json(path: Path | str, content: Any) -> None:
    """Writes a whole file of JSON at once, or nothing."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, expected: str) -> Any:
    """What a file of JSON holds: finite numbers, valid text, and each key once.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it holds something else.
    """
    check_file(path, expected)
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: isn't valid JSON ({reason(error)}); expected {expected}"
        ) from None


def parse_json(text: str) -> Any:
    """The content of a text in JSON.

    Raises:
        ValueError: If it isn't JSON, or has a number that isn't finite, a key twice in an
            object, text that isn't Unicode, or too many levels.
    """
    try:
        content = json.loads(
            text, object_pairs_hook=without_repeats, parse_constant=_finite, parse_float=_finite
        )
        json.dumps(content, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return content


class RepeatedKey(ValueError):
    """An object of JSON has a key twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {shown(key)} is there twice")
        self.key = key


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, for ``object_pairs_hook``.

    Raises:
        RepeatedKey: If a key is there twice, of which Python would drop one.
    """
    content = dict(pairs)
    for key in content if len(content) < len(pairs) else ():
        if sum(key == other for other, _ in pairs) > 1:
            raise RepeatedKey(key)
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} isn't a finite number")
    return value
