import sys

import pytest

from mentor_pyg import InputError
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import train
from mentor_pyg.training.config import FitResult
from mentor_pyg.training.tensorboard import tensorboard_logger


def read(folder):
    """Scalars in a folder: by tag, pairs of step and value."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reading.EventAccumulator(str(folder)).Reload()
    return {
        tag: [(e.step, pytest.approx(e.value)) for e in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


@pytest.fixture
def history():
    return [
        {"epoch": 1, "seconds": 0.5, "bpr": 0.7},
        {"epoch": 2, "seconds": 0.25, "bpr": 0.6, "recall@20": 0.1},
        {"epoch": 3, "seconds": 0.25, "bpr": 0.5},
    ]


def test_every_epoch_is_written_as_scalars(tmp_path, history):
    pytest.importorskip("tensorboard")
    with tensorboard_logger(tmp_path) as on_epoch:
        for epochs in (1, 2, 3):
            on_epoch(FitResult(history=history[:epochs]), False)
    assert read(tmp_path) == {
        "seconds": [(1, 0.5), (2, 0.25), (3, 0.25)],
        "loss/bpr": [(1, 0.7), (2, 0.6), (3, 0.5)],
        "val/recall@20": [(2, 0.1)],
    }


def test_a_run_that_goes_on_replaces_what_was_written(tmp_path, history):
    pytest.importorskip("tensorboard")
    with tensorboard_logger(tmp_path) as on_epoch:
        on_epoch(FitResult(history=history[:1]), True)
        on_epoch(FitResult(history=history[:2]), True)
    with tensorboard_logger(tmp_path) as on_epoch:
        on_epoch(FitResult(history=history), True)
    assert [step for step, _ in read(tmp_path)["loss/bpr"]] == [1, 2, 3]


def test_a_real_run(toy_folder, tmp_path):
    pytest.importorskip("tensorboard")
    config = load_config("lightgcn", epochs=2)
    with tensorboard_logger(tmp_path / "events") as on_epoch:
        metrics = train(
            config,
            open_source(toy_folder),
            tmp_path / "out",
            progress=False,
            on_epoch=on_epoch,
        )
    scalars = read(tmp_path / "events")
    for name, value in metrics["val"].items():
        assert (metrics["best_epoch"], value) in scalars[f"val/{name}"]
    assert {"seconds", "loss/bpr"} <= scalars.keys()


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    expected = pytest.raises(
        InputError, match=r"expected `pip install 'mentor_pyg\[tensorboard\]'`"
    )
    with expected, tensorboard_logger(tmp_path):
        pass
