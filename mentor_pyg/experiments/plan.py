"""What to compare: a YAML file of models, datasets and seeds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from mentor_pyg.config import load_config, preset_names
from mentor_pyg.errors import InputError
from mentor_pyg.named_yaml import NamedYaml
from mentor_pyg.search_space import as_changes

KEYS = ("datasets", "seeds", "trials", "set", "models", "sweep", "reference", "metrics")
PLANS = NamedYaml("plan", "experiments/plans")


@dataclass(frozen=True)
class Entry:
    """A model, or a variant of one.

    Attributes:
        name: What tables call it.
        preset: What it starts from.
        changes: What is changed in it, as for :func:`~mentor_pyg.config.load_config`.
        space: Search space; that of the preset's name if not given.
        model: What it is a variant of in a sweep; else its name.
        settings: Values of the sweep's settings.
    """

    name: str
    preset: str
    changes: tuple[str, ...] = ()
    space: str | None = None
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        """The name as that of a folder."""
        return re.sub(r"[^A-Za-z0-9.=+-]+", "-", self.name).strip("-.") or "model"


@dataclass(frozen=True)
class Plan:
    """A comparison of models.

    Attributes:
        datasets: Folders by name.
        entries: The models.
        seeds: Seeds of every model's runs.
        trials: Trials of the search on validation that every model gets before; 0 takes
            the presets as they are.
        reference: Entry that the others are tested against; None for the best of the
            others, on validation.
        metrics: Metrics that tables show.
    """

    datasets: dict[str, str]
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    trials: int = 0
    reference: str | None = None
    metrics: tuple[str, ...] = ("recall@20", "ndcg@20")


def plan_names() -> list[str]:
    """Plans that come with the package."""
    return PLANS.names()


def read_plan(name: str | Path, datasets: Mapping[str, str] | None = None) -> Plan:
    """Reads a plan and checks all of its configurations.

    ===============  =========================================================
    ``datasets``     folders by name
    ``seeds``        a list, [0, 1, 2] if there is none
    ``trials``       trials of each model's search, 0 if there is none
    ``set``          settings of all models, e.g. ``[train.epochs=30]``
    ``models``       names of presets, or mappings with ``name``, ``preset``,
                     ``set`` and ``space``
    ``sweep``        values by setting; every model is taken with every
                     combination of them
    ``reference``    name of the model that the others are tested against
    ``metrics``      what tables show, ``[recall@20, ndcg@20]`` if not given
    ===============  =========================================================

    Args:
        name: A YAML file, or the name of a plan of the package.
        datasets: Folders by name, in place of the plan's.

    Raises:
        FileNotFoundError: If there is no such file.
        InputError: If it can't be used.
    """
    content = PLANS.read(name)
    for key in content:
        if key not in KEYS:
            raise InputError(f"{name}: unknown key '{key}'; expected {', '.join(KEYS)}")
    folders = dict(datasets or content.get("datasets") or {})
    if not folders:
        raise InputError(f"{name}: names no datasets; expected folders by name")
    changes = _texts(name, "set", content.get("set"))
    models = [_entry(name, model, changes) for model in content.get("models") or []]
    entries = [variant for model in models for variant in _sweep(model, content.get("sweep"))]
    if not entries:
        raise InputError(f"{name}: names no models; expected a list of presets")
    _check_unique(name, entries)
    plan = Plan(
        folders,
        tuple(entries),
        tuple(_seeds(name, content.get("seeds", [0, 1, 2]))),
        int(content.get("trials") or 0),
        content.get("reference"),
        tuple(content.get("metrics") or Plan.metrics),
    )
    if plan.reference is not None and plan.reference not in {e.name for e in entries}:
        raise InputError(
            f"{name}: reference '{plan.reference}' isn't among the models; "
            f"expected one of {', '.join(e.name for e in entries)}"
        )
    for entry in entries:
        load_config(entry.preset, entry.changes)
    return plan


def _entry(where: str | Path, model: Any, changes: tuple[str, ...]) -> Entry:
    if isinstance(model, str):
        model = {"name": model}
    if not isinstance(model, dict) or not isinstance(model.get("name"), str):
        raise InputError(f"{where}: model {model!r}; expected a name, or a mapping with one")
    for key in model:
        if key not in ("name", "preset", "set", "space"):
            raise InputError(
                f"{where}: model '{model['name']}' has an unknown key '{key}'; "
                "expected name, preset, set, space"
            )
    preset = str(model.get("preset") or model["name"].lower())
    if not preset.endswith((".yaml", ".yml")) and preset not in preset_names():
        raise InputError(
            f"{where}: model '{model['name']}' has no preset '{preset}'; "
            f"expected one of {', '.join(preset_names())}, or a .yaml file"
        )
    own = _texts(where, f"model '{model['name']}', set", model.get("set"))
    return Entry(model["name"], preset, changes + own, model.get("space"), model["name"])


def _sweep(model: Entry, sweep: Mapping[str, list[Any]] | None) -> list[Entry]:
    """A model with every combination of the values of the settings."""
    if not sweep:
        return [model]
    entries = []
    for values in product(*sweep.values()):
        settings = dict(zip(sweep, values))
        short = ", ".join(f"{key.rpartition('.')[2]}={v}" for key, v in settings.items())
        changes = model.changes + tuple(as_changes(settings))
        name = f"{model.name} {short}"
        entries.append(Entry(name, model.preset, changes, model.space, model.name, settings))
    return entries


def _texts(where: str | Path, key: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise InputError(f"{where}: {key} is {value!r}; expected a list like [train.lr=1e-3]")
    return tuple(value)


def _seeds(where: str | Path, value: Any) -> list[int]:
    if not isinstance(value, list) or not value or not all(type(v) is int for v in value):
        raise InputError(f"{where}: seeds are {value!r}; expected a list like [0, 1, 2]")
    return value


def _check_unique(where: str | Path, entries: list[Entry]) -> None:
    slugs = [entry.slug for entry in entries]
    for entry in entries:
        if slugs.count(entry.slug) > 1:
            raise InputError(
                f"{where}: model '{entry.name}' is there twice; expected different names"
            )
