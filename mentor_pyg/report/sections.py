"""The parts of a report: for every dataset, its runs with their tables and plots."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch_geometric.data import HeteroData

from mentor_pyg._util.progress import progress_bar
from mentor_pyg.datasets.source import data_fingerprint
from mentor_pyg.plots.dataset import HEAD, degrees, distributions, long_tail_share
from mentor_pyg.plots.history import curves, main_metrics
from mentor_pyg.plots.items import embeddings
from mentor_pyg.plots.models import bars
from mentor_pyg.plots.sample import ItemSample, has_modality_embeddings, sample_items
from mentor_pyg.plots.style import render
from mentor_pyg.report.results import RunResult, baseline
from mentor_pyg.report.tables import PageTable, results_table, statistics_table
from mentor_pyg.runs.run import load_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Image:
    """A plot for a page: its data URI, the text that stands for it, and its caption."""

    uri: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Section:
    """What a report shows of one dataset.

    Attributes:
        dataset: Its name.
        results: Metrics of the runs.
        statistics: Sizes of the data.
        images: Plots of the runs.
        data_images: Plots of the data.
    """

    dataset: str
    results: PageTable
    statistics: PageTable
    images: list[Image]
    data_images: list[Image]


@dataclass
class _Group:
    """The runs on one dataset, as they are read."""

    dataset: str
    statistics: PageTable
    data_image: Image
    runs: list[RunResult] = field(default_factory=list)
    samples: list[ItemSample] = field(default_factory=list)


def make_sections(
    runs: Sequence[RunResult],
    data: str | Path | None = None,
    num_items: int = 0,
    seed: int = 0,
    progress: bool = True,
) -> list[Section]:
    """Groups runs by the content of their data and draws what they show.

    Args:
        runs: The runs.
        data: Folder of their data, where it isn't at its old place.
        num_items: Items whose embeddings are drawn, none for 0.
        seed: Which ones, and the seed of t-SNE.
        progress: Whether to show progress bars.

    Raises:
        FileNotFoundError: If weights or data aren't there.
        InputError: If they are damaged, or the data are others than a run was trained on.
    """
    groups: dict[str, _Group] = {}
    for run in progress_bar(runs, "runs", progress):
        trained = load_run(run.folder, data)
        raw = trained.source.dataset[0]
        key = data_fingerprint(raw)
        if key not in groups:
            table = statistics_table(trained.source.dataset.statistics())
            groups[key] = _Group(trained.source.name, table, _data_image(raw))
        groups[key].runs.append(run)
        if num_items > 0 and has_modality_embeddings(trained.model):
            groups[key].samples.append(sample_items(trained, num_items, seed, run.name))
    return [_section(group, seed, progress) for group in groups.values()]


def _section(group: _Group, seed: int, progress: bool) -> Section:
    shared = [
        name
        for name in main_metrics(list(baseline(group.runs)))
        if all(name in run.metrics["test"] for run in group.runs)
    ]
    images = [_comparison(group.runs, shared)] if shared else []
    images.append(_curves(group.runs))
    if group.samples:
        images.append(_embeddings(group.samples, seed, progress))
    return Section(
        group.dataset, results_table(group.runs), group.statistics, images, [group.data_image]
    )


def _comparison(runs: Sequence[RunResult], metrics: Sequence[str]) -> Image:
    figure = bars({run.name: run.metrics["test"] for run in runs}, metrics, baseline(runs))
    alt = "; ".join(
        f"{run.name}: " + ", ".join(f"{m} {run.metrics['test'][m]:.4f}" for m in metrics)
        for run in runs
    )
    return image(
        figure, f"Bars of the metrics on test. {alt}.", "Test, beside a ranking by popularity."
    )


def _curves(runs: Sequence[RunResult]) -> Image:
    epochs = ", ".join(f"{run.name} {run.history.best_epoch}" for run in runs)
    return image(
        curves([run.history for run in runs]),
        f"Lines of every loss term and validation metric by epoch. Best epochs: {epochs}.",
        "Loss terms, with their weights, and validation metrics by epoch. "
        "A star marks the epoch whose weights were kept.",
    )


def _embeddings(samples: Sequence[ItemSample], seed: int, progress: bool) -> Image:
    names = ", ".join(sample.name for sample in samples)
    count = len(next(iter(samples[0].embeddings.values())))
    return image(
        embeddings(samples, seed, progress),
        f"Embeddings of {count} items by modality, of {names}: points in the plane, contours "
        "of their density, and the density of the entries.",
        f"Embeddings of the same {count} random items by modality: t-SNE, its density, and the "
        "density of the embeddings' entries, whose mean and variance MENTOR aligns.",
    )


def _data_image(data: HeteroData) -> Image:
    tail = f"{1 - HEAD:.0%} of the items hold {long_tail_share(degrees(data)[1]):.1%}"
    return image(
        distributions(data),
        f"Degrees of users and items, popularity of the items, sizes of the splits. {tail} "
        "of the training pairs.",
        "Degrees and popularity in the training split, and the sizes of the splits.",
    )


def image(figure: "Figure", alt: str, caption: str) -> Image:
    """A figure for a page that needs no further file."""
    content = base64.b64encode(render(figure, ".svg")).decode()
    return Image(f"data:image/svg+xml;base64,{content}", alt, caption)
