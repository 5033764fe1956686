"""Plans in YAML, read and checked."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from mentor_pyg._util.named_yaml import PLANS, PRESETS, SPACES, beside
from mentor_pyg._util.option_words import Words
from mentor_pyg.datasets.source import KNOWN
from mentor_pyg.errors import InputError, brief, shown
from mentor_pyg.evaluation.metrics import metric_names
from mentor_pyg.experiments.plan import Plan, Variant, check_dataset_names
from mentor_pyg.options import NonNegativeInt, check_value, checked
from mentor_pyg.training.config import check_seeds
from mentor_pyg.tuning.space import as_changes

KEYS = ("datasets", "seeds", "trials", "set", "models", "sweep", "reference", "metrics")

MODEL_KEYS = ("name", "preset", "set", "space")

Texts = Annotated[Sequence[str], Words("a list of texts")]


def plan_names() -> list[str]:
    """Plans that come with the package."""
    return PLANS.names()


@checked
def read_plan(
    name: str | Path,
    datasets: Mapping[str, str] | None = None,
    changes: Sequence[str] = (),
) -> Plan:
    """Reads a plan and checks all of its configurations.

    ===============  =========================================================
    ``datasets``     folders by name, from the folder of the file
    ``seeds``        a list, [0, 1, 2] if there is none
    ``trials``       trials of each model's search, 0 if there is none
    ``set``          settings of all models, e.g. ``[train.epochs=30]``
    ``models``       names of presets, or mappings with ``name``, ``preset``,
                     ``set`` and ``space``; files are named from the folder
                     of the file
    ``sweep``        values by setting; every model is taken with every
                     combination of them
    ``reference``    name of the model that the others are tested against
    ``metrics``      what tables show, ``[recall@20, ndcg@20]`` if not given
    ===============  =========================================================

    Args:
        name: A YAML file, or the name of a plan of the package.
        datasets: Folders by name, in place of the plan's.
        changes: Settings of all models, after those of ``set``; a model's own come last.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it can't be used.
    """
    content = PLANS.read(name)
    for key in content:
        if key not in KEYS:
            raise InputError(f"{name}: unknown key '{brief(key)}'; expected {', '.join(KEYS)}")
    models = content.get("models")
    if not isinstance(models, list) or not models:
        raise InputError(f"{name}: models are {shown(models)}; expected a list of presets")
    common = (*_checked(content, "set", Texts, f"{name}: set", ()), *changes)
    sweep = sweep_values(f"{name}: sweep", content.get("sweep"))
    values: dict[str, Any] = {
        "datasets": _datasets(name, content.get("datasets"), datasets),
        "variants": tuple(
            v for model in models for v in _swept(_variant(name, model, common), sweep)
        ),
        "seeds": tuple(_seeds(name, content.get("seeds", [0, 1, 2]))),
        "trials": _checked(content, "trials", NonNegativeInt, f"{name}: trials", 0),
        "reference": _checked(content, "reference", str, f"{name}: reference"),
        "metrics": _checked(content, "metrics", Texts, f"{name}: metrics") or Plan.metrics,
    }
    try:
        plan = Plan(**values)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    _check(name, plan)
    return plan


def _datasets(file: str | Path, value: Any, instead: Mapping[str, str] | None) -> dict[str, str]:
    """The folders by name; what ``open_source`` knows by name stays, unless it is a folder."""
    where = f"{file}: datasets"
    if instead:
        return folders_by_name(where, instead)
    folders = folders_by_name(where, value)
    paths = {name: beside(file, folder) for name, folder in folders.items()}
    return {
        name: folder if folder in KNOWN and not Path(paths[name]).exists() else paths[name]
        for name, folder in folders.items()
    }


def _variant(where: str | Path, model: Any, changes: tuple[str, ...]) -> Variant:
    if isinstance(model, str):
        model = {"name": model}
    if not isinstance(model, dict) or not isinstance(model.get("name"), str):
        raise InputError(f"{where}: model {shown(model)}; expected a name, or a mapping with one")
    file, where = where, f"{where}: model '{brief(model['name'])}'"
    for key in model:
        if key not in MODEL_KEYS:
            raise InputError(
                f"{where} has an unknown key '{brief(key)}'; expected {', '.join(MODEL_KEYS)}"
            )
    preset = PRESETS.beside(file, str(model.get("preset") or model["name"].lower()))
    if not preset.endswith((".yaml", ".yml")) and preset not in PRESETS.names():
        raise InputError(
            f"{where} has no preset '{brief(preset)}'; "
            f"expected one of {', '.join(PRESETS.names())}, or a .yaml file"
        )
    space = _checked(model, "space", str, f"{where}, space")
    return Variant(
        name=model["name"],
        preset=preset,
        changes=changes + tuple(_checked(model, "set", Texts, f"{where}, set", ())),
        space=None if space is None else SPACES.beside(file, space),
        model=model["name"],
    )


def _checked(
    content: Mapping[str, Any], key: str, hint: Any, where: str, default: Any = None
) -> Any:
    """The value of a key by what it may be; the default if it isn't there, or null."""
    value = content.get(key)
    return default if value is None else check_value(value, hint, where)


def _swept(model: Variant, sweep: Mapping[str, list[Any]]) -> list[Variant]:
    """A model with every combination of the values of the settings."""
    if not sweep:
        return [model]
    variants = []
    for values in product(*sweep.values()):
        settings = dict(zip(sweep, values))
        short = ", ".join(f"{key.rpartition('.')[2]}={v}" for key, v in settings.items())
        changes = model.changes + tuple(as_changes(settings))
        name = f"{model.name} {short}"
        variants.append(replace(model, name=name, changes=changes, settings=settings))
    return variants


def _seeds(where: str | Path, seeds: Any) -> list[int]:
    check_seeds(f"{where}: seeds", seeds)
    return seeds


def _check(where: str | Path, plan: Plan) -> None:
    """Makes sure that everything that a plan names is there, before anything is trained."""
    names = [variant.name for variant in plan.variants]
    if plan.reference is not None and plan.reference not in names:
        raise InputError(
            f"{where}: reference {shown(plan.reference)} isn't among the models; "
            f"expected one of {', '.join(names)}"
        )
    for variant in plan.variants:
        try:
            config = variant.config()
            if plan.trials:
                plan.search(variant).check()
        except InputError as error:
            raise InputError(f"{where}: model '{brief(variant.name)}': {error}") from None
        measured = metric_names(config.train.ks)
        for metric in plan.metrics:
            if metric not in measured:
                raise InputError(
                    f"{where}: metrics name {shown(metric)}, which '{brief(variant.name)}' doesn't "
                    f"measure; expected one of {', '.join(measured)}"
                )


def folders_by_name(where: str, value: Any) -> dict[str, str]:
    """Datasets; a name is part of the names of files."""
    if not value:
        raise InputError(f"{where}: there are none; expected folders by name")
    if not isinstance(value, dict) or not all(isinstance(f, str) and f for f in value.values()):
        raise InputError(f"{where} are {shown(value)}; expected folders by name")
    check_dataset_names(where, value)
    return {name: os.path.expanduser(folder) for name, folder in value.items()}


def sweep_values(where: str, value: Any) -> dict[str, list[Any]]:
    """Lists of values by setting; empty if there are none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{where} is {shown(value)}; expected lists of values by setting")
    for key, values in value.items():
        if not isinstance(key, str):
            raise InputError(
                f"{where}: {shown(key)} is no setting; expected e.g. options.num_layers"
            )
        if not isinstance(values, list) or not values:
            raise InputError(f"{where}: {key} is {shown(values)}; expected a list of values")
        try:
            json.dumps(values, allow_nan=False)
        except (TypeError, ValueError):
            raise InputError(
                f"{where}: {key} is {shown(values)}; expected finite numbers and texts"
            ) from None
    return value
