"""Metrics of trained runs, user by user and group by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from mentor_pyg._util.progress import progress_bar
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.groups import held_out_groups
from mentor_pyg.evaluation.metrics import Evaluator, encode
from mentor_pyg.evaluation.per_user import UserMetrics, user_metrics
from mentor_pyg.options import Lengths, checked
from mentor_pyg.runs.config import RunConfig
from mentor_pyg.runs.run import TrainedRun, load_run
from mentor_pyg.typing import USER


@dataclass(frozen=True)
class RunEvaluation:
    """What a trained run is worth on a split.

    Attributes:
        name: Name of its folder.
        folder: Its folder.
        config: What was trained.
        dataset: Name of the data.
        data_key: Fingerprint of the data.
        split: What it was measured on.
        user_ids: Original ids of all users in the graph.
        metrics: All metrics, coverage too.
        overall: Those of single users.
        groups: The same by grouping and group.
    """

    name: str
    folder: Path
    config: RunConfig
    dataset: str
    data_key: str
    split: str
    user_ids: Sequence[str | int]
    metrics: dict[str, float]
    overall: UserMetrics
    groups: dict[str, dict[str, UserMetrics]]


@torch.no_grad()
@checked
def evaluate_run(
    run: TrainedRun,
    split: Literal["val", "test"] = "test",
    ks: Lengths = (10, 20),
    groupings: Sequence[str] = (),
    **bounds: Any,
) -> RunEvaluation:
    """Ranks all items once and measures users and groups of pairs.

    Args:
        run: A trained run.
        split: :obj:`"val"` or :obj:`"test"`.
        ks: Lengths of the lists.
        groupings: Names out of ``GROUPINGS``.
        **bounds: ``user_bounds`` and ``num_quantiles`` of
            :func:`~mentor_pyg.evaluation.held_out_groups`.

    Raises:
        InputError: If lists of such lengths can't be ranked or a grouping is unknown.
    """
    evaluator = Evaluator(run.data, split, ks)
    parts = {name: held_out_groups(name, run.data, evaluator, **bounds) for name in groupings}
    lists = evaluator.rank(*encode(run.model, run.data))
    user_ids = run.data[USER].original_id
    return RunEvaluation(
        name=run.folder.resolve().name,
        folder=run.folder,
        config=run.config,
        dataset=run.source.name,
        data_key=run.data_key,
        split=split,
        user_ids=user_ids.tolist() if isinstance(user_ids, torch.Tensor) else user_ids,
        metrics=evaluator.measure(lists),
        overall=user_metrics(evaluator, lists),
        groups={
            name: {label: user_metrics(evaluator, lists, pairs) for label, pairs in groups}
            for name, groups in parts.items()
        },
    )


@checked
def evaluate_runs(
    folders: Sequence[str | Path],
    data: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
    **options: Any,
) -> list[RunEvaluation]:
    """:func:`evaluate_run` of the runs in several folders, on the same data.

    Args:
        folders: Folders of runs; one is in memory at a time.
        data: The folder of the data, where it isn't at its old place.
        device: Where to compute.
        progress: Whether to show a progress bar.
        **options: Further arguments of :func:`evaluate_run`.

    Raises:
        FileNotFoundError: If a run or its data aren't there.
        InputError: If a run can't be loaded, is named twice, or was trained on other data
            than the first.
    """
    places = [Path(folder).resolve() for folder in folders]
    for place, folder in zip(places, folders):
        if places.count(place) > 1:
            raise InputError(f"{folder}: is named twice; expected each run once")
    evaluations: list[RunEvaluation] = []
    for folder in progress_bar(folders, "evaluation", progress):
        evaluation = evaluate_run(load_run(folder, data, device), **options)
        first = evaluations[0] if evaluations else evaluation
        if evaluation.data_key != first.data_key:
            raise InputError(
                f"{folder}: was trained on {evaluation.dataset} ({evaluation.data_key}) and "
                f"{first.folder} on {first.dataset} ({first.data_key}); expected the same data"
            )
        evaluations.append(evaluation)
    return evaluations
