import numpy as np
import pytest

from mentor_pyg.plots.dataset import (
    degree_tail,
    degrees,
    distributions,
    long_tail_share,
    popularity_curve,
)
from mentor_pyg.typing import INTERACTS

pytest.importorskip("matplotlib")


def naive_degrees(data):
    users, items = [0] * data["user"].num_nodes, [0] * data["item"].num_nodes
    for user, item in data[INTERACTS].edge_index.t().tolist():
        users[user] += 1
        items[item] += 1
    return users, items


def test_degrees_against_a_loop(tiny):
    assert tuple(map(np.ndarray.tolist, degrees(tiny))) == naive_degrees(tiny)


def test_degree_tail_against_counting():
    degree = np.array([0, 3, 1, 1, 7, 3])
    values, share = degree_tail(degree)
    assert values.tolist() == [1, 3, 7]
    assert share.tolist() == [np.mean(degree >= d) for d in (1, 3, 7)]


def test_popularity_curve():
    items, pairs = popularity_curve(np.array([1, 5, 0, 4]))
    assert items.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert pairs.tolist() == [0, 0.5, 0.9, 1, 1]


@pytest.mark.parametrize(
    ("degree", "expected"),
    [([1] * 10, 0.8), ([10, 10] + [0] * 8, 0.0), ([6, 2, 1, 1, 1, 1, 1, 1, 1, 1], 0.5)],
)
def test_long_tail_share(degree, expected):
    assert long_tail_share(np.array(degree)) == pytest.approx(expected)


def test_the_figure_shows_the_dataset(tiny):
    degree, popularity, splits = distributions(tiny).axes
    users, items = map(np.array, naive_degrees(tiny))
    assert (degree.get_xscale(), degree.get_yscale()) == ("log", "log")
    for line, expected in zip(degree.lines, (users, items)):
        for d, share in zip(*line.get_data()):
            assert share == pytest.approx((expected >= d).mean())
    x, y = popularity.lines[0].get_data()
    ranked = np.sort(items)[::-1]
    quarter = np.searchsorted(x, 25)  # 10 of the 40 items
    assert y[quarter] == pytest.approx(100 * ranked[:10].sum() / ranked.sum())
    assert f"{long_tail_share(items):.1%} of the pairs" in popularity.texts[0].get_text()
    store = tiny[INTERACTS]
    sizes = [store.edge_index.size(1)]
    sizes += [store.val_edge_label_index.size(1), store.test_edge_label_index.size(1)]
    assert [bar.get_width() for bar in splits.patches] == sizes
    assert [text.get_text() for text in splits.get_yticklabels()] == ["train", "val", "test"]
