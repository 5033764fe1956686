import numpy as np
import pytest

from mentor_pyg.errors import InputError
from mentor_pyg.plots import TradeOff, trade_off
from mentor_pyg.plots.models import pareto_front
from mentor_pyg.plots.style import COLORS

matplotlib = pytest.importorskip("matplotlib")


def random_points(n, seed=0):
    rng = np.random.default_rng(seed)
    return [
        TradeOff(f"model {i}", float(cost), float(accuracy))
        for i, (cost, accuracy) in enumerate(zip(rng.random(n) + 0.5, rng.random(n)))
    ]


def test_pareto_front_against_all_pairs():
    points = random_points(40)
    naive = [
        p
        for p in points
        if not any(q != p and q.cost <= p.cost and q.accuracy >= p.accuracy for q in points)
    ]
    assert pareto_front(points) == sorted(naive, key=lambda p: p.cost)


def test_points_are_where_they_belong_and_the_front_stands_out():
    points = [TradeOff("a", 1, 0.1), TradeOff("b", 2, 0.3), TradeOff("c", 3, 0.2)]
    (ax,) = trade_off(points, "time [s]", "recall@20").axes
    (scatter,) = ax.collections
    assert scatter.get_offsets().tolist() == [[1, 0.1], [2, 0.3], [3, 0.2]]
    colors = [matplotlib.colors.to_hex(c).upper() for c in scatter.get_facecolors()]
    assert [color == COLORS[0] for color in colors] == [True, True, False]
    assert ax.lines[0].get_xydata().tolist() == [[1, 0.1], [2, 0.3]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [s]", "recall@20")


def test_every_point_has_its_label_and_labels_don_t_overlap():
    points = [*random_points(12), TradeOff("twin a", 1.0, 0.5), TradeOff("twin b", 1.001, 0.501)]
    figure = trade_off(points)
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == [p.name for p in points]
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(ax.bbox.contains(*corner) for box in boxes for corner in box.corners())


@pytest.mark.parametrize(("cost", "scale"), [(10.0, "linear"), (1000.0, "log")])
def test_costs_of_several_magnitudes_are_drawn_by_logarithm(cost, scale):
    (ax,) = trade_off([TradeOff("a", 1.0, 0.1), TradeOff("b", cost, 0.2)]).axes
    assert ax.get_xscale() == scale


def test_nothing_to_plot_is_told():
    with pytest.raises(InputError, match="no points"):
        trade_off([])
