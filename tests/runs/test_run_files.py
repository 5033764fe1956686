"""Files of runs on full disks, damaged, or of several runs."""

import random
import shutil
from contextlib import ExitStack

import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg._util.tensor_files import save_tensors
from mentor_pyg.cli.main import main
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.files import read_last
from mentor_pyg.runs.run import load_run, train
from mentor_pyg.runs.weights import load_weights, save_weights
from mentor_pyg.training import Callback
from mentor_pyg.training.checkpoint import STATE, read_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def source(toy_folder):
    return open_source(toy_folder)


def files_of(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_a_full_disk_ends_a_run_with_one_line_and_it_can_go_on(source, tmp_path, small_disk):
    out, whole = tmp_path / "out", tmp_path / "whole"
    config = load_config("lightgcn", ["train.lr=1e-2", "train.eval_every=1"], epochs=3)
    expected = train(config, source, whole, CPU, progress=False)
    with ExitStack() as stack:

        class Fill(Callback):
            def on_epoch_end(self, trainer):
                if trainer.epoch == 2:
                    stack.enter_context(small_disk((out / "last.pt").stat().st_size - 1))

        with pytest.raises(InputError, match=rf"^{out / 'last.pt'}: can't be written \(.*\); exp"):
            train(config, source, out, CPU, progress=False, callbacks=[Fill()])
    assert sorted(files_of(out)) == ["best.safetensors", "config.yaml", "history.csv", "last.pt"]
    assert load_run(out).config == config
    assert read_last(out).epochs_run == 1
    metrics = train(config, source, out, CPU, progress=False, resume=True)
    for name in ("val", "test", "best_epoch", "epochs_run"):
        assert metrics[name] == expected[name]


def test_a_full_disk_from_the_start(toy_folder, tmp_path, small_disk, capsys):
    open_source(toy_folder)  # whose cache only costs a warning
    command = ["train", "--data", str(toy_folder), "--preset", "lightgcn", "--epochs", "1"]
    with small_disk(3000):
        assert main([*command, "--out", str(tmp_path / "out"), "--quiet"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {tmp_path / 'out' / 'best.safetensors'}: can't be written (")
    assert err.count("\n") == 1


def test_damaged_weights_are_refused(source, tmp_path):
    out, rng = tmp_path / "out", random.Random(0)
    train(load_config("lightgcn", epochs=1), source, out, CPU, progress=False)
    (out / "metrics.json").unlink()  # which would notice, too
    content = (out / "best.safetensors").read_bytes()
    for position in rng.sample(range(len(content)), 20):
        damaged = bytearray(content)
        damaged[position] ^= 1 << rng.randrange(8)
        (out / "best.safetensors").write_bytes(bytes(damaged))
        with pytest.raises(InputError, match=rf"^{out / 'best.safetensors'}: .*; expected .*$"):
            load_run(out)
    (out / "best.safetensors").rename(out / "best.pt")
    with pytest.raises(InputError, match=r"best\.pt: was written by an earlier version; expected"):
        load_run(out)


def test_weights_that_do_not_fit_their_settings_are_refused(source, tmp_path):
    out = tmp_path / "out"
    train(load_config("lightgcn", epochs=1), source, out, CPU, progress=False)
    (out / "metrics.json").unlink()
    state, about = load_weights(out / "best.safetensors")
    name = next(iter(state))
    kinds = ("config", "source", "data", "versions")
    about = {kind: about[kind] for kind in kinds}
    cases = [
        ({k: v for k, v in state.items() if k != name}, {}, f"lacks '{name}'"),
        (state | {"more": torch.zeros(1)}, {}, "has 'more'"),
        (state | {name: state[name][:3]}, {}, rf"model\.{name} is float32 \[3, .*; expected"),
        (state | {name: state[name].half()}, {}, rf"model\.{name} is float16 "),
        (state, {"config": {}}, "expected"),
        (state, {"config": about["config"] | {"model": 3}}, "expected"),
        (state, {"config": about["config"] | {"more": 3}}, "more"),
        (state, {"config": about["config"] | {"options": {"hidden_channels": 0}}}, "expected"),
        (state, {"source": {}}, "name of the source is None"),
        (state, {"source": {"name": "x", "origin": 3}}, "origin of the source is 3"),
        (state, {"config": {"model": "LightGCN"}}, "has no preset"),
        (state, {"data": "0"}, "holds other data"),
        (state, {"data": "0" * 5000}, r"unchanged \(0{57}\.\.\.\)"),
    ]
    for weights, change, message in cases:
        save_weights(out / "best.safetensors", weights, about | change)
        with pytest.raises(InputError, match=rf"^[^\n]*{message}[^\n]*$"):
            pytest.fail(f"{message}: {load_run(out)}")


@pytest.mark.parametrize("name", ["best.safetensors", "metrics.json"])
def test_metrics_of_one_run_and_weights_of_another_are_refused(source, tmp_path, name):
    for seed in (0, 1):
        config = load_config("lightgcn", epochs=1, seed=seed)
        train(config, source, tmp_path / str(seed), CPU, progress=False)
    shutil.copy(tmp_path / "0" / name, tmp_path / "1" / name)
    with pytest.raises(InputError, match=r"best\.safetensors: does not match metrics\.json"):
        load_run(tmp_path / "1")


@pytest.mark.parametrize("result", [None, {}, {"history": {}}])
def test_states_without_a_history_are_refused(source, tmp_path, result):
    train(load_config("lightgcn", epochs=1), source, tmp_path, CPU, progress=False)
    saved = read_checkpoint(tmp_path / "last.pt")
    saved["state"]["result"] = result
    save_tensors(saved, tmp_path / "last.pt", STATE)
    with pytest.raises(InputError, match=r"last\.pt: has no history; expected a list of epochs$"):
        read_last(tmp_path)


def test_resuming_a_finished_run_writes_nothing(source, tmp_path):
    out, config = tmp_path / "out", load_config("lightgcn", epochs=2)
    metrics = train(config, source, out, CPU, progress=False)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}
    assert train(config, source, out, CPU, progress=False, resume=True) == metrics
    for path in out.iterdir():
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == before[path]


def test_weights_that_diverge_are_neither_saved_nor_measured(source, tmp_path):
    """The last step makes them so, which no loss has seen."""
    out = tmp_path / "out"
    config = load_config("lightgcn", ["train.lr=1e38"], epochs=1)
    with pytest.raises(InputError, match=r"^epoch 1: .* finite .*; no weights were kept$"):
        train(config, source, out, CPU, progress=False)
    assert not out.exists()
