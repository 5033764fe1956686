"""Metrics of single users."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from mentor_pyg._util.escaping import without_formulas
from mentor_pyg.evaluation.metrics import Evaluator
from mentor_pyg.options import checked


@dataclass(frozen=True)
class UserMetrics:
    """Metrics of single users, whose means are the model's metrics.

    Attributes:
        users: Indices of the users in the graph [n], ascending.
        names: Names of the M metrics, e.g. ``recall@20``.
        values: float64 [n, M].
        num_pairs: Number of held-out pairs.
    """

    users: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    num_pairs: int

    def __getitem__(self, name: str) -> np.ndarray:
        """Values of one metric [n]."""
        return self.values[:, self.names.index(name)]

    def mean(self) -> dict[str, float]:
        """Mean of each metric over users."""
        return dict(zip(self.names, self.values.mean(axis=0).tolist()))


def user_metrics(evaluator: Evaluator, lists: Tensor, pairs: Tensor | None = None) -> UserMetrics:
    """Metrics of all users of an evaluator who have held-out pairs.

    Args:
        evaluator: The evaluator.
        lists: Lists from its ``rank``.
        pairs: Mask of the held-out pairs to use; all if not given.
    """
    rows, values = evaluator.measure_users(lists, pairs)
    columns = [value.cpu().double().numpy() for value in values.values()]
    num_pairs = evaluator.label_index.size(1) if pairs is None else int(pairs.sum())
    users = evaluator.users[rows].cpu().numpy()
    return UserMetrics(users, tuple(values), np.stack(columns, axis=1), num_pairs)


def mean_over_runs(runs: Sequence[UserMetrics]) -> UserMetrics:
    """Mean of each user's values over several runs on the same users."""
    first = runs[0]
    assert all(run.names == first.names and np.array_equal(run.users, first.users) for run in runs)
    values = np.mean([run.values for run in runs], axis=0)
    return UserMetrics(first.users, first.names, values, first.num_pairs)


@checked
def write_user_metrics(
    path: Path,
    runs: Mapping[str, UserMetrics],
    user_ids: Sequence[str | int],
    safe_csv: bool = False,
) -> None:
    """Writes a CSV file with one row per run and user.

    Args:
        path: Path of the file.
        runs: Metrics by name of the run.
        user_ids: Original IDs of all users in the graph.
        safe_csv: Whether to escape IDs that a spreadsheet would read as formulas; see
            :func:`~mentor_pyg._util.escaping.without_formulas`.
    """
    names = next(iter(runs.values())).names
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", "user", *names])
        for run, metrics in runs.items():
            for user, row in zip(metrics.users.tolist(), metrics.values.tolist()):
                # Values were computed in float32, which has 7 significant digits.
                cells = [run, user_ids[user], *(f"{value:.7g}" for value in row)]
                writer.writerow(without_formulas(cells) if safe_csv else cells)
