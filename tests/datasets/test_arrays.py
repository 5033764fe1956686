import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.datasets.arrays import open_array
from mentor_pyg.datasets.features import read_features, read_ids

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image_feat.npy"


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format(path, version):
    with open(path, "wb") as file:
        np.lib.format.write_array(file, X, version)
    assert np.array_equal(open_array(path), X)


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f8", ">f8", np.longdouble])
@pytest.mark.parametrize("order", "CF")
def test_kinds_of_floats(path, dtype, order):
    np.save(path, np.asarray(X, dtype=dtype, order=order))
    x, mask = read_features(path, 2)
    assert type(x) is np.ndarray
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert np.array_equal(x, X)
    assert mask.all()


@pytest.mark.parametrize("dtype", ["i4", "?", "c8", "U3", [("a", "f4"), ("b", "f4")]])
def test_no_floats(path, dtype):
    np.save(path, np.zeros((2, 3), dtype=dtype))
    with pytest.raises(InputError, match=r"image_feat\.npy: has dtype .*; expected float16"):
        read_features(path, 2)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3, 1), (2, 0), (0, 3), (3, 3)])
def test_shapes(path, shape):
    np.save(path, np.zeros(shape, dtype=np.float32))
    with pytest.raises(InputError, match=r"image_feat\.npy: has .*; expected "):
        read_features(path, 2)


def test_more_after_the_end(path):
    with open(path, "wb") as file:
        np.save(file, X)
        np.save(file, X)
    with pytest.raises(InputError, match="152 bytes follow its end"):
        open_array(path)


def test_header_of_a_huge_array_allocates_nothing(path):
    np.save(path, X)
    path.write_bytes(path.read_bytes().replace(b"(2, 3), }", b"(90000000, 3), }"))
    with pytest.raises(InputError, match=r"can't be read \(.*\); expected a complete"):
        open_array(path)


@pytest.mark.parametrize(
    "content",
    [pickle.dumps([1.0]), b"some text", b"", np.array([None, "a"])],
    ids=["pickle", "text", "nothing", "objects"],
)
def test_nobody_is_told_to_unpickle(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(InputError, match=r"can't be read \(.*\); expected a complete") as error:
        open_array(path)
    assert "allow_pickle" not in str(error.value)


@pytest.mark.parametrize("read", [open_array, read_ids])
def test_pipe_is_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe: is a pipe; expected "):
        read(tmp_path / "pipe")


def test_device_is_refused_at_once():
    with pytest.raises(InputError, match=r"/dev/zero: is a device; expected one id per line"):
        read_ids(Path("/dev/zero"))


# Lists of ids ###########################################################


def test_ids_end_with_their_lines_alone(tmp_path):
    """Tables take neither of these characters for the end of a line."""
    labels = ["a\x0bb", "c\x1cd", "e\u0085f", "g\u2028h"]
    path = tmp_path / "item_ids.txt"
    path.write_text("".join(f" {label}\t\n" for label in labels), encoding="utf-8", newline="")
    assert read_ids(path) == labels


def test_link_to_nothing_is_not_ignored(tmp_path):
    np.save(tmp_path / "image_feat.npy", X)
    for name in ("image_mask.npy", "item_ids.txt"):
        (tmp_path / name).symlink_to(tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match=r"image_mask\.npy: not found"):
        read_features(tmp_path / "image_feat.npy", 2)
    with pytest.raises(FileNotFoundError, match=r"item_ids\.txt: not found"):
        read_ids(tmp_path / "item_ids.txt")
