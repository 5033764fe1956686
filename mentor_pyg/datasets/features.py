"""Reading and validation of item features, ``<stem>_feat.npy``."""

import os
from pathlib import Path

import numpy as np
from torch.nn import Identity, ModuleDict

from mentor_pyg._util.files import check_file
from mentor_pyg.datasets.arrays import open_array
from mentor_pyg.errors import InputError, shown

MODALITY_NAMES = {"image": "visual", "text": "textual", "audio": "acoustic"}
"""Names of modalities by file name."""

IDS = "one id per line"
SUFFIX, MASK_SUFFIX, IDS_SUFFIX = "_feat.npy", "_mask.npy", "_ids.txt"


def find_features(root: Path) -> dict[str, Path]:
    """Feature files of a folder by modality, sorted by file name."""
    found: dict[str, Path] = {}
    for path in sorted(root.glob(f"*{SUFFIX}")):
        stem = path.name.removesuffix(SUFFIX)
        modality = MODALITY_NAMES.get(stem, stem)
        if modality in found:
            raise InputError(
                f"{root}: {found[modality].name} and {path.name} are both of modality "
                f"'{modality}'; expected one"
            )
        found[modality] = path
    return found


def check_modality(name: str, where: Path | str) -> None:
    """Raises an InputError unless models can have a submodule with this name."""
    try:
        ModuleDict({name: Identity()})
    except KeyError as error:
        raise InputError(
            f"{where}: is of modality '{name}', which PyTorch refuses as a name "
            f"({error.args[0]}); expected a name like 'visual'"
        ) from None


def mask_path(feature_path: Path) -> Path:
    """Path of the mask of a feature file."""
    return feature_path.with_name(feature_path.name.removesuffix(SUFFIX) + MASK_SUFFIX)


def read_features(path: Path, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [I, D_m], float32, and mask [I], False where an item has none.

    Masked rows are set to zero.

    Raises:
        InputError: If a file is damaged, or does not fit the interactions.
    """
    x = open_array(path)
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputError(
            f"{path}: has shape {list(x.shape)}; expected [items, features] = [{num_items}, *]"
        )
    if not np.issubdtype(x.dtype, np.floating):
        raise InputError(f"{path}: has dtype {x.dtype}; expected float16, float32 or float64")
    if x.shape[0] != num_items:
        raise InputError(
            f"{path}: has {x.shape[0]} rows; expected one for each of {num_items} items"
        )
    mask = _read_mask(mask_path(path), num_items)
    with np.errstate(over="ignore"):
        x = np.array(x, dtype=np.float32, order="C")
    x[~mask] = 0
    broken = ~np.isfinite(x)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise InputError(
            f"{path}: row {row}, column {column} is {x[row, column]}; "
            "expected finite numbers (mark missing items in a mask)"
        )
    return x, mask


def _read_mask(path: Path, num_items: int) -> np.ndarray:
    if not os.path.lexists(path):
        return np.ones(num_items, dtype=bool)
    mask = np.array(open_array(path))
    if mask.dtype != np.bool_ or mask.shape != (num_items,):
        raise InputError(
            f"{path}: has dtype {mask.dtype} and shape {list(mask.shape)}; "
            f"expected bool, [{num_items}]"
        )
    if not mask.any():
        raise InputError(f"{path}: marks every item as missing; expected at least one present")
    return mask


def read_ids(path: Path) -> list[str] | None:
    """Original IDs in the order of rows, one per line, stripped of blanks; None if there is no
    such file.

    Raises:
        FileNotFoundError: If it is a broken link.
        InputError: If it cannot be read, or has a blank line or a repeated ID.
    """
    if not os.path.lexists(path):
        return None
    check_file(path, IDS)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} isn't UTF-8; expected a text file") from None
    # `splitlines` would also split at characters that do not end lines in tables.
    ids = [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []
    seen: dict[str, int] = {}
    for line, label in enumerate(ids, 1):
        if not label:
            raise InputError(f"{path}: line {line} is blank; expected {IDS}")
        if label in seen:
            raise InputError(
                f"{path}: line {line} repeats {shown(label)} of line {seen[label]}; "
                "expected each id once"
            )
        seen[label] = line
    return ids
