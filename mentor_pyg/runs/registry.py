"""Models by name: the package's own, those of installed plug-ins, and any class of a module.

A plug-in is an entry point of the group ``mentor_pyg.models``, which names a class::

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
"""What :class:`~mentor_pyg.BaseRecommender` leaves to its subclasses."""


def plugins() -> dict[str, list[EntryPoint]]:
    """Entry points of installed packages by name, sorted; more than one clash."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        found.setdefault(entry.name, {})[entry.value] = entry
    return {name: list(entries.values()) for name, entries in found.items()}


def describe_plugin(entry: EntryPoint) -> str:
    """The class that an entry point names, and its package."""
    return f"{entry.value} of {entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def find_model(name: Any, where: str, made_with: Mapping[str, Any] | None = None) -> Any:
    """The class of a model.

    Args:
        name: One of the package's models, which go first, an entry point, or
            ``module:Class``.
        where: Where the name is from, for messages.
        made_with: Packages that a run was made with, with their versions.

    Raises:
        InputError: If there is no such class, it can't be imported, it isn't a model, or
            several packages offer one of that name.
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
        raise InputError(f"{where}; expected {packages}, with which it was trained, installed")
    names = ", ".join([*models.classes, *plugins()])
    raise InputError(f"{where}; expected one of {names}, or module:Class")


def model_versions(name: str) -> dict[str, str]:
    """The version of the package that a model is from, unless it is this one."""
    if name in models.classes:
        return {}
    if offered := plugins().get(name):
        dist = offered[0].dist
        return {dist.name: dist.version} if dist else {}
    package = name.partition(":")[0].partition(".")[0]
    return {dist: version(dist) for dist in packages_distributions().get(package, ())}


def _load(value: str, where: str) -> Any:
    """The class that ``module:Class`` names."""
    if not re.fullmatch(r"\w+(\.\w+)*:\w+(\.\w+)*", value):
        raise InputError(f"{where}; expected module:Class, such as my_package.models:MyModel")
    name, _, path = value.partition(":")
    try:
        module = importlib.import_module(name)
    except Exception as error:  # whatever another package raises at its import
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise InputError(
                f"{where}, but there is no module {missing}; expected one that Python finds, "
                "e.g. of an installed package, or by PYTHONPATH"
            ) from None
        raise InputError(
            f"{where}, but {name} can't be imported ({type(error).__name__}: {reason(error)}); "
            "expected a module that can"
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
    """What an object lacks to be the class of a model."""
    is_model = isinstance(cls, type) and issubclass(cls, BaseRecommender)
    lacking = [] if is_model else ["the base class mentor_pyg.BaseRecommender"]
    defaults = (None, torch.nn.Module.forward, BaseRecommender.forward, BaseRecommender.losses)
    return lacking + [f"'{name}'" for name in METHODS if getattr(cls, name, None) in defaults]


def _listed(names: list[str]) -> str:
    return f"one of {', '.join(names)}" if names else "a model there"


def _is_lost(package: str) -> bool:
    """Whether a package that isn't among the library's own isn't installed any more."""
    if package in versions():
        return False
    try:
        version(package)
    except (PackageNotFoundError, ValueError):
        return True
    return False
