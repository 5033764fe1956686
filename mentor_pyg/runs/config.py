"""Presets and options of a run, read from YAML and the command line, and validated."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mentor_pyg._util.named_yaml import PRESETS, Refused, parse_yaml
from mentor_pyg.errors import InputError, brief, shown
from mentor_pyg.nn.ranking import LOSSES
from mentor_pyg.options import check_options, checked, parameters
from mentor_pyg.runs.registry import find_model
from mentor_pyg.training.config import TrainConfig
from mentor_pyg.transforms import CompactFeatures, ContentVariant, ItemKNN, UserCooccurrence

SECTIONS = (
    *("preset", "model", "init", "options"),
    *("content", "graph", "user_graph", "features", "ranking", "train"),
)

TRANSFORMS: dict[str, Callable[..., Any]] = {
    "content": ContentVariant,
    "graph": ItemKNN,
    "user_graph": UserCooccurrence,
    "features": CompactFeatures,
}
"""Optional sections, with the transforms whose arguments they hold."""

DERIVED = ("missing",)
"""Arguments of models with a default that are taken from the data, not from options."""


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run, except its data.

    Attributes:
        preset: Name of the preset.
        model: A name in ``mentor_pyg.nn.models.classes``, an entry point of the group
            ``mentor_pyg.models``, or ``module:Class``.
        options: Arguments of the model.
        content: Arguments of :class:`~mentor_pyg.transforms.ContentVariant`; None for
            unmodified content.
        graph: Arguments of :class:`~mentor_pyg.transforms.ItemKNN`; None for no item graph.
        user_graph: Arguments of :class:`~mentor_pyg.transforms.UserCooccurrence`; None for no
            user graph.
        features: Arguments of :class:`~mentor_pyg.transforms.CompactFeatures`; None for
            unmodified features.
        ranking: The ranking loss instead of the model's own: ``loss``, which is :obj:`"bpr"`,
            :obj:`"softmax"` or :obj:`"directau"`, and arguments of
            :class:`~mentor_pyg.nn.BPRLoss`, :class:`~mentor_pyg.nn.SoftmaxLoss` or
            :class:`~mentor_pyg.nn.DirectAULoss`; None for the model's own.
        train: A :class:`~mentor_pyg.TrainConfig`, or a mapping of its arguments.
        init: Folder of a run whose weights initialise the model; None for random ones.

    Raises:
        InputError: If a name is unknown, or a value has the wrong type or is out of range.
    """

    preset: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] | None = None
    graph: dict[str, Any] | None = None
    user_graph: dict[str, Any] | None = None
    features: dict[str, Any] | None = None
    ranking: dict[str, Any] | None = None
    train: TrainConfig = field(default_factory=TrainConfig)
    init: str | None = None

    def __post_init__(self) -> None:
        if self.init is not None and (not isinstance(self.init, str) or not self.init):
            raise InputError(f"init: is {shown(self.init)}; expected the folder of a run, or null")
        if not isinstance(self.preset, str):
            raise InputError(f"preset: is {shown(self.preset)}; expected a text")
        values = {"options": check_options(self.model_class, self.options, "options", DERIVED)}
        for name, transform in TRANSFORMS.items():
            if (section := getattr(self, name)) is not None:
                values[name] = check_options(transform, section, name)
        if self.ranking is not None:
            values["ranking"] = _check_ranking(self.ranking)
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if not isinstance(self.train, TrainConfig):
            train = TrainConfig(**check_options(TrainConfig, self.train, "train"))
            object.__setattr__(self, "train", train)

    @cached_property
    def model_class(self) -> Any:
        return find_model(self.model, "RunConfig")

    @property
    def needs_content(self) -> bool:
        """Whether the items need features, for the model or for a graph."""
        return self.graph is not None or "in_channels" in parameters(self.model_class)

    def to_dict(self) -> dict[str, Any]:
        plain = dataclasses.asdict(self)
        plain["train"]["ks"] = list(plain["train"]["ks"])
        return plain

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


def _check_ranking(section: Any) -> dict[str, Any]:
    names = ", ".join(LOSSES)
    if not isinstance(section, dict):
        raise InputError(f"ranking: is {shown(section)}; expected a mapping with 'loss', {names}")
    options = dict(section)
    loss = options.pop("loss", None)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise InputError(f"ranking.loss: is {shown(loss)}; expected one of {names}")
    if options.get("negatives") == "own" and "num_negatives" in options:
        raise InputError(
            "ranking.num_negatives: is set beside negatives 'own'; expected train.num_negatives, "
            "the number that is sampled for each pair"
        )
    return {"loss": loss, **check_options(LOSSES[loss], options, "ranking")}


def preset_names() -> list[str]:
    """Names of the built-in presets."""
    return PRESETS.names()


def presets_without_content() -> list[str]:
    """Built-in presets for data without features."""
    return [name for name in preset_names() if not load_config(name).needs_content]


@checked
def load_config(preset: str, changes: Sequence[str] = (), **train: Any) -> RunConfig:
    """Reads a preset by name or path, and applies changes to it.

    Args:
        preset: Name of a built-in preset, or path of a YAML file. With ``extends:`` a preset
            extends another one, given by name or by a path relative to its own folder.
        changes: Settings ``key.subkey=value`` with YAML values, e.g. ``train.lr=1e-3``,
            ``options.align_levels=[1, 2]``, ``graph=null``.
        **train: Values for the section ``train``; None is ignored.

    Raises:
        FileNotFoundError: If the preset does not exist.
        InputError: If a key is unknown, or a value has the wrong type.
    """
    content = _read_preset(preset)
    for change in changes:
        _apply(content, change)
    content.setdefault("preset", Path(preset).stem)
    return check_config(content, preset, **train)


def check_config(
    content: Mapping[str, Any],
    where: str,
    made_with: Mapping[str, Any] | None = None,
    **train: Any,
) -> RunConfig:
    """Creates a configuration from the content of a preset or saved run.

    Args:
        content: Settings by section.
        where: Source of the settings, for messages.
        made_with: Package versions of a saved run.
        **train: As for :func:`load_config`.

    Raises:
        InputError: If a key is unknown, or a value has the wrong type or is out of range.
    """
    if not isinstance(content, dict):
        raise InputError(f"{where}: is {shown(content)}; expected a mapping of settings")
    for key in content:
        if key not in SECTIONS:
            raise InputError(f"{where}: unknown key '{brief(key)}'; expected {', '.join(SECTIONS)}")
    find_model(content.get("model"), where, made_with)
    if "preset" not in content:
        raise InputError(f"{where}: has no preset; expected the name of the preset it is based on")
    values = dict(content)
    for section in ("options", "train"):
        if values.get(section) is None:
            values[section] = {}
    if isinstance(values["train"], dict):
        values["train"] = values["train"] | {k: v for k, v in train.items() if v is not None}
    return RunConfig(**values)


def _read_preset(preset: str, heirs: tuple[Path, ...] = ()) -> dict[str, Any]:
    content = PRESETS.read(preset)
    path = Path(preset).resolve()
    if path in heirs:
        raise InputError(f"{preset}: extends itself; expected another preset")
    if "extends" not in content:
        return content
    parent = content.pop("extends")
    if not isinstance(parent, str) or not parent:
        raise InputError(
            f"{preset}: extends {shown(parent)}; expected the name of a preset, or a file"
        )
    return _merge(_read_preset(PRESETS.beside(preset, parent), (*heirs, path)), content)


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Updates ``base`` by ``changes``; sections are merged key by key."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _apply(content: dict[str, Any], change: str) -> None:
    name, separator, text = change.partition("=")
    if not separator:
        raise InputError(f"{shown(change)} sets nothing; expected key=value, e.g. train.lr=1e-3")
    try:
        value = parse_yaml(text)
    except Refused as error:
        raise InputError(f"{brief(name)}: {error}") from None
    except ValueError:
        raise InputError(
            f"{brief(name)}: {shown(text)} isn't a YAML value; expected e.g. 0.1"
        ) from None
    *path, last = name.split(".")
    for key in path:
        if content.get(key) is None:
            content[key] = {}
        content = content[key]
        if not isinstance(content, dict):
            raise InputError(
                f"{brief(name)}: '{brief(key)}' has no further keys; expected {', '.join(SECTIONS)}"
            )
    content[last] = value
