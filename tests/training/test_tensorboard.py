import sys
from types import SimpleNamespace

import pytest

from mentor_pyg import InputError
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import train
from mentor_pyg.training import TensorBoard
from mentor_pyg.training.config import FitResult


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


def write(folder, *histories):
    """Writes one training after the other; of each, the histories after its epochs."""
    board = TensorBoard(folder)
    board.on_fit_start(None)
    for history in histories:
        board.on_epoch_end(SimpleNamespace(result=FitResult(history=history)))
    board.on_fit_end(None)


def test_every_epoch_is_written_as_scalars(tmp_path, history):
    pytest.importorskip("tensorboard")
    write(tmp_path, history[:1], history[:2], history)
    assert read(tmp_path) == {
        "seconds": [(1, 0.5), (2, 0.25), (3, 0.25)],
        "loss/bpr": [(1, 0.7), (2, 0.6), (3, 0.5)],
        "val/recall@20": [(2, 0.1)],
    }


def test_a_run_that_goes_on_replaces_what_was_written(tmp_path, history):
    pytest.importorskip("tensorboard")
    write(tmp_path, history[:1], history[:2])
    write(tmp_path, history)
    assert [step for step, _ in read(tmp_path)["loss/bpr"]] == [1, 2, 3]


def test_a_real_run(toy_folder, tmp_path):
    pytest.importorskip("tensorboard")
    config = load_config("lightgcn", epochs=2)
    source, curves = open_source(toy_folder), TensorBoard(tmp_path / "events")
    metrics = train(config, source, tmp_path / "out", progress=False, callbacks=[curves])
    scalars = read(tmp_path / "events")
    for name, value in metrics["val"].items():
        assert (metrics["best_epoch"], value) in scalars[f"val/{name}"]
    assert {"seconds", "loss/bpr"} <= scalars.keys()


def test_without_tensorboard_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InputError, match=r"expected `pip install 'mentor_pyg\[tensorboard\]'`"):
        TensorBoard(tmp_path)
