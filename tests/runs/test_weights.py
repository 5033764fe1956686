import json
import random

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mentor_pyg import InputError
from mentor_pyg._util.formats import label
from mentor_pyg.runs.weights import KEY, WEIGHTS, load_weights, save_weights

STATE = {
    "a": torch.arange(12.0).view(3, 4).t(),  # not contiguous
    "b": torch.tensor(True),
    "c": torch.zeros(0, 3),
    "d": torch.tensor([0.1, 2.0], dtype=torch.bfloat16),
}
ABOUT = {
    "config": {"ks": (10, 20), "lr": 1e-3},
    "source": {"name": "toy", "origin": "/toy"},
    "data": "0123",
    "versions": {"torch": "2"},
}


@pytest.fixture
def path(tmp_path):
    save_weights(tmp_path / "best.safetensors", STATE, ABOUT)
    return tmp_path / "best.safetensors"


def test_weights_come_back(path):
    state, about = load_weights(path)
    assert state.keys() == STATE.keys()
    for name, value in STATE.items():
        assert state[name].dtype == value.dtype
        assert torch.equal(state[name], value)
    assert about == {**label(WEIGHTS), **json.loads(json.dumps(ABOUT))}


def test_other_programs_can_read_them(path):
    with safe_open(path, framework="np") as file:
        assert file.get_tensor("a").tolist() == STATE["a"].tolist()
        assert json.loads(file.metadata()["mentor_pyg"])["config"]["lr"] == 1e-3


def test_equal_weights_are_equal_bytes(path, tmp_path):
    save_weights(tmp_path / "again", dict(reversed(STATE.items())), ABOUT)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_every_flipped_bit_is_refused(path):
    content, rng = path.read_bytes(), random.Random(0)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(InputError, match=rf"^{path}: .*; expected .*$"):
            load_weights(path)


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_cut_files_are_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="can't be loaded"):
        load_weights(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {KEY: "[]"}, {KEY: "{"}, {KEY: "{}"}])
def test_weights_of_other_programs_are_refused(tmp_path, metadata):
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors", metadata)
    with pytest.raises(InputError, match=r"x\.safetensors: (can't be loaded|holds no trained)"):
        load_weights(tmp_path / "x.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(path, value):
    save_weights(path, {**STATE, "e": torch.tensor([1.0, value])}, ABOUT)
    with pytest.raises(InputError, match="e isn't finite; expected finite weights"):
        load_weights(path)


@pytest.mark.parametrize("change", [{"config": 3}, {"source": []}, {"data": None}, {"versions": 1}])
def test_files_that_say_too_little_are_refused(path, change):
    save_weights(path, STATE, ABOUT | change)
    with pytest.raises(InputError, match=f"{next(iter(change))} is .*; expected a "):
        load_weights(path)


def test_another_format_is_refused(path):
    save_weights(path, STATE, {**ABOUT, "format": 2, "written_by": "9.9"})
    with pytest.raises(InputError, match=r"is in format 2 of mentor_pyg '9\.9'; expected format 1"):
        load_weights(path)


def test_a_full_disk_keeps_the_older_file(path, small_disk):
    before = path.read_bytes()
    with small_disk(10**5), pytest.raises(InputError, match=rf"{path}: can't be written"):
        save_weights(path, {"a": torch.zeros(10**5)}, ABOUT)
    assert path.read_bytes() == before
