"""How the pairs of a dataset spread over users, items and splits."""

from typing import TYPE_CHECKING

import numpy as np
from torch_geometric.data import HeteroData

from mentor_pyg.choices import SPLITS
from mentor_pyg.plots.style import COLORS, INK, TICK_SIZE, label_axes, log_scale, panels
from mentor_pyg.typing import INTERACTS, ITEM, USER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAD = 0.2
"""Share of the items that is called the head; the rest is the long tail."""

CURVE_POINTS = 501


def degrees(data: HeteroData) -> tuple[np.ndarray, np.ndarray]:
    """Training pairs of every user [U] and of every item [I]."""
    user, item = data[INTERACTS].edge_index.cpu()
    counts = (
        user.bincount(minlength=data[USER].num_nodes),
        item.bincount(minlength=data[ITEM].num_nodes),
    )
    return counts[0].numpy(), counts[1].numpy()


def degree_tail(degree: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The degrees that occur, from 1, and the share of nodes with at least so many pairs."""
    values, counts = np.unique(degree, return_counts=True)
    share = counts[::-1].cumsum()[::-1] / len(degree)
    return values[values > 0], share[values > 0]


def popularity_curve(degree: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the items, most popular first, and of the pairs that they hold.

    Args:
        degree: Pairs of every item [I].

    Returns:
        Two arrays [I + 1], both from 0 to 1.
    """
    pairs = np.concatenate([[0], np.sort(degree)[::-1].cumsum()])
    return np.arange(len(pairs)) / len(degree), pairs / max(1, pairs[-1])


def long_tail_share(degree: np.ndarray, head: float = HEAD) -> float:
    """Share of the pairs that items outside of the head hold."""
    items, pairs = popularity_curve(degree)
    return 1 - float(np.interp(head, items, pairs))


def distributions(data: HeteroData) -> "Figure":
    """Plots degrees, the popularity curve and the sizes of the splits of a dataset."""
    figure, (degree, popularity, splits) = panels(1, 3, 3.6, 3.2)
    users, items = degrees(data)
    _draw_degrees(degree, users, items)
    _draw_popularity(popularity, items)
    _draw_splits(splits, data)
    return figure


def _draw_degrees(ax: "Axes", users: np.ndarray, items: np.ndarray) -> None:
    for name, degree, color, marker in (
        ("users", users, COLORS[0], "o"),
        ("items", items, COLORS[1], "s"),
    ):
        ax.plot(
            *degree_tail(degree),
            drawstyle="steps-pre",
            color=color,
            marker=marker,
            markersize=3,
            linewidth=1,
            label=name,
        )
    log_scale(ax, "x")
    log_scale(ax, "y")
    label_axes(ax, "Degree", "training pairs d", "share with at least d pairs")
    ax.legend(fontsize=TICK_SIZE, frameon=False)


def _draw_popularity(ax: "Axes", degree: np.ndarray) -> None:
    items = np.linspace(0, 1, CURVE_POINTS)
    pairs = np.interp(items, *popularity_curve(degree))
    ax.plot(100 * items, 100 * pairs, color=COLORS[0], linewidth=2)
    ax.fill_between(100 * items, 100 * pairs, where=items >= HEAD, color=COLORS[0], alpha=0.15)
    ax.axvline(100 * HEAD, color=INK, linewidth=1, linestyle=":")
    ax.text(
        100 * (HEAD + 1) / 2,
        30,
        f"long tail:\n{1 - HEAD:.0%} of the items,\n{long_tail_share(degree):.1%} of the pairs",
        ha="center",
        va="center",
        fontsize=TICK_SIZE,
        color=INK,
    )
    ax.set(xlim=(0, 100), ylim=(0, 101))
    label_axes(ax, "Popularity", "items, most popular first [%]", "training pairs [%]")


def _draw_splits(ax: "Axes", data: HeteroData) -> None:
    store = data[INTERACTS]
    sizes = [
        store.edge_index.size(1),
        store.val_edge_label_index.size(1),
        store.test_edge_label_index.size(1),
    ]
    container = ax.barh(SPLITS, sizes, color=COLORS[0], height=0.6)
    total = max(1, sum(sizes))
    ax.bar_label(
        container,
        [f"{size:,} ({size / total:.0%})" for size in sizes],
        fontsize=TICK_SIZE,
        color=INK,
        padding=3,
    )
    ax.invert_yaxis()
    ax.set_xlim(0, 1.55 * max(1, *sizes))  # room for the numbers
    label_axes(ax, "Splits", "pairs", "", grid="")
    ax.tick_params(axis="y", length=0)
    ax.set_xticks([])  # the bars carry their numbers
    ax.spines["bottom"].set_visible(False)
