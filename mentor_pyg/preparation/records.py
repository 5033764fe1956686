"""Reads JSON and Python literals strictly: a repeated key is an error, and nothing is run."""

import ast
import json
import warnings
from collections.abc import Iterator
from typing import Any

from mentor_pyg.errors import shown
from mentor_pyg.preparation.problems import BadValue


def parse_json(content: str | bytes) -> Any:
    """What JSON says, if it says it once.

    Raises:
        BadValue: If an object has a key twice, of which one would be dropped.
        ValueError: If it isn't JSON.
        RecursionError: If it is nested too deeply.
    """
    return json.loads(content, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        _check_keys([key for key, _ in pairs])
    return record


def _check_keys(keys: list[Any]) -> None:
    for position, key in enumerate(keys):
        if key in keys[:position]:
            raise BadValue("repeated key", f"has {shown(key)} twice", "each key once")


def parse_record(line: str) -> dict[str, Any]:
    """The dict that a line holds as JSON or as a Python literal; nothing of it is run.

    Raises:
        BadValue: If it is neither, or has a key twice.
    """
    try:
        record = parse_json(line)
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
        _check_keys([ast.literal_eval(key) for key in node.keys if key is not None])
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
