"""Given splits as sparse matrices or as arrays of row numbers; nothing is ever unpickled."""

import math
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import load_npz

from mentor_pyg._util.files import check_file
from mentor_pyg.datasets.arrays import open_array
from mentor_pyg.datasets.problems import Problems
from mentor_pyg.errors import InputError, reason
from mentor_pyg.options import checked
from mentor_pyg.preparation.given_splits import SplitFolder, SplitPairs
from mentor_pyg.preparation.mmssl import MMSSLFolder

NAMES = (("trnMat", "valMat", "tstMat"), ("train_mat", "val_mat", "test_mat"))
"""Of the matrices of DiffMM and of MMSSL."""

PICKLES = (".pkl", ".pickle", "")
"""Endings under which these matrices are published."""

EXPECTED = "a sparse matrix that scipy.sparse.save_npz wrote"
INDICES = ("indices.npy", "indptr.npy", "row.npy", "col.npy")


@checked
@dataclass(frozen=True)
class MatrixFolder(SplitFolder):
    """``trnMat.npz``, ``valMat.npz`` and ``tstMat.npz``, matrices [U, I] of SciPy.

    ``train_mat.npz``, ``val_mat.npz`` and ``test_mat.npz`` are read, too. An entry other than
    zero is a pair. DiffMM and MMSSL publish these matrices as pickles, which aren't read since
    they can run any code; :func:`scipy.sparse.save_npz` converts them.
    """

    @property
    def files(self) -> list[Path]:
        choices = [[self.folder / f"{name}.npz" for name in names] for names in NAMES]
        return next((files for files in choices if any(map(Path.exists, files))), choices[0])

    def _read_split(self, path: Path, problems: Problems) -> SplitPairs:
        matrix = _load(path)
        if matrix.data.dtype.kind not in "biuf" or not np.isfinite(matrix.data).all():
            raise InputError(f"{path}: has entries that are no finite numbers; expected 0 and 1")
        is_pair = matrix.data != 0
        rows = np.stack([matrix.row[is_pair], matrix.col[is_pair]]).astype(np.int64)
        num_users, num_items = matrix.shape
        return SplitPairs(rows, (int(num_users), int(num_items)))

    def pickles(self) -> list[Path]:
        """Pickles in the folder of which there is no ``.npz``."""
        return [
            path
            for names in NAMES
            for name in names
            if not (self.folder / f"{name}.npz").exists()
            for path in (self.folder / f"{name}{ending}" for ending in PICKLES)
            if path.is_file()
        ]


@checked
@dataclass(frozen=True)
class ArrayFolder(SplitFolder):
    """``train.npy``, ``valid.npy`` and ``test.npy``, integers [2, n]: users above items."""

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"{name}.npy" for name in ("train", "valid", "test")]

    def _read_split(self, path: Path, problems: Problems) -> SplitPairs:
        rows = open_array(path)
        if rows.dtype.kind not in "iu" or rows.ndim != 2 or len(rows) != 2:
            raise InputError(
                f"{path}: is {rows.dtype}, {list(rows.shape)}; expected integers of shape "
                "[2, pairs]"
            )
        if rows.size and (rows.min() < 0 or rows.max() >= 10**9):
            outside = rows.min() if rows.min() < 0 else rows.max()
            raise InputError(f"{path}: has row {outside}; expected 0 or more, below 1e9")
        return SplitPairs(rows.astype(np.int64))


@checked
def find_splits(folder: Path) -> SplitFolder | None:
    """Reads which layout of given splits a folder has, if any.

    Raises:
        InputError: If it has several, or pickles in place of a matrix.
    """
    sources: list[SplitFolder] = [MMSSLFolder(folder), MatrixFolder(folder), ArrayFolder(folder)]
    found = [source for source in sources if any(path.exists() for path in source.files)]
    if len(found) > 1:
        names = " and ".join(source.files[0].name for source in found)
        raise InputError(f"{folder}: has splits as {names}; expected them in one format")
    pickles = MatrixFolder(folder).pickles()
    if pickles and (not found or isinstance(found[0], MatrixFolder)):
        raise InputError(
            f"{pickles[0]}: is a pickle, which isn't read since it can run any code; expected "
            f"{pickles[0].name.split('.')[0]}.npz, see 'Pickles' in docs/datasets.md"
        )
    return found[0] if found else None


def _load(path: Path) -> Any:
    """A matrix of coordinates.

    Nothing is allocated before the headers of all arrays agree with the archive.
    """
    check_file(path, EXPECTED)
    try:
        with warnings.catch_warnings():  # of headers that Python 2 wrote
            warnings.simplefilter("ignore")
            _check_members(path)
            matrix = load_npz(path)
            if matrix.ndim != 2 or matrix.format not in ("csr", "csc", "coo"):
                raise ValueError(f"it is of format {matrix.format}")
            if matrix.format != "coo":  # whose constructor checks everything
                matrix.check_format(full_check=True)
            return matrix.tocoo()
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib, NumPy and SciPy raise many types
        raise InputError(f"{path}: can't be read ({reason(error)}); expected {EXPECTED}") from None


def _check_members(path: Path) -> None:
    """Raises a ValueError if an array is incomplete, or isn't of the right kind."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = read(file)
                size = file.tell() + math.prod(shape) * dtype.itemsize
            if dtype.hasobject:
                raise ValueError(f"{info.filename} holds Python objects")
            if size != info.file_size:
                raise ValueError(f"{info.filename} isn't complete")
            if info.filename in INDICES and dtype.kind not in "iu":
                raise ValueError(f"{info.filename} holds {dtype}")
