"""Training that stops anywhere goes on to exactly the numbers of one that never did."""

import json
import multiprocessing
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from training.conftest import Stop, StoppingCheckpoint

from mentor_pyg import FitResult, InputError, TrainConfig, fit
from mentor_pyg._util.cache import CACHE
from mentor_pyg._util.tensor_files import save_tensors
from mentor_pyg.cli.main import main
from mentor_pyg.datasets.source import open_source
from mentor_pyg.nn.models import MENTOR, MMSSL, LightGCN
from mentor_pyg.runs import run as runs
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import load_run
from mentor_pyg.training import Callback
from mentor_pyg.training.checkpoint import STATE, Checkpoint, differences, read_checkpoint
from mentor_pyg.transforms import ItemKNN, LightGCNNorm

CPU = torch.device("cpu")
CONFIG = TrainConfig(epochs=4, batch_size=64, lr=1e-2)


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(ItemKNN(k=5, cache=False)(tiny))


def without_times(result):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]


@pytest.mark.parametrize("model_class", [MENTOR, MMSSL, LightGCN])
@pytest.mark.parametrize("after", [1, 8, 20])  # six steps and a save an epoch
def test_going_on_gives_the_numbers_of_an_uninterrupted_run(data, tmp_path, model_class, after):
    whole = model_class.from_data(data)
    expected = fit(whole, data, CONFIG, progress=False)
    path = tmp_path / "last.pt"
    with pytest.raises(Stop):
        fit(
            model_class.from_data(data),
            data,
            CONFIG,
            progress=False,
            checkpoint=StoppingCheckpoint(path, after),
        )
    torch.rand(7)  # whatever is drawn in between
    model = model_class.from_data(data)
    result = fit(model, data, CONFIG, progress=False, checkpoint=Checkpoint(path, {}), resume=True)
    assert without_times(result) == without_times(expected)
    assert (result.val, result.best_epoch) == (expected.val, expected.best_epoch)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_state_with_other_parts_is_refused(data, tmp_path):
    """One of another version, before anything of it is loaded."""
    path = tmp_path / "last.pt"
    with pytest.raises(Stop):
        fit(
            LightGCN.from_data(data),
            data,
            CONFIG,
            progress=False,
            checkpoint=StoppingCheckpoint(path, 1),
        )
    content = read_checkpoint(path)
    del content["state"]["epoch"]
    save_tensors(content, path, STATE)
    with pytest.raises(InputError, match=rf"^{path}: state lacks 'epoch'; expected it$"):
        fit(
            LightGCN.from_data(data),
            data,
            CONFIG,
            progress=False,
            checkpoint=Checkpoint(path, {}),
            resume=True,
        )


class EveryEpoch(LightGCN):
    """Draws something before every epoch, which its loss depends on."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("factor", torch.ones(()))
        self.part = torch.nn.Module()  # with a buffer that is no weight, and changes its size
        self.part.register_buffer("factors", torch.ones(1), persistent=False)

    def start_epoch(self, data):
        assert self.training
        self.factor = torch.rand(())
        self.part.factors = torch.rand(3)

    def losses(self, data, batch):
        factor = self.factor * self.part.factors.sum()
        return {name: factor * loss for name, loss in super().losses(data, batch).items()}


@pytest.mark.parametrize("after", [3, 7, 10])
def test_what_a_model_draws_before_an_epoch_survives(data, tmp_path, after):
    expected = fit(EveryEpoch.from_data(data), data, CONFIG, progress=False)
    path = tmp_path / "last.pt"
    model = EveryEpoch.from_data(data)
    with pytest.raises(Stop):
        fit(model, data, CONFIG, progress=False, checkpoint=StoppingCheckpoint(path, after))
    model = EveryEpoch.from_data(data)
    result = fit(model, data, CONFIG, progress=False, checkpoint=Checkpoint(path, {}), resume=True)
    assert without_times(result) == without_times(expected)


def test_going_on_after_the_end_changes_nothing(data, tmp_path):
    checkpoint = Checkpoint(tmp_path / "last.pt", {})
    model = LightGCN.from_data(data)
    first = fit(model, data, CONFIG, progress=False, checkpoint=checkpoint)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    again = fit(model, data, CONFIG, progress=False, checkpoint=checkpoint, resume=True)
    assert again == first
    assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_saves_and_a_second_one_ends_at_once(tmp_path, signal_sent):
    checkpoint = Checkpoint(tmp_path / "last.pt", {}, minutes=60)
    with checkpoint.catching_interrupts():
        assert not checkpoint.is_due()
        signal.raise_signal(signal_sent)
        assert checkpoint.is_due()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal_sent)
    with pytest.raises(KeyboardInterrupt):  # as it was before
        signal.raise_signal(signal.SIGINT)


class Interrupt(Callback):
    """Sends Ctrl-C at the end of the second step, or of the first epoch."""

    def __init__(self, event):
        self.event, self.count = event, 0

    def on_step_end(self, trainer, losses):
        self.count += 1
        if self.event == "step" and self.count == 2:
            signal.raise_signal(signal.SIGINT)

    def on_epoch_end(self, trainer):
        if self.event == "epoch":
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("event", "step", "epochs_run"), [("step", 2, 0), ("epoch", 0, 1)])
def test_interrupt_ends_the_training_where_it_was_saved(data, tmp_path, event, step, epochs_run):
    interrupt, checkpoint = Interrupt(event), Checkpoint(tmp_path / "last.pt", {})
    options = {"callbacks": [interrupt], "checkpoint": checkpoint, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        fit(LightGCN.from_data(data), data, CONFIG, **options)
    state = read_checkpoint(checkpoint.path)["state"]
    assert (state["step"], len(state["result"]["history"])) == (step, epochs_run)
    assert interrupt.count == (step or 6)  # none follows


def test_weights_that_are_not_finite_are_never_saved(data, tmp_path):
    class Diverging(Callback):
        def on_step_end(self, trainer, losses):
            if trainer.step == 3:
                next(trainer.model.parameters()).data.fill_(torch.nan)

    path = tmp_path / "last.pt"
    checkpoint = Checkpoint(path, {}, minutes=-1.0)  # due after every step
    with pytest.raises(InputError, match=r"^epoch 1: weights 'embedding\.user' aren't finite"):
        fit(
            LightGCN.from_data(data),
            data,
            CONFIG,
            callbacks=[Diverging()],
            checkpoint=checkpoint,
            progress=False,
        )
    state = read_checkpoint(path)["state"]
    assert state["step"] == 2
    assert all(x.isfinite().all() for x in state["model"].values())


def test_a_checkpoint_is_due_after_some_time(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("mentor_pyg.training.checkpoint.time.monotonic", lambda: now)
    checkpoint = Checkpoint(tmp_path / "last.pt", {})  # every five minutes
    now += 400
    assert checkpoint.is_due()
    checkpoint.save({})
    now += 299
    assert not checkpoint.is_due()
    now += 2
    assert checkpoint.is_due()


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ({"a": 1}, {"a": 2}, "saved with a = 2, this run has 1"),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}, "saved with a.b = [2], this run has [1]"),
        ({"a": 1}, {"a": 1, "b": 3}, "saved with b = 3, this run has None"),
    ],
)
def test_another_run_is_refused_by_its_difference(tmp_path, ours, theirs, message):
    Checkpoint(tmp_path / "last.pt", theirs).save({})
    with pytest.raises(InputError) as error:
        Checkpoint(tmp_path / "last.pt", ours).load()
    assert message in str(error.value)


def test_a_state_is_of_a_run_with_plain_values(tmp_path):
    path = tmp_path / "last.pt"
    save = Checkpoint(path, {"x": torch.ones(2)})
    save.save({})
    with pytest.raises(InputError, match="its identity holds tensors; expected plain values"):
        save.load()


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [("a.c", 2, 3)]),
        ({"a": {"b": 1}}, {"a": 3}, [("a", {"b": 1}, 3)]),
        ({"a": 3}, {"a": {"b": 1}}, [("a", 3, {"b": 1})]),
        ({"a": 1}, {"b": 2}, [("a", 1, None), ("b", None, 2)]),
    ],
)
def test_differences_are_named_by_their_paths(ours, theirs, expected):
    assert list(differences(ours, theirs)) == expected


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(FileNotFoundError, match="not found"):
        read_checkpoint(tmp_path / "last.pt")
    save_tensors({"model": {}}, tmp_path / "cache.pt", CACHE)
    with pytest.raises(InputError, match="no state of a training run"):
        read_checkpoint(tmp_path / "cache.pt")
    save_tensors({"identity": {}, "about": 2, "state": {}}, tmp_path / "odd.pt", STATE)
    with pytest.raises(InputError, match="about is a int; expected a mapping"):
        read_checkpoint(tmp_path / "odd.pt")
    (tmp_path / "short.pt").write_bytes((tmp_path / "cache.pt").read_bytes()[:100])
    with pytest.raises(InputError, match="can't be loaded"):
        read_checkpoint(tmp_path / "short.pt")


def train(folder, out, resume=False):
    """A run of some seconds; in a process of its own, to be killed."""
    torch.set_num_threads(1)
    changes = ["graph.k=5", "train.batch_size=64", "train.patience=100"]
    config = load_config("paper", changes, epochs=30)
    return runs.train(config, open_source(folder), out, CPU, progress=False, resume=resume)


def stamp(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def test_kills_at_random_moments_leave_whole_files(toy_folder, tmp_path):
    expected = train(toy_folder, tmp_path / "whole")
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["mentor_pyg.runs.run"])
    out, rng = tmp_path / "out", random.Random(0)
    last = out / "last.pt"
    kills = 0
    for _ in range(4):  # tests/robustness/kill.py goes on for as long as one likes
        before = stamp(last)
        process = processes.Process(target=train, args=(toy_folder, out, last.exists()))
        process.start()
        while process.is_alive() and stamp(last) == before:
            time.sleep(0.001)
        time.sleep(0.03 * rng.random())
        process.kill()
        process.join()
        read_checkpoint(last)
        assert load_run(out).config.preset == "paper"
        if process.exitcode == 0:  # it was quicker
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert kills >= 2
    metrics = train(toy_folder, out, resume=True)
    for name in ("val", "test", "best_epoch", "epochs_run"):
        assert metrics[name] == expected[name]
    ours, theirs = (read_checkpoint(f / "last.pt")["state"] for f in (out, tmp_path / "whole"))
    assert without_times(FitResult(**ours["result"])) == without_times(
        FitResult(**theirs["result"])
    )


@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_within_an_epoch_and_ends_with_130(toy_folder, tmp_path, signal_sent):
    out = tmp_path / "out"
    command = [sys.executable, "-W", "ignore", "-m", "mentor_pyg", "train", "--data", toy_folder]
    command += ["--preset", "paper", "--epochs", "100000", "--out", out, "--set", "graph.k=5"]
    command += ["--set", "train.batch_size=4", "--set", "train.patience=100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (out / "last.pt").exists():
            time.sleep(0.05)
            assert process.poll() is None
        time.sleep(0.3)
        process.send_signal(signal_sent)
        assert process.wait() == 130
        assert process.stderr.read().endswith("interrupted\n")
    assert read_checkpoint(out / "last.pt")["state"]["totals"]  # in mid-epoch


@pytest.fixture
def finished(toy_folder, tmp_path):
    out = tmp_path / "out"
    runs.train(load_config("lightgcn", epochs=1), open_source(toy_folder), out, CPU, False)
    return out


def test_resume_of_a_finished_run_gives_its_numbers(finished, capsys):
    before = json.loads((finished / "metrics.json").read_text())
    assert main(["train", "--resume", str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test"] == before["test"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--epochs", "5"], "--epochs: can't be changed by --resume"),
        (["--set", "train.lr=1"], "--set: can't be changed by --resume"),
        (["--out", "elsewhere"], "--out: can't be changed by --resume"),
    ],
)
def test_resume_refuses_changes(finished, capsys, args, message):
    assert main(["train", "--resume", str(finished), *args]) == 2
    assert message in capsys.readouterr().err


def test_resume_refuses_other_data(finished, toy_folder, tmp_path, write_mmrec, capsys):
    data = open_source(toy_folder).dataset[0]
    data["item"].x_visual[0, 0] += 1
    other = write_mmrec(tmp_path / "other", data)
    assert main(["train", "--resume", str(finished), "--data", str(other)]) == 2
    assert "was saved with data = " in capsys.readouterr().err


def test_resume_of_nothing(tmp_path, capsys):
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "last.pt: not found" in capsys.readouterr().err
