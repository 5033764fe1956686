import io
import pickle
import random
import resource
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch._utils import _rebuild_tensor_v2

from mentor_pyg import InputError
from mentor_pyg._util.cache import CACHE
from mentor_pyg._util.formats import Kind
from mentor_pyg._util.tensor_files import load_tensors, load_torch, save_tensors

CONTENT = {"a": torch.arange(64.0).view(8, 8), "b": [1, "x", None], "c": {"d": torch.ones(3)}}


def plain(content):
    return {"a": content["a"].tolist(), "b": content["b"], "c": content["c"]["d"].tolist()}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x.pt"
    save_tensors(CONTENT, path, CACHE)
    return path


def test_content_comes_back(path):
    assert plain(load_tensors(path, CACHE, *CONTENT)) == plain(CONTENT)


def test_no_flipped_bit_changes_what_is_read(path):
    content, rng, refused = path.read_bytes(), random.Random(0), 0
    for position in rng.sample(range(len(content)), 300):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            found = load_tensors(path, CACHE, *CONTENT)
        except InputError:
            refused += 1
        else:
            assert plain(found) == plain(CONTENT)
    assert refused > 100  # the rest is padding


@pytest.mark.parametrize("kind", [Kind("cached result", 2), Kind("something else", 1)])
def test_other_kinds_and_formats_are_refused(tmp_path, path, kind):
    save_tensors(CONTENT, tmp_path / "other.pt", kind)
    with pytest.raises(InputError, match=r"other.pt: .*; expected .*mentor_pyg|same version"):
        load_tensors(tmp_path / "other.pt", CACHE, *CONTENT)


@pytest.mark.parametrize("content", [{}, {"a": 1}, CONTENT | {"more": 1}, {3: 4}])
def test_other_parts_are_refused(tmp_path, content):
    save_tensors(content, tmp_path / "x.pt", CACHE)
    with pytest.raises(InputError, match=r"x\.pt: holds .*; expected a, b, c$"):
        load_tensors(tmp_path / "x.pt", CACHE, *CONTENT)


@pytest.mark.parametrize("content", [CONTENT, [], 3, {"kind": "cached result", "format": True}])
def test_files_without_a_format_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "old.pt")
    with pytest.raises(InputError, match=r"old\.pt: "):
        load_tensors(tmp_path / "old.pt", CACHE, *CONTENT)


def test_a_full_disk_keeps_the_older_file(path, small_disk):
    content = {"a": torch.zeros(10**5)}
    with small_disk(10**5), pytest.raises(InputError, match=rf"{path}: can't be written \(.*File"):
        save_tensors(content, path, CACHE)
    assert plain(load_tensors(path, CACHE, *CONTENT)) == plain(CONTENT)
    assert list(path.parent.iterdir()) == [path]


class Claim:
    """Pickles a tensor of some size, or something else that only names its size."""

    class Storage: ...

    def __init__(self, function: Callable, args: tuple) -> None:
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class ClaimPickler(pickle.Pickler):
    entries: ClassVar = 4

    def persistent_id(self, obj):
        if isinstance(obj, Claim.Storage):
            return ("storage", torch.FloatStorage, "0", "cpu", self.entries)
        return None


LARGE = 10**9
CLAIMS = {
    "view": (4, Claim(_rebuild_tensor_v2, (Claim.Storage(), 0, (LARGE,), (1,), False, {}))),
    "storage": (LARGE, Claim(_rebuild_tensor_v2, (Claim.Storage(), 0, (LARGE,), (1,), False, {}))),
    "bytes": (4, Claim(bytearray, (LARGE,))),
}


@pytest.mark.parametrize(("entries", "claim"), CLAIMS.values(), ids=CLAIMS.keys())
def test_a_small_file_cannot_claim_much_memory(tmp_path, entries, claim):
    torch.save({"a": torch.zeros(4)}, tmp_path / "sound.pt")
    stream = io.BytesIO()
    pickler = ClaimPickler(stream, 2)
    pickler.entries = entries
    pickler.dump(OrderedDict(a=claim))
    rewrite(tmp_path / "sound.pt", tmp_path / "x.pt", {"data.pkl": stream.getvalue()})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"x\.pt: can't be loaded"):
        load_torch(tmp_path / "x.pt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # in KiB


def rewrite(source, target, changes, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for record in old.infolist():
            name = record.filename.rpartition("/")[2]
            new.writestr(record.filename, changes.get(name, old.read(record)))


def test_compressed_files_are_refused(tmp_path):
    torch.save({"a": torch.zeros(10**5)}, tmp_path / "sound.pt")
    rewrite(tmp_path / "sound.pt", tmp_path / "x.pt", {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="it claims more than it holds"):
        load_torch(tmp_path / "x.pt")
