import csv
import json
import re

import pytest
import torch

from mentor_pyg import InputError, Recommender, evaluate
from mentor_pyg._util.environment import choose_device, versions
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.datasets.source import Source, open_source
from mentor_pyg.runs.build import prepare_graphs
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.files import read_metrics
from mentor_pyg.runs.run import load_run, run_summary, train
from mentor_pyg.runs.weights import load_weights
from mentor_pyg.training import Callback
from mentor_pyg.transforms import CompactFeatures, cosine_knn
from mentor_pyg.typing import ITEM, similar

CPU = torch.device("cpu")
QUICK = ["graph.k=5", "train.lr=1e-2", "train.batch_size=128"]


@pytest.fixture
def source(toy_folder):
    return open_source(toy_folder)


def test_a_run_leaves_its_files(source, tmp_path):
    out = tmp_path / "out"
    config = load_config("paper", QUICK, epochs=3, seed=5)
    metrics = train(config, source, out, CPU, progress=False)
    assert sorted(p.name for p in out.iterdir()) == [
        "best.safetensors",
        "config.yaml",
        "history.csv",
        "last.pt",
        "metrics.json",
    ]
    assert json.loads((out / "metrics.json").read_text()) == metrics
    expected = {"dataset", "data_source", "model", "preset", "seed", "epochs_run", "best_epoch"}
    expected |= {"val", "test", "seconds_per_epoch", "peak_memory_mb", "versions"}
    assert expected <= metrics.keys()
    assert metrics["dataset"] == "toy"
    assert (metrics["model"], metrics["preset"], metrics["seed"]) == ("MENTOR", "paper", 5)
    assert metrics["versions"] == versions()
    with open(out / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    best = rows[metrics["best_epoch"] - 1]
    assert float(best["recall@20"]) == metrics["val"]["recall@20"]
    assert load_config(str(out / "config.yaml")) == config


def test_the_checkpoint_gives_the_reported_test_figures(source, tmp_path):
    config = load_config("lightgcn", ["train.lr=1e-2"], epochs=4)
    metrics = train(config, source, tmp_path / "out", CPU, progress=False)
    weights = load_weights(tmp_path / "out" / "best.safetensors")
    assert weights.about["config"] == json.loads(json.dumps(config.to_dict()))
    data = prepare_graphs(config, source.dataset[0], CPU)
    model = config.model_class.from_data(data, **config.options)
    model.load_state_dict(weights.state)
    assert evaluate(model, data, "test") == metrics["test"]


def test_equal_seeds_give_equal_runs(source, tmp_path):
    config = load_config("released", [*QUICK, "options.num_layers=1"], epochs=2)
    runs = [train(config, source, tmp_path / name, CPU, progress=False) for name in "ab"]
    assert runs[0]["test"] == runs[1]["test"]


def test_synthetic_data_say_so(tmp_path, monkeypatch):
    tiny = SyntheticDataset.tiny()
    monkeypatch.setattr("mentor_pyg.datasets.source.SyntheticDataset", lambda: tiny)
    source = open_source("synthetic")
    config = load_config("paper", QUICK, epochs=1)
    metrics = train(config, source, tmp_path / "out", CPU, progress=False)
    assert metrics["data_source"] == "synthetic"
    assert "SYNTHETIC" in run_summary(metrics)


def test_a_folder_without_a_name_is_not_the_current_one(toy_folder, monkeypatch):
    monkeypatch.chdir(toy_folder)
    assert open_source(".").origin == str(toy_folder.resolve())
    with pytest.raises(InputError, match="data: folder '' not found"):
        open_source("")


def files_of(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_an_interrupted_run_leaves_nothing_of_the_one_before(source, tmp_path):
    out, config = tmp_path / "out", load_config("mfbpr", ["train.eval_every=1"], epochs=3)
    train(load_config("lightgcn", epochs=3), source, out, CPU, progress=False)
    (out / "notes.txt").write_text("mine")

    class Interrupt(Callback):
        def on_epoch_end(self, trainer):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, source, out, CPU, progress=False, callbacks=[Interrupt()], force=True)
    assert sorted(files_of(out)) == ["best.safetensors", "config.yaml", "history.csv", "notes.txt"]
    assert load_config(str(out / "config.yaml")).model == "MFBPR"
    assert len((out / "history.csv").read_text().splitlines()) == 2
    with pytest.raises(FileNotFoundError, match="expected a finished run"):
        read_metrics(out)


@pytest.mark.parametrize("changes", [["train.monitor=auc"], ["train.ks=[99]"], ["user_graph.k=0"]])
def test_a_run_that_cannot_begin_leaves_the_one_before_as_it_was(source, tmp_path, changes):
    out = tmp_path / "out"
    train(load_config("lightgcn", epochs=1), source, out, CPU, progress=False)
    before = files_of(out)
    with pytest.raises(InputError):
        train(load_config("lightgcn", changes), source, out, CPU, progress=False, force=True)
    assert files_of(out) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("metrics.json", "holds a finished run; expected another folder, or --force to replace it"),
        ("last.pt", "holds an unfinished run; expected --resume '{out}' to resume it, --force"),
        (
            "best.safetensors",
            "contains best.safetensors, which a run would overwrite; expected another folder",
        ),
        ("best.pt", "contains best.pt, which a run would overwrite"),
        ("config.yaml", "contains config.yaml, which a run would overwrite"),
    ],
)
def test_a_run_that_is_there_is_not_replaced(source, tmp_path, name, message):
    out = tmp_path / "my run"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(InputError, match=re.escape(message.format(out=out))):
        train(load_config("lightgcn", epochs=1), source, out, CPU, progress=False)
    assert files_of(out) == {name: b"mine"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("content.missing={sound: 0.5}", r"content\.sound: the data has no such modality"),
        ("graph.k=40", "modality 'textual': k = 40 neighbours can't be found"),
    ],
)
def test_values_that_are_refused_are_told(source, tmp_path, change, message):
    config = load_config("lightgcn", [change])
    with pytest.raises(InputError, match=message):
        train(config, source, tmp_path / "out", CPU, progress=False)
    assert not (tmp_path / "out").exists()


def test_summary_shows_the_figures(source, tmp_path):
    config = load_config("lightgcn", epochs=1)
    metrics = train(config, source, tmp_path / "out", CPU, progress=False)
    text = run_summary(metrics)
    assert f"{metrics['test']['recall@20']:.4f}" in text
    assert "SYNTHETIC" not in text


def test_the_default_preset_beats_popularity_by_far(tmp_path):
    """What `make train` does, on less data; there it is a factor of more than three."""
    sizes = {"num_users": 1500, "num_items": 1500, "num_pairs": 12000, "num_topics": 60}
    dataset = SyntheticDataset(**sizes, channels={"visual": 64, "textual": 32})
    config = load_config("synthetic-baby", ["train.batch_size=256"], epochs=3)
    source = Source("small", "synthetic", dataset)
    metrics = train(config, source, tmp_path, CPU, progress=False)
    assert metrics["test"]["recall@20"] > 2 * metrics["popularity"]["recall@20"]


@pytest.fixture
def compacted(source):
    """Data after prepare with settings, and their item stores before it."""

    def compacted(*changes):
        data = source.dataset[0]
        return prepare_graphs(load_config("paper", [*QUICK, *changes]), data, CPU), data[ITEM]

    return compacted


def test_features_stay_by_default(compacted):
    data, raw = compacted()
    for name in ("x_visual", "x_textual"):
        assert data[ITEM][name].dtype == torch.float32
        assert torch.equal(data[ITEM][name], raw[name])


def test_features_are_compacted_after_the_item_graph(compacted):
    settings = ["features.channels=3", "features.dtype=float16"]
    (data, raw), (plain, _) = compacted(*settings), compacted()
    for modality in ("visual", "textual"):
        name, edge_type = f"x_{modality}", similar(modality)
        x = CompactFeatures(3, "float16")(plain)[ITEM][name]
        assert x.shape == (40, 3)
        assert torch.equal(data[ITEM][name], x)
        # The graph is that of the raw features, and would be another one afterwards:
        edges = [d[edge_type].edge_index for d in (plain, data)]
        assert torch.equal(*edges)
        assert torch.equal(plain[edge_type].edge_weight, data[edge_type].edge_weight)
        assert torch.equal(edges[0], cosine_knn(raw[name], 5)[0])
        assert not torch.equal(edges[0], cosine_knn(x.float(), 5)[0])


@pytest.mark.parametrize(
    ("changes", "dtype", "width"),
    [
        (["train.precision=fp32"], torch.float32, 12),
        (["train.precision=bf16"], torch.bfloat16, 12),
        (["train.precision=bf16", "features.channels=3"], torch.bfloat16, 3),
        (["train.precision=bf16", "features.dtype=float32"], torch.float32, 12),
        (["train.precision=bf16", "features.dtype=float16"], torch.float16, 12),
        (["train.precision=fp32", "features.dtype=bfloat16"], torch.bfloat16, 12),
    ],
)
def test_dtype_of_features(compacted, changes, dtype, width):
    data, _ = compacted(*changes)
    assert data[ITEM].x_visual.dtype == data[ITEM].x_textual.dtype == dtype
    assert data[ITEM].x_visual.size(1) == width


def test_a_run_on_compact_features_in_bf16(source, tmp_path):
    changes = [*QUICK, "features.channels=3", "train.precision=bf16"]
    config = load_config("paper", changes, epochs=1)
    metrics = train(config, source, tmp_path / "out", CPU, progress=False)
    weight = "encoder.encoders.visual.mlp.lins.0.weight"
    state = load_weights(tmp_path / "out" / "best.safetensors").state
    assert state[weight].shape == (256, 3)
    assert {x.dtype for x in state.values()} == {torch.float32}
    assert load_config(str(tmp_path / "out" / "config.yaml")) == config
    data = prepare_graphs(config, source.dataset[0], CPU)
    model = config.model_class.from_data(data, **config.options)
    model.load_state_dict(state)
    assert evaluate(model, data, "test") == metrics["test"]


def test_devices():
    assert choose_device("cpu") == CPU
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["Popularity", "ItemNeighbors", "EASE", "ALS", "MMGF"])
def test_a_model_without_steps_has_the_files_of_any_run(source, tmp_path, name):
    out, config = tmp_path / "out", load_config(name.lower(), epochs=30)
    metrics = train(config, source, out, CPU, progress=False)
    assert "best epoch 1 of 1, " in run_summary(metrics)
    run = load_run(out)
    assert evaluate(run.model, run.data, "test") == metrics["test"]
    lists = Recommender.load(out, progress=False).recommend(k=5)
    assert len(lists) == 60
    before = files_of(out)
    assert train(config, source, out, CPU, progress=False, resume=True) == metrics
    assert files_of(out) == before
    if name == "ItemNeighbors":
        weights = load_weights(out / "best.safetensors").state
        assert {x.dtype for x in weights.values()} == {torch.int64, torch.float32}


def test_what_is_solved_is_stored_once_in_a_checkpoint(source, tmp_path):
    out = tmp_path / "out"
    train(load_config("ease"), source, out, CPU, progress=False)
    assert (out / "last.pt").stat().st_size < 1.5 * (out / "best.safetensors").stat().st_size + 2e4
