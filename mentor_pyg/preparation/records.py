"""Reads JSON and Python literals strictly: a repeated key is an error, and nothing is run."""

import ast
import json
import warnings
from collections.abc import Iterator
from typing import Any

from mentor_pyg._util.json_files import RepeatedKey, without_repeats
from mentor_pyg.datasets.problems import BadValue
from mentor_pyg.errors import shown


def load_json(content: str | bytes) -> Any:
    """What JSON says, if it says it once.

    Raises:
        BadValue: If an object has a key twice, of which one would be dropped.
        ValueError: If it isn't JSON.
        RecursionError: If it is nested too deeply.
    """
    try:
        return json.loads(content, object_pairs_hook=without_repeats)
    except RepeatedKey as error:
        raise _repeated(error.key) from None


def _repeated(key: Any) -> BadValue:
    return BadValue("repeated key", f"has {shown(key)} twice", "each key once")


def parse_record(line: str) -> dict[str, Any]:
    """The dict that a line holds as JSON or as a Python literal; nothing of it is run.

    Raises:
        BadValue: If it is neither, or has a key twice.
    """
    try:
        record = load_json(line)
    except BadValue:
        raise
    except (ValueError, RecursionError):
        record = _parse_literal(line.strip())
    if not isinstance(record, dict):
        raise BadValue("not a dict", f"is {shown(record)}", "a dict, one in each line")
    return record


def _parse_literal(line: str) -> Any:
    try:
        with warnings.catch_warnings():  # of escapes such as \d
            warnings.simplefilter("ignore")
            tree = ast.parse(line, mode="eval")
            record = ast.literal_eval(tree)
            dicts = list(_dicts(tree.body))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise BadValue(
            "neither JSON nor a literal", f"is {shown(line)}", "a JSON or literal dict in a line"
        ) from None
    for node in dicts:
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        if twice := [key for n, key in enumerate(keys) if key in keys[:n]]:
            raise _repeated(twice[0])
    return record


def _dicts(node: ast.AST) -> Iterator[ast.Dict]:
    """All dicts of a literal, however deep; :func:`ast.walk` goes through every single text."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Dict):
            yield node
            waiting += node.values
        elif isinstance(node, ast.List | ast.Tuple):
            waiting += [part for part in node.elts if not isinstance(part, ast.Constant)]
