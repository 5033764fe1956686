"""Where the embeddings of the items lie by modality, and how they spread."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mentor_pyg._util.extras import optional
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.errors import InputError
from mentor_pyg.plots.sample import ItemSample
from mentor_pyg.plots.style import (
    COLORS,
    MARKERS,
    TICK_SIZE,
    figure_legend,
    label_axes,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BANDWIDTH = 0.2
"""Of the kernel, in standard deviations of what is drawn."""

PERPLEXITY = 30
MASSES = (0.9, 0.7, 0.5, 0.3, 0.1)
"""Contours surround these shares of a density."""

GRID_SIZE = 120
REACH = 5
"""Densities are computed as far as so many bandwidths around the points."""

TAIL = 0.002
"""Share of the entries, on both sides, that the view leaves out."""


def map_to_plane(embeddings: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """Coordinates [n, 2] of the embeddings of all modalities in one plane, by t-SNE.

    They have mean zero and variance one over all modalities, in both directions together,
    since the scale of t-SNE means nothing.

    Raises:
        InputError: If all embeddings are equal.
    """
    stacked = np.concatenate(list(embeddings.values()))
    if (stacked == stacked[0]).all():
        raise InputError("all embeddings are equal; expected some that differ")
    tsne = optional("sklearn.manifold").TSNE(
        perplexity=min(PERPLEXITY, (len(stacked) - 1) / 3),
        init="pca" if stacked.shape[1] > 1 else "random",
        random_state=seed,
    )
    # One thread: the order of sums is then the same on any machine, and threads that wait
    # for each other a thousand times are slower than none where others compute too.
    with optional("threadpoolctl").threadpool_limits(1):
        plane = tsne.fit_transform(stacked).astype(float)
    plane -= plane.mean(axis=0)
    plane /= np.sqrt(plane.var(axis=0).mean())
    return dict(zip(embeddings, np.split(plane, len(embeddings))))


def density(points: np.ndarray, at: np.ndarray, bandwidth: float = BANDWIDTH) -> np.ndarray:
    """Gaussian kernel density of points [n, d] at other points [m, d]."""
    kde = optional("sklearn.neighbors").KernelDensity(bandwidth=bandwidth, kernel="gaussian")
    return np.exp(kde.fit(points).score_samples(at))


def mass_levels(values: np.ndarray, masses: Sequence[float] = MASSES) -> list[float]:
    """Heights above which a density on a regular grid holds the given shares of its mass.

    Args:
        values: The density at all points of the grid.
        masses: The shares, falling; the heights rise.
    """
    ranked = np.sort(values, axis=None)[::-1]
    mass = ranked.cumsum() / ranked.sum()
    return [float(ranked[np.searchsorted(mass, share)]) for share in masses]


def embeddings(samples: Sequence[ItemSample], seed: int = 0, progress: bool = True) -> "Figure":
    """Plots t-SNE, its density, and the density of the entries, a column a run.

    Figure 3 of the `"MENTOR" <https://arxiv.org/abs/2402.19407>`_ paper, with a third row
    for what its alignment measures: mean and variance of all entries.

    Args:
        samples: The runs.
        seed: Seed of t-SNE.
        progress: Whether to show a progress bar.
    """
    shape = (3, len(samples)) if len(samples) > 1 else (1, 3)
    figure, axes = panels(*shape, 3.6, 3.4)
    rows = [axes[i * len(samples) : (i + 1) * len(samples)] for i in range(3)]
    names = list(dict.fromkeys(m for sample in samples for m in sample.embeddings))
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
    planes = [map_to_plane(s.embeddings, seed) for s in progress_bar(samples, "t-SNE", progress)]
    reach = max(float(np.abs(p).max()) for plane in planes for p in plane.values())
    reach += 3 * BANDWIDTH
    for sample, plane, scatter, contours, entries in zip(samples, planes, *rows):
        _draw_scatter(scatter, plane, colors)
        _draw_contours(contours, plane, colors, reach)
        _draw_entries(entries, sample.embeddings, colors)
        label_axes(scatter, sample.name, "t-SNE 1 [std]", "t-SNE 2 [std]", grid="")
        label_axes(contours, "density of the plane", "t-SNE 1 [std]", "t-SNE 2 [std]", grid="")
        label_axes(entries, "density of the entries", "entry of the embedding", "density")
        for ax in (scatter, contours):
            ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
            ax.set_aspect("equal", adjustable="box")
    _share_view(rows[2])
    patch = optional("matplotlib.patches").Patch
    figure_legend(figure, [patch(color=colors[name]) for name in names], names)
    return figure


def _share_view(axes: Sequence["Axes"]) -> None:
    """Equal limits for all axes, which show everything that each of them did."""
    (left, right), (low, high) = (
        (min(view[0] for view in views), max(view[1] for view in views))
        for views in ([ax.get_xlim() for ax in axes], [ax.get_ylim() for ax in axes])
    )
    for ax in axes:
        ax.set(xlim=(left, right), ylim=(low, high))


def _draw_scatter(ax: "Axes", plane: Mapping[str, np.ndarray], colors: Mapping[str, str]) -> None:
    for i, (name, points) in enumerate(plane.items()):
        x, y = points.T
        ax.scatter(
            x,
            y,
            s=9,
            alpha=0.7,
            color=colors[name],
            marker=MARKERS[i % len(MARKERS)],
            rasterized=True,  # an SVG of a thousand symbols is large and slow
        )


def _draw_contours(
    ax: "Axes", plane: Mapping[str, np.ndarray], colors: Mapping[str, str], reach: float
) -> None:
    ticks = np.linspace(-reach, reach, GRID_SIZE)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    for name, points in plane.items():
        heights = density(points, grid.reshape(-1, 2)).reshape(GRID_SIZE, GRID_SIZE)
        levels = mass_levels(heights)
        shades = [(colors[name], 0.5 * (1 - mass)) for mass in MASSES]
        ax.contourf(ticks, ticks, heights, [*levels, np.inf], colors=shades)
        ax.contour(ticks, ticks, heights, levels, colors=colors[name], linewidths=1)


def _draw_entries(
    ax: "Axes", embeddings: Mapping[str, np.ndarray], colors: Mapping[str, str]
) -> None:
    """The density of all entries of each modality; the legend has their moments."""
    entries = {name: z.astype(float).reshape(-1, 1) for name, z in embeddings.items()}
    stacked = np.concatenate(list(entries.values()))
    bandwidth = BANDWIDTH * float(stacked.std())
    at = np.linspace(
        stacked.min() - REACH * bandwidth, stacked.max() + REACH * bandwidth, 2 * GRID_SIZE
    )
    for name, values in entries.items():
        label = f"mean {values.mean():.2g}, variance {values.var():.2g}"
        heights = density(values, at[:, None], bandwidth)
        ax.plot(at, heights, color=colors[name], linewidth=1.8, label=label)
        ax.fill_between(at, heights, color=colors[name], alpha=0.12)
    ax.set_xlim(*np.quantile(stacked, [TAIL, 1 - TAIL]))
    ax.set_ylim(0, 1.35 * ax.get_ylim()[1])  # room for the legend
    ax.legend(fontsize=TICK_SIZE, frameon=False, loc="upper right")
