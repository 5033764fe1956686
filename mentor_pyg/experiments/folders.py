"""Where a plan's runs lie, and whether those that are there are the plan's."""

from pathlib import Path
from typing import Any

from mentor_pyg._util.csv_files import read_csv
from mentor_pyg.datasets.source import data_fingerprint, open_source
from mentor_pyg.errors import InputError, shown
from mentor_pyg.experiments.plan import Plan, Variant
from mentor_pyg.runs.config import RunConfig, load_config
from mentor_pyg.runs.files import CONFIG, LAST, METRICS, check_files, read_last, read_metrics
from mentor_pyg.training.checkpoint import differences

LONGEST = 4096
"""Characters of a value in messages, which may be a path."""


def model_folder(out: Path, dataset: str, variant: Variant) -> Path:
    """Where everything about a model on a dataset lies."""
    return out / dataset / variant.slug


def run_folder(out: Path, dataset: str, variant: Variant, seed: int) -> Path:
    """Where the run of a model under a seed lies."""
    return model_folder(out, dataset, variant) / f"seed-{seed}"


def search_folder(out: Path, dataset: str, variant: Variant) -> Path:
    """Where the search of a model lies, if the plan has trials."""
    return model_folder(out, dataset, variant) / "search"


def best_preset(out: Path, dataset: str, variant: Variant) -> Path:
    """What a search found, as a preset."""
    return search_folder(out, dataset, variant) / "best.yaml"


def check_folders(plan: Plan, out: Path, needs_data: bool = True) -> None:
    """Makes sure that runs and searches under ``out`` are those of the plan.

    Settings must be equal but for the preset's name, and so must the content of the data,
    wherever they lie.

    Args:
        plan: The plan.
        out: Folder of all results.
        needs_data: Whether the data have to be there; else those of which only results are
            left aren't compared.

    Raises:
        FileNotFoundError: If the data aren't there.
        InputError: If they can't be used, or something was trained with other settings or
            data; the message names the first difference.
    """
    for dataset, folder_of_data in plan.datasets.items():
        data = _data(folder_of_data, needs_data)
        for variant in plan.variants:
            if plan.trials:
                _check_search(plan, out, dataset, variant)
            for seed in plan.seeds:
                folder = run_folder(out, dataset, variant, seed)
                if (folder / METRICS).exists() or (folder / LAST).exists():
                    planned = planned_config(plan, out, dataset, variant, seed)
                    _check_run(folder, planned, data)


def _data(folder: str, is_needed: bool) -> tuple[str, str] | None:
    """Where the data in a folder are and their fingerprint; None if they are gone."""
    try:
        source = open_source(folder)
    except FileNotFoundError:
        if is_needed:
            raise
        return None
    return source.origin, data_fingerprint(source.dataset[0])


def planned_config(plan: Plan, out: Path, dataset: str, variant: Variant, seed: int) -> RunConfig:
    """The settings that a run has by the plan, and by the search if there is one."""
    if not plan.trials:
        return variant.config(seed)
    best = best_preset(out, dataset, variant)
    if not best.exists():
        raise InputError(
            f"{run_folder(out, dataset, variant, seed)}: was trained without a search, the plan "
            f"has trials: {plan.trials}; expected the same, or remove the folder"
        )
    return load_config(str(best), seed=seed)


def _check_search(plan: Plan, out: Path, dataset: str, variant: Variant) -> None:
    """Compares what a finished search didn't change with the plan, and its trials."""
    folder, best = search_folder(out, dataset, variant), best_preset(out, dataset, variant)
    if not best.exists():
        return
    search, found = plan.search(variant), load_config(str(best))
    try:
        chosen = {key: _value(found.to_dict(), key) for key in search.space.parameters}
    except KeyError as error:
        raise InputError(
            f"{best}: {error.args[0]} wasn't searched; expected the plan's search space, "
            f"or remove {folder}"
        ) from None
    _compare(folder, "searched", found, search.configure(chosen))
    trials = len(read_csv(folder / "trials.csv", "the trials of a search")[1])
    if trials != min(plan.trials, search.space.size):
        _refuse(folder, "searched", "trials", trials, plan.trials)


def _value(settings: Any, key: str) -> Any:
    """The value of a setting by its dotted name."""
    for part in key.split("."):
        if not isinstance(settings, dict) or part not in settings:
            raise KeyError(key)
        settings = settings[part]
    return settings


def _check_run(folder: Path, planned: RunConfig, data: tuple[str, str] | None) -> None:
    config, trained_on = _trained(folder)
    _compare(folder, "trained", config, planned)
    if data is not None and data[1] != trained_on[1]:
        is_moved = data[0] != trained_on[0]  # else the folder says nothing of what differs
        found, ours = (trained_on[0], data[0]) if is_moved else (trained_on[1], data[1])
        _refuse(folder, "trained", "data", found, ours)


def _trained(folder: Path) -> tuple[RunConfig, tuple[str, str]]:
    """Settings of a run, where its data were, and their fingerprint."""
    if (folder / METRICS).exists():
        metrics = read_metrics(folder)
        check_files(folder, metrics, CONFIG)
        return load_config(str(folder / CONFIG)), (metrics["data_source"], metrics["data"])
    saved = read_last(folder)
    return saved.config, (saved.origin, saved.data)


def _compare(folder: Path, how: str, found: RunConfig, planned: RunConfig) -> None:
    for name, theirs, ours in differences(found.to_dict(), planned.to_dict()):
        if name != "preset":
            _refuse(folder, how, name, theirs, ours)


def _refuse(folder: Path, how: str, name: str, found: Any, planned: Any) -> None:
    theirs, ours = (shown(value, LONGEST) for value in (found, planned))
    raise InputError(
        f"{folder}: was {how} with {name} = {theirs}, the plan has {ours}; "
        "expected the same, or remove the folder"
    )
