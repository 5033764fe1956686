import base64
import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from mentor_pyg.cli.main import main
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.datasets.source import Source, open_source
from mentor_pyg.errors import InputError
from mentor_pyg.report import report_page, write_report
from mentor_pyg.report.tables import duration
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import train

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")

EVIL = "<script>alert('x')</script>&\"$a$"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page taken apart; fails where tags aren't closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.rows = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append((dict(attrs).get("class"), []))
        elif tag in ("td", "th"):
            self.rows[-1][1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][1][-1] += data

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def row(self, heading, last=False):
        """Class and cells of the row of a heading."""
        found = [row for row in self.rows if row[1] and row[1][0].split(" ")[0] == heading]
        return found[-1 if last else 0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of two models on the same data, one with a name that is HTML."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MENTOR_PYG_CACHE", str(root / "cache"))
        source = Source("toys & <b>", str(root), SyntheticDataset.tiny())
        evil = root / EVIL.replace("/", "")
        train(load_config("paper", ["graph.k=5"], epochs=2), source, evil, progress=False)
        config = load_config("lightgcn", ["train.lr=0.02"], epochs=3, seed=4)
        train(config, source, root / "lightgcn", progress=False)
    return [evil, root / "lightgcn"]


def open_tiny(folder):
    return Source("toys & <b>", str(folder), SyntheticDataset.tiny())


@pytest.fixture(autouse=True)
def data(monkeypatch):
    """Opens the tiny dataset wherever a run's data are looked for."""
    monkeypatch.setattr("mentor_pyg.runs.run.open_source", open_tiny)


def read(folder):
    return json.loads((folder / "metrics.json").read_text())


def make(folders, **options):
    return report_page(folders, num_items=0, progress=False, **options)


@pytest.fixture(scope="module")
def text(runs):
    """A page of both runs, with everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mentor_pyg.runs.run.open_source", open_tiny)
        patch.setenv("MENTOR_PYG_CACHE", str(runs[0].parent / "cache"))
        return report_page(runs, title="<i>title</i>", num_items=10, progress=False)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def damaged(runs, folder, **changes):
    """A copy of a run with changes of its results."""
    shutil.copytree(runs[1], folder)
    path = folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_the_page_is_whole_and_loads_nothing(text, page):
    assert text.startswith("<!DOCTYPE html>")
    for _, attrs in page.tags:
        assert not attrs.keys() & {"href", "srcset", "onload", "onclick"}
        assert attrs.get("src", "data:image/svg+xml;base64,").startswith("data:image/svg+xml;")
    assert not page.of("script") + page.of("link") + page.of("iframe")
    assert "url(" not in text
    assert "@import" not in text
    assert re.search(r"https?:", text) is None
    assert "default-src 'none'" in page.of("meta")[-1]["content"]


def test_what_users_name_is_escaped(text, page):
    assert "<script" not in text
    assert "<b>" not in text
    assert "<i>" not in text
    assert any(EVIL.replace("/", "") in t for t in page.texts)
    assert "<i>title</i>" in page.texts
    for attrs in page.of("img"):
        svg = base64.b64decode(attrs["src"].partition(",")[2]).decode()
        assert "<script" not in svg


def test_all_figures_of_all_runs_are_there_and_the_best_is_marked(runs, page):
    results = [read(run) for run in runs]
    for name in results[0]["test"]:
        expected = [name]
        for split in ("val", "test"):
            values = [result[split][name] for result in results]
            expected += [f"{v:.4f}" + "★" * (v == max(values)) for v in values]
        expected.append(f"{results[0]['popularity'][name]:.4f}")
        assert page.row(name)[1] == expected
    for result, cell in zip(results, page.row("best")[1][1:]):
        assert cell == f"{result['best_epoch']} of {result['epochs_run']}"
    assert page.row("torch")[1][1:] == [r["versions"]["torch"] for r in results]
    assert page.row("model")[1][1:] == ["MENTOR", "LightGCN"]
    assert page.row("seed")[1][1:] == ["0", "4"]


def test_a_single_run_has_no_best_and_synthetic_data_are_warned_of(runs, page, tmp_path):
    assert "Synthetic data." not in page.texts
    page = Page(make([damaged(runs, tmp_path / "made up", data_source="synthetic")]))
    assert "Synthetic data." in page.texts
    assert any("The data of made up were made up by a seed" in text for text in page.texts)
    assert page.row("recall@20")[1][1] == f"{read(runs[1])['val']['recall@20']:.4f}"
    assert not any("★" in text for text in page.texts)
    assert not [row for row in page.rows if row[0] == "differs"]


def test_settings_that_differ_are_marked(page):
    assert page.row("train.lr", last=True) == ("differs", ["train.lr ≠", "0.0001", "0.02"])
    assert page.row("train.monitor") == (None, ["train.monitor", "recall@20", "recall@20"])
    assert page.row("graph.k")[1] == ["graph.k ≠", "5", "n/a"]
    marks = [row[0] for row in page.rows if row[1][0].split(" ")[0].startswith("train.")]
    assert marks == sorted(marks, key=lambda mark: mark is None)


def test_statistics_and_plots(runs, page):
    assert page.row("users")[1] == ["users", "60"]
    assert page.row("items")[1] == ["items", "40"]
    assert page.row("visual")[1][1] == "12 wide, of 100.0% of the items"
    alts = [attrs["alt"] for attrs in page.of("img")]
    assert len(alts) == 4
    assert f"recall@20 {read(runs[1])['test']['recall@20']:.4f}" in alts[0]
    assert f"lightgcn {read(runs[1])['best_epoch']}" in alts[1]
    assert "10 items by modality" in alts[2]
    assert "sizes of the splits" in alts[3]


def test_tables_can_be_read_aloud(page):
    assert page.of("html") == [{"lang": "en"}]
    assert all(attrs["scope"] in ("col", "row", "colgroup") for attrs in page.of("th"))
    assert len(page.of("caption")) == len(page.of("table")) == 4
    assert all(attrs["aria-label"] for attrs in page.of("div"))


def test_runs_on_different_data_are_shown_apart(runs, tmp_path, monkeypatch, toy_folder):
    source = open_source(toy_folder)
    dataset = SyntheticDataset.tiny(seed=1)
    train(
        load_config("lightgcn", epochs=1),
        Source("others", "others", dataset),
        tmp_path / "other",
        progress=False,
    )
    monkeypatch.setattr(
        "mentor_pyg.runs.run.open_source",
        lambda folder: Source("others", "others", dataset) if folder == "others" else source,
    )
    page = Page(make([runs[1], tmp_path / "other"]))
    assert "2 different datasets." in page.texts
    assert {"Results: toy", "Results: others"} <= set(page.texts)
    assert not any("★" in text for text in page.texts)


def test_runs_that_measured_other_lists(runs, tmp_path):
    """They share no metric: no bars, and no cell is the best."""
    config = load_config("lightgcn", ["train.ks=[5]", "train.monitor=recall@5"], epochs=1)
    source = Source("toys", "toys", SyntheticDataset.tiny())
    train(config, source, tmp_path / "short", progress=False)
    page = Page(make([runs[1], tmp_path / "short"]))
    assert page.row("recall@5")[1][1] == "n/a"
    assert page.row("recall@20")[1][2] == "n/a"
    assert not any("★" in text for text in page.texts)
    assert len(page.of("img")) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": 3}, "test is 3; expected metrics by name"),
        ({"seed": None}, "seed is None"),
        ({"val": {"recall@20": "high"}}, "val recall@20 is 'high'; expected a number from 0 to 1"),
        ({"val": {"recall@20": -1}}, "val recall@20 is -1; expected a number from 0 to 1"),
        ({"popularity": {"recall@20": 1.5}}, r"popularity recall@20 is 1\.5; expected a number"),
        ({"val": {"recall@20": 10**400}}, "val recall@20 is 10+"),
        ({"epochs_run": 10**400}, "epochs_run is 10+"),
        ({"best_epoch": 4}, "best_epoch is 4; expected a whole number from 1 to 3"),
        ({"seconds_per_epoch": -1}, "seconds_per_epoch is -1"),
        ({"versions": {"torch": 2}}, "versions is {'torch': 2}; expected texts by name"),
        ({"format": 2}, "is in format 2 of mentor_pyg '.*'; expected format 1"),
        ({"kind": None}, "holds no result of a run"),
        ({"test": {"recall@20": float("nan")}}, "isn't valid JSON"),
    ],
)
def test_damaged_results_are_told(runs, tmp_path, changes, message):
    with pytest.raises(InputError, match=rf"metrics\.json: {message}"):
        make([damaged(runs, tmp_path / "run", **changes)])


@pytest.mark.parametrize("name", ["peak_memory_mb", "seconds_per_epoch", "val", "versions"])
def test_results_that_lack_something_are_told(runs, tmp_path, name):
    path = damaged(runs, tmp_path / "run") / "metrics.json"
    metrics = json.loads(path.read_text())
    del metrics[name]
    path.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=rf"metrics\.json: {name} is "):
        make([tmp_path / "run"])


def test_other_bad_runs(runs, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metrics\.json: not found; expected a finished"):
        make([tmp_path])
    run = damaged(runs, tmp_path / "run")
    with pytest.raises(InputError, match="named twice"):
        make([run, run])
    (run / "history.csv").write_text("epoch,bpr\n1\n")
    with pytest.raises(InputError, match=r"history\.csv:2: has 1 cells"):
        make([run])
    (run / "metrics.json").write_text("{")
    with pytest.raises(InputError, match=r"metrics\.json: isn't valid JSON"):
        make([run])
    (run / "metrics.json").write_text("[]")
    with pytest.raises(InputError, match="holds no result of a run"):
        make([run])
    with pytest.raises(InputError, match="no runs are named"):
        make([])


@pytest.mark.parametrize("name", ["config.yaml", "history.csv", "best.safetensors"])
def test_files_of_two_runs_are_not_taken_for_one(runs, tmp_path, name):
    config = load_config("lightgcn", ["train.lr=0.02"], epochs=3, seed=5)
    source = Source("toys & <b>", "toys", SyntheticDataset.tiny())
    train(config, source, tmp_path / "other", progress=False)
    run = damaged(runs, tmp_path / "run")
    shutil.copy(tmp_path / "other" / name, run / name)
    with pytest.raises(InputError, match=rf"{name}: does not match metrics\.json beside it"):
        make([run])


def test_bad_files_are_told_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"report\.pdf: isn't a page; expected a \.html file"):
        write_report(["nowhere"], tmp_path / "report.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a writable folder"):
        write_report(["nowhere"], tmp_path / "file/report.html")


def test_the_command(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mentor_pyg.cli.main.commands", ["report"])
    out = tmp_path / "new/report.html"
    argv = ["report", str(runs[1]), "--out", str(out), "--title", "A title", "--items", "0"]
    argv += ["--quiet", "--json"]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": [str(runs[1])], "file": str(out)}
    assert "A title" in Page(out.read_text(encoding="utf-8")).texts
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    assert main(["report", str(tmp_path), "--out", str(out), "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3599.9, "1 h 0 min"), (7260, "2 h 1 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
