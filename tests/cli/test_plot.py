import json

import pytest

from mentor_pyg.cli.main import main
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import train

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

PNG, SVG = b"\x89PNG\r\n", b"<?xml"


@pytest.fixture
def command(capsys, tmp_path, monkeypatch):
    """Runs ``mentor-pyg plot`` in ``tmp_path``; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mentor_pyg.cli.main.commands", ["plot"])

    def command(*argv):
        code = main(["plot", *map(str, argv), "--quiet"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def runs(toy_folder, tmp_path):
    """Two runs of MENTOR, with and without alignment."""
    folders = [tmp_path / "aligned", tmp_path / "free"]
    for folder, weight in zip(folders, (0.1, 0)):
        changes = ["graph.k=5", f"options.align_weight={weight}"]
        config = load_config("paper", changes, epochs=2)
        train(config, open_source(toy_folder), folder, progress=False)
    return folders


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("k\\lr,1e-3,1e-2\n5,0.1,0.2\n")
    return path


def test_runs(command, runs, tmp_path):
    code, out, _ = command("curves", *runs, "--out", "new/curves.svg")
    assert (code, out) == (0, "written to new/curves.svg\n")
    assert (tmp_path / "new/curves.svg").read_bytes().startswith(SVG)
    assert command("curves", runs[0], "--metric", "map@20", "--metric", "mrr@10")[0] == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)
    assert command("embeddings", *runs, "--items", 12, "--seed", 1)[0] == 0
    assert (tmp_path / "embeddings.png").read_bytes().startswith(PNG)


def test_data_and_grids(command, toy_folder, grid, tmp_path):
    code, out, _ = command("distributions", toy_folder, "--json")
    assert (code, json.loads(out)["file"]) == (0, "distributions.png")
    assert (tmp_path / "distributions.png").read_bytes().startswith(PNG)
    assert command("heat-map", grid, "--metric", "recall@20", "--out", "high.svg")[0] == 0
    assert command("heat-map", grid, "--lowest", "--out", "low.svg")[0] == 0
    high, low = ((tmp_path / name).read_bytes() for name in ("high.svg", "low.svg"))
    assert high.startswith(SVG)
    assert high != low


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["curves", "nowhere"], "nowhere/history.csv: not found; expected a run"),
        (["curves", "."], "history.csv: not found; expected a run"),
        (["embeddings", "nowhere"], "nowhere/best.safetensors: not found"),
        (["distributions", "nowhere"], "nowhere"),
        (["distributions", ".", "."], "distributions: 2 inputs; expected one"),
        (["heat-map", "none.csv"], "none.csv: not found; expected a grid in CSV"),
        (
            ["heat-map", "grid.csv", "--out", "a.pdf"],
            "a.pdf: ends in '.pdf'; expected .png or .svg",
        ),
        (["heat-map", "grid.csv", "--out", "grid.csv/a.png"], "expected a writable folder"),
        (
            ["heat-map", "grid.csv", "--metric", "a", "--metric", "b"],
            "--metric: a, b; expected one",
        ),
        (
            ["heat-map", "grid.csv", "--seed", "1"],
            "--seed: means nothing to heat-map; expected emb",
        ),
        (["curves", ".", "--lowest"], "--lowest: means nothing to curves; expected heat-map"),
        (["curves", ".", "."], "named twice"),
    ],
)
def test_mistakes_are_told_in_a_line(command, grid, tmp_path, argv, message):
    code, out, err = command(*argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".png"] == []


def test_a_run_without_modalities_has_no_embeddings(command, toy_folder, tmp_path):
    config = load_config("lightgcn", epochs=1)
    train(config, open_source(toy_folder), tmp_path / "run", progress=False)
    code, _, err = command("embeddings", "run")
    assert code == 2
    assert "run: LightGCN has no embeddings of single modalities" in err
