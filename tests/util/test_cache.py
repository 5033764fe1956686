import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.transforms import BaseTransform, Compose, Constant, NormalizeFeatures

from mentor_pyg import Adjacency, InputError
from mentor_pyg._util.cache import cache_dir, cached, file_hash, transform_key
from mentor_pyg.transforms import CompactFeatures, ContentVariant, ItemKNN


@pytest.fixture
def counted():
    """A function that returns a tensor, and notes each call."""
    calls = []

    def make():
        calls.append(None)
        return {"x": torch.arange(3)}

    make.calls = calls
    return make


# The folder #############################################################


@pytest.mark.parametrize("value", ["~/c", "~"])
def test_tilde_is_the_home_folder(monkeypatch, tmp_path, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MENTOR_PYG_CACHE", value)
    assert cache_dir() == Path(str(tmp_path) + value[1:])


def test_empty_variable_counts_as_not_set(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MENTOR_PYG_CACHE", "")
    assert cache_dir() == tmp_path / ".cache" / "mentor_pyg"


@pytest.fixture
def homeless(monkeypatch):
    def expanduser(path):
        if str(path).startswith("~"):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", expanduser)
    monkeypatch.setattr(Path, "home", lambda: Path("~").expanduser())


def test_named_folder_needs_no_home(homeless, cache_folder, counted):
    assert cache_dir() == cache_folder
    assert torch.equal(cached("a.pt", counted)["x"], torch.arange(3))
    assert (cache_folder / "a.pt").exists()


def test_without_a_home_there_is_no_cache(homeless, monkeypatch, counted):
    monkeypatch.delenv("MENTOR_PYG_CACHE")
    with pytest.raises(InputError, match=r"no home folder; expected a folder in \$MENTOR_PYG_C"):
        cache_dir()
    with pytest.warns(UserWarning, match=r"\$MENTOR_PYG_CACHE; going on without a cache"):
        assert torch.equal(cached("a.pt", counted)["x"], torch.arange(3))


def test_folder_that_takes_nothing(monkeypatch, tmp_path, counted):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MENTOR_PYG_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"file.* without a cache.*\$MENTOR_PYG_CACHE"):
            assert torch.equal(cached("a.pt", counted)["x"], torch.arange(3))
    assert len(counted.calls) == 2


# What is kept ###########################################################


def test_is_made_once(counted):
    for refresh, calls in ((False, 1), (False, 1), (True, 2), (False, 2)):
        assert torch.equal(cached("a.pt", counted, refresh)["x"], torch.arange(3))
        assert len(counted.calls) == calls


@pytest.mark.parametrize("spoil", [lambda p: p.write_bytes(b""), lambda p: os.mkfifo(p)])
def test_damage_is_made_again(cache_folder, counted, spoil):
    path = cache_folder / "a.pt"
    cached("a.pt", counted)
    path.unlink()
    spoil(path)
    with pytest.warns(UserWarning, match=r"a\.pt: .*; making it again"):
        assert torch.equal(cached("a.pt", counted)["x"], torch.arange(3))
    cached("a.pt", counted)
    assert len(counted.calls) == 2


def test_what_cannot_be_loaded_is_not_kept(cache_folder):
    for _ in range(2):
        assert cached("a.pt", lambda: {"x": Path("x")}) == {"x": Path("x")}
    assert not list(cache_folder.iterdir())


def test_graphs_are_kept(tiny):
    adjacency = Adjacency.from_edge_index(torch.tensor([[0, 1], [1, 0]]), torch.ones(2), (2, 2))
    for _ in range(2):
        found = cached("a.pt", lambda: {"adjacency": adjacency})["adjacency"]
        assert type(found) is Adjacency
        assert all(torch.equal(a, b) for a, b in zip(found, adjacency))


def _fill(start):
    start.wait()
    for n in range(20):
        x = cached(f"{n}/a.pt", lambda n=n: torch.full((1000,), n))
        assert bool((x == n).all())


def test_processes_that_fill_one_cache(cache_folder):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(3)
    workers = [context.Process(target=_fill, args=(start,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len([path for path in cache_folder.rglob("*") if path.is_file()]) == 20


# Keys ###################################################################


class Scale(BaseTransform):
    """Its ``repr`` doesn't have its factor, as of any transform that has no own."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, data):
        return data


def test_file_hash_is_of_the_content(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"a" * 3_000_000)
    second.write_bytes(b"a" * 2_999_999 + b"b")
    os.utime(second, ns=(0, 0))
    os.utime(first, ns=(0, 0))
    assert file_hash(first) != file_hash(second)
    second.write_bytes(first.read_bytes())
    assert file_hash(first) == file_hash(second)


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (ItemKNN, [5, 6]),
        (lambda merge: ItemKNN(merge=merge), [None, "equal", {"visual": 0.5, "textual": 0.5}]),
        (lambda backend: ItemKNN(backend=backend), ["auto", "torch"]),
        (CompactFeatures, [2, 3]),
        (lambda noise: ContentVariant(noise=noise), [{"visual": 1}, {"visual": 2}, {}]),
        (Constant, [1.0, 2.0, torch.ones(1), torch.ones(2), np.ones(1), np.ones(2)]),
        (lambda attrs: NormalizeFeatures(attrs), [["x"], ["x", "y"]]),
        (lambda value: Compose([Constant(value), NormalizeFeatures()]), [1.0, 2.0]),
    ],
)
def test_transforms_of_packages_have_keys_of_all_attributes(make, values):
    keys = [transform_key(make(value)) for value in values]
    assert None not in keys
    assert len(set(keys)) == len(values)
    assert keys == [transform_key(make(value)) for value in values]


@pytest.mark.parametrize(
    "transform",
    [
        Scale(1),
        lambda data: data,
        Compose([Constant(), Scale(1)]),
        Compose([Constant(), lambda data: data]),
        Constant(value=object()),
        Constant(value=np.array([None])),
    ],
)
def test_what_cannot_be_seen_whole_has_no_key(transform):
    assert transform_key(transform) is None


def test_transform_that_was_changed_has_no_key():
    transform = ItemKNN(5)
    transform.forward = lambda data: data
    assert transform_key(transform) is None


def test_transform_within_itself_has_no_key():
    transform = Compose([])
    transform.transforms.append(transform)
    assert transform_key(transform) is None
