"""Presets and options of a run, from YAML and the command line, checked before use."""

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from mentor_pyg.errors import InputError
from mentor_pyg.nn import models
from mentor_pyg.train import TrainConfig
from mentor_pyg.transforms import CompactFeatures, ItemKNN

SECTIONS = ("preset", "model", "options", "graph", "features", "train")

DERIVED = ("missing",)
"""Arguments of models with a default that come from the data, not from options."""


@dataclass(frozen=True)
class RunConfig:
    """Everything a run depends on beside its data.

    Attributes:
        preset: Name of the preset it started from.
        model: A name out of ``mentor_pyg.nn.models.classes``.
        options: Arguments of the model.
        graph: Arguments of :class:`~mentor_pyg.transforms.ItemKNN`; None for no item
            graph.
        features: Arguments of :class:`~mentor_pyg.transforms.CompactFeatures`; None to
            take the features as they are.
        train: See :class:`~mentor_pyg.TrainConfig`.
    """

    preset: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    graph: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    @property
    def model_class(self) -> Any:
        return getattr(models, self.model)

    def to_dict(self) -> dict[str, Any]:
        plain = dataclasses.asdict(self)
        plain["train"]["ks"] = list(plain["train"]["ks"])
        return plain

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def preset_names() -> list[str]:
    """Presets that come with the package."""
    folder = resources.files("mentor_pyg") / "presets"
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


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
    model = content.get("model")
    if model not in models.classes:
        raise InputError(
            f"{preset}: model is '{model}'; expected one of {', '.join(models.classes)}"
        )
    for key in content:
        if key not in SECTIONS:
            raise InputError(f"{preset}: unknown key '{key}'; expected {', '.join(SECTIONS)}")
    graph, features = content.get("graph"), content.get("features")
    train_values = check_options(TrainConfig, content.get("train") or {}, "train")
    train_values |= {key: value for key, value in train.items() if value is not None}
    return RunConfig(
        preset=str(content.get("preset", Path(preset).stem)),
        model=model,
        options=check_options(getattr(models, model), content.get("options") or {}, "options"),
        graph=None if graph is None else check_options(ItemKNN, graph, "graph"),
        features=None if features is None else check_options(CompactFeatures, features, "features"),
        train=TrainConfig(**train_values),
    )


def _read_preset(preset: str, heirs: tuple[str, ...] = ()) -> dict[str, Any]:
    if preset in heirs:
        raise InputError(f"{preset}: extends itself; expected another preset")
    path = Path(preset)
    if path.suffix in (".yaml", ".yml"):
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, IsADirectoryError):
            raise FileNotFoundError(f"{path}: not found; expected a preset in YAML") from None
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: byte {error.start} isn't UTF-8; expected a preset in YAML"
            ) from None
    elif preset in preset_names():
        text = (resources.files("mentor_pyg") / "presets" / f"{preset}.yaml").read_text("utf-8")
    else:
        raise InputError(
            f"preset '{preset}' is unknown; expected one of {', '.join(preset_names())}, "
            "or a .yaml file"
        )
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        found = " ".join(str(error).split())
        raise InputError(f"{preset}: isn't YAML ({found}); expected a mapping") from None
    if not isinstance(content, dict):
        raise InputError(f"{preset}: holds {content!r}; expected a mapping of {SECTIONS}")
    if "extends" not in content:
        return content
    return _merge(_read_preset(str(content.pop("extends")), (*heirs, preset)), content)


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
        value = yaml.safe_load(text)
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


def check_options(target: Callable, options: Any, where: str) -> dict[str, Any]:
    """``options`` as keyword arguments of ``target``, checked by its annotations.

    Only arguments with a default count as options. Numbers written like ``1e-3``,
    which YAML takes for a string, become numbers.

    Raises:
        InputError: If an option doesn't exist, or its value is of the wrong type.
    """
    if not isinstance(options, dict):
        raise InputError(f"{where}: is {options!r}; expected a mapping of options")
    hints = typing.get_type_hints(target if dataclasses.is_dataclass(target) else target.__init__)
    known = [
        name
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.default is not parameter.empty and name not in DERIVED
    ]
    checked = {}
    for name, value in options.items():
        if name not in known:
            raise InputError(f"{where}.{name}: unknown option; expected one of {', '.join(known)}")
        try:
            checked[name] = _coerce(value, hints[name])
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"{where}.{name}: is {value!r}; expected {_describe(hints[name])}"
            ) from None
    return checked


def _coerce(value: Any, hint: Any) -> Any:
    """``value`` as an instance of a type hint; TypeError or ValueError if it isn't one."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for choice in args:
            with suppress(TypeError, ValueError):
                return _coerce(value, choice)
        raise TypeError
    if hint is type(None):
        if value is not None:
            raise TypeError
        return None
    if origin is Literal:
        if value not in args:
            raise ValueError
        return value
    if origin is tuple or (origin is not None and issubclass(origin, Sequence)):
        if not isinstance(value, list | tuple):
            raise TypeError
        return tuple(_coerce(v, args[0]) for v in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise TypeError
        return {_coerce(k, args[0]): _coerce(v, args[1]) for k, v in value.items()}
    if isinstance(value, bool) != (hint is bool):
        raise TypeError
    if hint is float:
        return float(value)
    if not isinstance(value, hint):
        raise TypeError
    return value


WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


def _describe(hint: Any) -> str:
    """A type hint in a user's words."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in typing.get_args(hint))
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(hint)))
    return WORDS.get(hint, str(hint).replace("collections.abc.", ""))
