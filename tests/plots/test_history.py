import math

import pytest

from mentor_pyg.errors import InputError
from mentor_pyg.plots import read_history, run_names
from mentor_pyg.plots.history import main_metrics
from mentor_pyg.runs.config import load_config

TABLE = """epoch,seconds,bpr,reg,recall@20,ndcg@20
1,0.5,0.7,1e-3,0.10,0.05
2,0.5,0.6,2e-3,,
3,0.5,0.5,3e-3,0.30,0.04
4,0.5,0.4,4e-3,0.30,0.06
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(load_config("lightgcn").to_yaml())
    (folder / "history.csv").write_text(TABLE)
    return folder


def test_columns_are_sorted_out(folder):
    history = read_history(folder)
    assert history.name == "run"
    assert history.epochs == [1, 2, 3, 4]
    assert history.losses == {"bpr": [0.7, 0.6, 0.5, 0.4], "reg": [1e-3, 2e-3, 3e-3, 4e-3]}
    assert list(history.metrics) == ["recall@20", "ndcg@20"]
    recall = history.metrics["recall@20"]
    assert math.isnan(recall[1])
    assert [recall[0], *recall[2:]] == [0.1, 0.3, 0.3]


def test_the_best_epoch_is_the_first_of_the_highest_monitored(folder):
    assert read_history(folder).best_epoch == 3
    config = load_config("lightgcn", ["train.monitor=ndcg@20"])
    (folder / "config.yaml").write_text(config.to_yaml())
    assert read_history(folder, "a").best_epoch == 4


def test_before_the_first_validation_there_is_no_best(folder):
    (folder / "history.csv").write_text("epoch,seconds,bpr\n1,0.5,0.7\n")
    assert read_history(folder).best_epoch is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "has no rows"),
        ("epoch,bpr\n", "has no rows"),
        ("step,bpr\n1,2\n", "expected 'epoch' among them"),
        ("epoch,bpr\n1,2\n2\n", r"history\.csv:3: has 1 cells; expected 2"),
        ("epoch,bpr\n1,much\n", r"history\.csv:2: bpr: 'much'; expected a finite number"),
        ("epoch,bpr\n1,inf\n", "expected a finite number"),
        ("epoch,bpr\n1.5,1\n", "'epoch' doesn't count the rows"),
        ("epoch,bpr\n,1\n", "'epoch' doesn't count the rows"),
        ("epoch,bpr\n1,1\n1,1\n", "'epoch' doesn't count the rows"),
        ("epoch,bpr\n-1,1\n", "'epoch' doesn't count the rows"),
        ("epoch,bpr\n" + "9" * 400 + ",1\n", "expected a finite number"),
        ("epoch,bpr,bpr\n1,1,2\n", "expected each once"),
        ("epoch,recall@20\n1,1.5\n", "recall@20 leaves its range; expected numbers from 0 to 1"),
        ("epoch,recall@20\n1,-1\n", "recall@20 leaves its range"),
        ("epoch,bpr\n1," + "x" * 200_000 + "\n", "isn't CSV"),
        ("epoch" + 5000 * "9" + "\n1\n", r"columns are epoch9{292}\.\.\.; expected 'epoch' among"),
        (
            "epoch," + 2 * ("b" * 999 + ",") + "c\n1,1,1,1\n",
            r"epoch, b{290}\.\.\.; expected each once",
        ),
    ],
)
def test_damaged_tables_are_told(folder, table, message):
    (folder / "history.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        read_history(folder)


def test_bytes_that_are_no_text_are_told(folder):
    (folder / "history.csv").write_bytes(b"epoch\n\xff\xfe\n")
    with pytest.raises(InputError, match="isn't CSV"):
        read_history(folder)


def test_what_is_no_run_is_told(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match=r"history\.csv: not found; expected a run"):
        read_history(tmp_path)
    (folder / "config.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.yaml"):
        read_history(folder)


def test_runs_of_equal_names_are_called_by_their_paths(tmp_path):
    folders = [tmp_path / "a/run", tmp_path / "b/run", tmp_path / "c"]
    assert run_names(folders) == [str(folders[0]), str(folders[1]), "c"]
    with pytest.raises(InputError, match="named twice"):
        run_names([tmp_path / "c", tmp_path / "d/../c"])


def test_main_metrics():
    names = ["recall@10", "ndcg@10", "map@10", "recall@20", "ndcg@20"]
    assert main_metrics(names) == ["recall@10", "recall@20", "ndcg@10", "ndcg@20"]
    assert main_metrics(["map@10"]) == ["map@10"]
