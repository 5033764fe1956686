import math
from itertools import pairwise

import pytest

from mentor_pyg.errors import InputError
from mentor_pyg.plots import History, bars, curves
from mentor_pyg.plots.style import series_style

pytest.importorskip("matplotlib")

NAN = math.nan
FIRST = History(
    "first",
    "recall@20",
    [1, 2, 3],
    {"bpr": [0.7, 0.6, 0.5], "align": [0.3, 0.2, 0.1]},
    {"recall@20": [0.1, 0.4, 0.3], "map@20": [0.0, 0.1, 0.2]},
)
SECOND = History(
    "second",
    "recall@20",
    [1, 2, 3, 4],
    {"bpr": [0.9, 0.8, 0.7, 0.6]},
    {"recall@20": [NAN, 0.2, NAN, 0.5]},
)


def axes_by_title(figure):
    return {ax.get_title(loc="left"): ax for ax in figure.axes}


def lines(ax):
    """What is drawn: the runs' lines by label, and the stars."""
    points = {line.get_label(): list(zip(*line.get_data())) for line in ax.lines}
    stars = [points[line.get_label()][0] for line in ax.lines if line.get_marker() == "*"]
    return {name: p for name, p in points.items() if not name.startswith("_")}, stars


def test_every_term_and_metric_has_its_axes_with_a_line_a_run():
    axes = axes_by_title(curves([FIRST, SECOND]))
    assert list(axes) == ["bpr", "align", "recall@20"]
    drawn, stars = lines(axes["recall@20"])
    assert drawn == {"first": [(1, 0.1), (2, 0.4), (3, 0.3)], "second": [(2, 0.2), (4, 0.5)]}
    assert stars == [(2, 0.4), (4, 0.5)]
    drawn, stars = lines(axes["bpr"])
    assert drawn["first"] == [(1, 0.7), (2, 0.6), (3, 0.5)]
    assert stars == [(2, 0.6), (4, 0.6)]
    assert lines(axes["align"])[0]["second"] == []
    assert all(ax.get_xlabel() == "epoch" and ax.get_ylabel() for ax in axes.values())


def test_a_run_has_its_colour_everywhere_and_a_place_in_the_legend():
    figure = curves([FIRST, SECOND])
    for ax in figure.axes:
        colors = {line.get_label(): line.get_color() for line in ax.lines}
        assert colors["first"] == series_style(0)["color"]
        assert colors["second"] == series_style(1)["color"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["first", "second", "best epoch"]


def test_metrics_can_be_chosen():
    assert list(axes_by_title(curves([FIRST], ["map@20"]))) == ["bpr", "align", "map@20"]
    with pytest.raises(InputError, match=r"'hit@3' wasn't measured; expected one of recall@20"):
        curves([FIRST], ["hit@3"])


def test_before_the_first_validation_nothing_is_marked():
    figure = curves([History("new", "recall@20", [1], {"bpr": [0.7]}, {})])
    assert lines(figure.axes[0]) == ({"new": [(1, 0.7)]}, [])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["new"]


def test_an_empty_history_is_told():
    with pytest.raises(InputError, match="neither losses nor metrics"):
        curves([History("new", "recall@20", [1], {}, {})])


def test_bars_are_as_high_as_the_metrics_and_don_t_overlap():
    values = {"a": {"recall@20": 0.1, "ndcg@20": 0.05}, "b": {"recall@20": 0.2, "ndcg@20": 0.03}}
    figure = bars(values, ["recall@20", "ndcg@20"], {"recall@20": 0.01, "ndcg@20": 0.02})
    (ax,) = figure.axes
    heights = [[bar.get_height() for bar in container] for container in ax.containers]
    assert heights == [[0.1, 0.05], [0.2, 0.03], [0.01, 0.02]]
    spans = sorted((b.get_x(), b.get_x() + b.get_width()) for c in ax.containers for b in c)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["recall@20", "ndcg@20"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b", "by popularity"]


def test_the_best_epoch_is_found_once_a_panel(monkeypatch):
    """Not once a point, which took minutes of long runs."""
    calls = []
    best = History.best_epoch.fget
    monkeypatch.setattr(History, "best_epoch", property(lambda h: (calls.append(h), best(h))[1]))
    losses, metrics = {"bpr": 500 * [1.0]}, {"recall@20": 500 * [0.1]}
    curves([History("a", "recall@20", list(range(500)), losses, metrics)])
    assert 0 < len(calls) <= 5


def test_more_runs_than_colors_are_told_apart():
    figure = bars({f"run {i}": {"recall@10": 0.1} for i in range(9)}, ["recall@10"])
    looks = [(c[0].get_facecolor(), c[0].get_hatch()) for c in figure.axes[0].containers]
    assert len(set(looks)) == 9
