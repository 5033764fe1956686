"""Models by name: built-in ones, those of installed plug-ins, and any importable class.

A plug-in is an entry point of the group ``mentor_pyg.models`` for a class::

    [project.entry-points."mentor_pyg.models"]
    MyModel = "my_package.models:MyModel"
"""

import importlib
import re
from collections.abc import Mapping
from importlib.metadata import (
    EntryPoint,
    PackageNotFoundError,
    entry_points,
    packages_distributions,
    version,
)
from typing import Any

import torch

from mentor_pyg._util.environment import versions
from mentor_pyg.errors import InputError, brief, reason, shown
from mentor_pyg.nn import models
from mentor_pyg.nn.models.base import BaseRecommender

GROUP = "mentor_pyg.models"

METHODS = ("forward", "losses")
"""Methods that subclasses of :class:`~mentor_pyg.BaseRecommender` must implement."""

SOLVED_METHODS = ("forward", "solve")
"""Those of :class:`~mentor_pyg.nn.models.SolvedRecommender`."""


def plugins() -> dict[str, list[EntryPoint]]:
    """Entry points of installed packages by name, sorted; several with one name clash."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        found.setdefault(entry.name, {})[entry.value] = entry
    return {name: list(entries.values()) for name, entries in found.items()}


def describe_plugin(entry: EntryPoint) -> str:
    """The class of an entry point and its package, for messages."""
    return f"{entry.value} of {entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def find_model(name: Any, where: str, made_with: Mapping[str, Any] | None = None) -> Any:
    """Finds the class of a model.

    Args:
        name: A built-in model (which has priority), an entry point, or ``module:Class``.
        where: Source of the name, for messages.
        made_with: Package versions of a saved run.

    Raises:
        InputError: If the class does not exist, cannot be imported or is not a model, or if
            several packages provide the name.
    """
    if name in models.classes:
        return getattr(models, name)
    where = f"{where}: model is {shown(name)}"
    if isinstance(name, str):
        offered = plugins().get(name, [])
        if len(offered) > 1:
            found = " and ".join(map(describe_plugin, offered))
            raise InputError(f"{where}, which is {found}; expected one of them as module:Class")
        if offered:
            return _load(offered[0].value, f"{where}, which is {describe_plugin(offered[0])}")
        if ":" in name:
            return _load(name, where)
    lost = [f"{brief(p)} {brief(v)}" for p, v in (made_with or {}).items() if _is_lost(p)]
    if lost:
        packages = " and ".join(lost)
        raise InputError(f"{where}; expected {packages} to be installed, with which it was trained")
    names = ", ".join([*models.classes, *plugins()])
    raise InputError(f"{where}; expected one of {names}, or module:Class")


def model_versions(name: str) -> dict[str, str]:
    """Version of the package that provides a model; empty for built-in models."""
    if name in models.classes:
        return {}
    if offered := plugins().get(name):
        dist = offered[0].dist
        return {dist.name: dist.version} if dist else {}
    package = name.partition(":")[0].partition(".")[0]
    return {dist: version(dist) for dist in packages_distributions().get(package, ())}


def _load(value: str, where: str) -> Any:
    if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", value):
        raise InputError(f"{where}; expected module:Class, such as my_package.models:MyModel")
    name, _, path = value.partition(":")
    try:
        module = importlib.import_module(name)
    except Exception as error:  # packages may raise anything at import
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise InputError(
                f"{where}, but there is no module {missing}; expected an importable one, "
                "from an installed package or by PYTHONPATH"
            ) from None
        raise InputError(
            f"{where}, but {name} can't be imported ({type(error).__name__}: {reason(error)}); "
            "expected an importable module"
        ) from error
    cls: Any = module
    for part in path.split("."):
        cls = getattr(cls, part, None)
    if cls is None:
        found = [key for key, value in vars(module).items() if not _lacking(value)]
        raise InputError(f"{where}, but {name} has no {path}; expected {_listed(found)}")
    lacking = _lacking(cls)
    if lacking:
        raise InputError(
            f"{where}, but {path} lacks {', '.join(lacking)}; expected a BaseRecommender with "
            "these methods"
        )
    return cls


def _lacking(cls: Any) -> list[str]:
    """What a class lacks to be a model."""
    is_model = isinstance(cls, type) and issubclass(cls, BaseRecommender)
    lacking = [] if is_model else ["the base class mentor_pyg.BaseRecommender"]
    base, solved = BaseRecommender, models.SolvedRecommender
    defaults = (None, torch.nn.Module.forward, base.forward, base.losses, solved.solve)
    methods = SOLVED_METHODS if is_model and issubclass(cls, solved) else METHODS
    return lacking + [f"'{name}'" for name in methods if getattr(cls, name, None) in defaults]


def _listed(names: list[str]) -> str:
    return f"one of {', '.join(names)}" if names else "a model there"


def _is_lost(package: str) -> bool:
    """Whether a package beyond the library's own dependencies is no longer installed."""
    if package in versions():
        return False
    try:
        version(package)
    except (PackageNotFoundError, ValueError):
        return True
    return False
