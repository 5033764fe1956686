"""The layout of MMSSL's data: three JSON files of given splits, and features."""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mentor_pyg._util.files import check_file
from mentor_pyg.choices import SPLITS
from mentor_pyg.datasets.problems import BadValue, Problems
from mentor_pyg.datasets.row_numbers import is_integer
from mentor_pyg.errors import InputError, reason, shown
from mentor_pyg.options import checked
from mentor_pyg.preparation.given_splits import SplitFolder, SplitPairs
from mentor_pyg.preparation.records import load_json


@checked
@dataclass(frozen=True)
class MMSSLFolder(SplitFolder):
    """``train.json``, ``val.json`` and ``test.json``, each ``{"user": [item, ...], ...}``.

    Users and items are row numbers. Splits and numbers are kept as they are.
    """

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"{name}.json" for name in SPLITS]

    def _read_split(self, path: Path, problems: Problems) -> SplitPairs:
        user, item = array("q"), array("q")
        for name, items in _load(path).items():
            where = f"{path}: user '{name}'"
            if (row := _row(name)) is None:
                problems.add(where, BadValue("user isn't a row", "isn't a row", "a row number"))
            elif not isinstance(items, list):
                bad = BadValue("items aren't a list", f"has {shown(items)}", "a list of items")
                problems.add(where, bad)
            else:
                for one in items:
                    if type(one) is not int or _row(str(one)) is None:
                        found = f"has item {shown(one)}"
                        problems.add(where, BadValue("item isn't a row", found, "a row number"))
                    else:
                        user.append(row)
                        item.append(one)
        return SplitPairs(np.array([user, item], dtype=np.int64))


def _row(text: str) -> int | None:
    """A row number of reasonable length."""
    return int(text) if is_integer(text) and text.isdecimal() and len(text) < 10 else None


def _load(path: Path) -> dict[str, Any]:
    check_file(path)
    try:
        content = load_json(path.read_bytes())
    except BadValue as bad:
        raise InputError(f"{path}: {bad.found}; expected {bad.expected}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: isn't JSON ({reason(error)}); expected a dict of lists"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: is a {type(content).__name__}; expected a dict of lists")
    return content
