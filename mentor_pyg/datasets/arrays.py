"""Safe reading of ``.npy`` files."""

import zipfile
from pathlib import Path

import numpy as np

from mentor_pyg._util.files import check_file
from mentor_pyg.errors import InputError, reason

EXPECTED = "a .npy array of numbers"


def open_array(path: Path) -> np.ndarray:
    """Opens a ``.npy`` file of any version, memory-mapped and read-only.

    Nothing is unpickled, and nothing is allocated before the header agrees with the file size.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it is not a complete array, or is followed by other data.
    """
    check_file(path, EXPECTED)
    with open(path, "rb") as file:
        is_array = file.read(6) == b"\x93NUMPY"
    if not is_array and zipfile.is_zipfile(path):
        raise InputError(f"{path}: is an archive of arrays; expected a single .npy array")
    try:
        if not is_array:  # NumPy would try to unpickle it
            raise ValueError("it isn't in NumPy's format; a pickle, perhaps")
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        rest = path.stat().st_size - array.offset - array.nbytes
        if rest > 0:
            raise ValueError(f"{rest} bytes follow its end")
    except Exception as error:  # NumPy raises many types for broken files
        found = reason(error)
        if "Python objects" in found:
            found = "Object arrays cannot be loaded"
        raise InputError(
            f"{path}: can't be read ({found}); expected a complete .npy array of numbers"
        ) from None
    return array
