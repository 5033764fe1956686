"""Presets and options of a run, from YAML and the command line, checked before use."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mentor_pyg.errors import InputError
from mentor_pyg.named_yaml import Loader, NamedYaml, RepeatedKey
from mentor_pyg.nn import models
from mentor_pyg.nn.checks import misfits
from mentor_pyg.options import check_options
from mentor_pyg.train_config import TrainConfig
from mentor_pyg.transforms import CompactFeatures, ContentVariant, ItemKNN, UserCooccurrence

SECTIONS = ("preset", "model", "options", "content", "graph", "user_graph", "features", "train")
PRESETS = NamedYaml("preset", "presets")

DERIVED = ("missing",)
"""Arguments of models with a default that come from the data, not from options."""


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on beside its data.

    Attributes:
        preset: Name of the preset it started from.
        model: A name out of ``mentor_pyg.nn.models.classes``.
        options: Arguments of the model.
        content: Arguments of :class:`~mentor_pyg.transforms.ContentVariant`; None to take
            the items' content as it is.
        graph: Arguments of :class:`~mentor_pyg.transforms.ItemKNN`; None for no item
            graph.
        user_graph: Arguments of :class:`~mentor_pyg.transforms.UserCooccurrence`; None
            for no user graph.
        features: Arguments of :class:`~mentor_pyg.transforms.CompactFeatures`; None to
            take the features as they are.
        train: See :class:`~mentor_pyg.TrainConfig`.
    """

    preset: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] | None = None
    graph: dict[str, Any] | None = None
    user_graph: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def model_class(self) -> Any:
        return getattr(models, self.model)

    @property
    def needs_content(self) -> bool:
        """Whether the items need features, for the model or a graph."""
        parameters = inspect.signature(self.model_class).parameters
        return self.graph is not None or "in_channels" in parameters

    def to_dict(self) -> dict[str, Any]:
        plain = dataclasses.asdict(self)
        plain["train"]["ks"] = list(plain["train"]["ks"])
        return plain

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def preset_names() -> list[str]:
    """Presets that come with the package."""
    return PRESETS.names()


def presets_without_content() -> list[str]:
    """Those of the package for data without features."""
    return [name for name in preset_names() if not load_config(name).needs_content]


def load_config(preset: str, changes: Sequence[str] = (), **train: Any) -> RunConfig:
    """Reads a preset, by name or path, and applies changes to it.

    Args:
        preset: Name of a preset of the package, or path of a YAML file. A preset may
            extend another one by ``extends: <name>``.
        changes: Settings of the form ``key.subkey=value``, the value in YAML; e.g.
            ``train.lr=1e-3``, ``options.align_levels=[1, 2]``, ``graph=null``.
        **train: Further values for the section ``train``; None changes nothing.

    Raises:
        FileNotFoundError: If there is no such preset.
        InputError: If a key is unknown or a value of the wrong type.
    """
    content = _read_preset(preset)
    for change in changes:
        _apply(content, change)
    content.setdefault("preset", Path(preset).stem)
    return check_config(content, preset, **train)


def check_config(content: Mapping[str, Any], where: str, **train: Any) -> RunConfig:
    """A configuration from what a preset or a saved run says.

    Args:
        content: Settings by section.
        where: Where they are from, for messages.
        **train: As for :func:`load_config`.

    Raises:
        InputError: If a key is unknown, or a value of the wrong type or out of range.
    """
    model = content.get("model")
    if model not in models.classes:
        raise InputError(
            f"{where}: model is '{model}'; expected one of {', '.join(models.classes)}"
        )
    for key in content:
        if key not in SECTIONS:
            raise InputError(f"{where}: unknown key '{key}'; expected {', '.join(SECTIONS)}")
    train_values = check_options(TrainConfig, content.get("train") or {}, "train")
    train_values |= {key: value for key, value in train.items() if value is not None}
    options = check_options(
        getattr(models, model), content.get("options") or {}, "options", DERIVED
    )
    for name, range_ in misfits(**options):
        raise InputError(f"options.{name}: is {options[name]}; expected {range_}")
    return RunConfig(
        preset=str(content["preset"]),
        model=model,
        options=options,
        content=_section(ContentVariant, content, "content"),
        graph=_section(ItemKNN, content, "graph"),
        user_graph=_section(UserCooccurrence, content, "user_graph"),
        features=_section(CompactFeatures, content, "features"),
        train=TrainConfig(**train_values),
    )


def _section(target: Callable, content: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """A section that may be left out, checked."""
    options = content.get(name)
    return None if options is None else check_options(target, options, name)


def _read_preset(preset: str, heirs: tuple[str, ...] = ()) -> dict[str, Any]:
    if preset in heirs:
        raise InputError(f"{preset}: extends itself; expected another preset")
    content = PRESETS.read(preset)
    if "extends" not in content:
        return content
    parent = content.pop("extends")
    if not isinstance(parent, str) or not parent:
        raise InputError(f"{preset}: extends {parent!r}; expected the name of a preset, or a file")
    return _merge(_read_preset(parent, (*heirs, preset)), content)


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes``; sections are merged key by key."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _apply(content: dict[str, Any], change: str) -> None:
    name, separator, text = change.partition("=")
    if not separator:
        raise InputError(f"'{change}' sets nothing; expected key=value, e.g. train.lr=1e-3")
    try:
        value = yaml.load(text, Loader)
    except RepeatedKey as error:
        raise InputError(f"{name}: {error}; expected each key once") from None
    except (yaml.YAMLError, ValueError):
        raise InputError(f"{name}: '{text}' isn't a YAML value; expected e.g. 0.1") from None
    *path, last = name.split(".")
    for key in path:
        if content.get(key) is None:
            content[key] = {}
        content = content[key]
        if not isinstance(content, dict):
            raise InputError(f"{name}: '{key}' has no further keys; expected {', '.join(SECTIONS)}")
    content[last] = value
