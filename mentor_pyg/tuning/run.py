"""A search for hyper-parameters: trials on validation, then one look at test."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mentor_pyg._util.extras import is_installed, pip_install
from mentor_pyg._util.files import write_text
from mentor_pyg._util.locks import sole_writer
from mentor_pyg.datasets.source import Source, data_fingerprint, synthetic_warning
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.plots import heat_map, save_figure
from mentor_pyg.runs.files import LAST, METRICS, read_metrics
from mentor_pyg.runs.run import train
from mentor_pyg.tuning.objective import ValidationObjective
from mentor_pyg.tuning.search import Search
from mentor_pyg.tuning.study import Study
from mentor_pyg.tuning.trials import Trial, best_grid, best_trial, trials_csv

logger = logging.getLogger("mentor_pyg")

HEAT_MAPS = (
    ("options.mask_dropout", "options.mask_weight"),
    ("options.temperature", "options.contrast_weight"),
)
"""Columns and rows of Fig. 5 of the MENTOR paper."""


@checked
def tune(
    search: Search,
    source: Source,
    out: Path,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> dict[str, Any]:
    """Searches on validation, trains the best configuration again, reads test once.

    ========================  ==================================================
    ``study.db``              the trials, to go on from; Optuna's tools read it
    ``trials.csv``            a row for every trial
    ``heatmap-<x>-<y>.csv``   the best value for each pair of two settings, drawn as
                              ``.png`` where matplotlib is installed
    ``best.yaml``             the best configuration, a preset
    ``runs/``                 a folder of :func:`~mentor_pyg.runs.run.train` for
                              every seed of the best configuration
    ========================  ==================================================

    An interrupted search goes on by the same call; what is finished isn't done again. One
    process at a time may write to the folder.

    Args:
        search: What to search.
        source: The data.
        out: The folder.
        device: Where to compute.
        progress: Whether to show progress bars.

    Returns:
        ``best`` with its ``trial``, ``settings`` and ``value``; the ``runs`` with their
        metrics; how many ``trials`` ended how; the ``importance`` of settings, empty if
        there are too few trials; and what was searched.

    Raises:
        InputError: If the search can't be made, is another one than the folder's, no
            trial ends well, or another process writes to the folder.
    """
    search.check()
    with sole_writer(out):
        return _tune(search, source, out, torch.device(device), progress)


def _tune(
    search: Search, source: Source, out: Path, device: torch.device, progress: bool
) -> dict[str, Any]:
    data = source.dataset[0]
    base = search.configure({})
    identity = {"data": data_fingerprint(data), "config": base.to_dict()}
    with Study(
        path=out / "study.db",
        space=search.space,
        monitor=base.train.monitor,
        identity=identity,
        sampler=search.sampler,
        seed=base.train.seed,
        prune_after=search.prune_after,
    ) as study:
        trials = _search(study, search, ValidationObjective(search, data, device, progress))
        importance = study.importance()
    best = best_trial(trials)
    if best is None:
        why = trials[-1].reason or "pruned"
        raise InputError(f"none of {len(trials)} trials was completed ({why}); expected one")
    _write_heat_maps(out, search, trials)
    head = f"# The best of {len(trials)} trials on {source.name}: trial {best.number}\n"
    write_text(out / "best.yaml", head + search.configure(best.settings).to_yaml())
    return {
        "dataset": source.name,
        "data_source": source.origin,
        "preset": base.preset,
        "space": search.space.name,
        "sampler": search.sampler,
        "monitor": base.train.monitor,
        "trials": {s: sum(t.state == s for t in trials) for s in ("complete", "pruned", "failed")},
        "best": {"trial": best.number, "settings": best.settings, "value": best.value},
        "importance": importance,
        "runs": [
            _final_run(search, best, seed, source, out, device, progress)
            for seed in ([] if search.search_only else search.seeds or [base.train.seed])
        ],
    }


def _search(study: Study, search: Search, objective: ValidationObjective) -> list[Trial]:
    """All trials, written as a table even if the search is interrupted."""
    try:
        return study.run(objective, search.trials, objective.progress)
    except KeyboardInterrupt:
        logger.info(f"stopped after {len(study.trials())} trials; the same command goes on")
        raise
    finally:
        write_text(study.path.parent / "trials.csv", trials_csv(study.trials(), study.monitor))


def _write_heat_maps(out: Path, search: Search, trials: Sequence[Trial]) -> None:
    searched = search.space.parameters.keys()
    pairs = search.heat_maps or [pair for pair in HEAT_MAPS if searched >= set(pair)]
    if pairs and not is_installed("matplotlib"):
        logger.info(f"heat maps aren't drawn: that takes {pip_install('matplotlib')}")
    for x, y in pairs:
        path, grid = out / f"heatmap-{x}-{y}.csv".replace("/", "-"), best_grid(trials, x, y)
        write_text(path, grid.to_csv())
        if is_installed("matplotlib"):
            save_figure(heat_map(grid, "best on validation"), path.with_suffix(".png"))


def _final_run(
    search: Search,
    best: Trial,
    seed: int,
    source: Source,
    out: Path,
    device: torch.device,
    progress: bool,
) -> dict[str, Any]:
    """Metrics of the best configuration with a seed, from its folder if it is finished."""
    folder = out / "runs" / f"trial-{best.number}-seed-{seed}"
    if (folder / METRICS).exists():
        return read_metrics(folder)
    config = search.configure(best.settings, seed)
    resume = (folder / LAST).exists()
    return train(config, source, folder, device, progress, resume, force=True)


def search_summary(results: Mapping[str, Any]) -> str:
    """A table of what :func:`tune` found, for the terminal."""
    best, importance = results["best"], results["importance"]
    counts = ", ".join(f"{n} {state}" for state, n in results["trials"].items() if n)
    lines = [f"{results['space']} on {results['dataset']} by {results['sampler']}: {counts}"]
    lines += synthetic_warning(results["data_source"])
    lines.append(f"best: trial {best['trial']}, {results['monitor']} {best['value']:.4f}")
    width = max(map(len, best["settings"]))
    for key, value in best["settings"].items():
        share = f"  importance {importance[key]:.2f}" if key in importance else ""
        lines.append(f"  {key:<{width}}  {json.dumps(value):<8}{share}".rstrip())
    if not importance:
        lines.append("  too few trials, or all alike: the settings' importance can't be told")
    if not results["runs"]:
        return "\n".join(lines)
    columns = [c for c in results["runs"][0]["test"] if c.startswith(("recall@", "ndcg@"))]
    lines.append(f"{'':<20}" + "".join(f"{c:>12}" for c in columns))
    for split, name in (("val", "validation"), ("test", "test")):
        for run in results["runs"]:
            figures = "".join(f"{run[split][c]:>12.4f}" for c in columns)
            label = f"{name}, seed {run['seed']}"
            lines.append(f"{label:<20}{figures}")
    return "\n".join(lines)
