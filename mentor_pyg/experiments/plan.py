"""What to compare: a YAML file of models, datasets and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen

from mentor_pyg._util.files import slug
from mentor_pyg._util.named_yaml import PLANS, PRESETS, SPACES, beside
from mentor_pyg._util.option_words import Words
from mentor_pyg.datasets.source import KNOWN
from mentor_pyg.errors import InputError, brief, shown
from mentor_pyg.evaluation.metrics import metric_names
from mentor_pyg.experiments.plan_keys import (
    check_dataset_names,
    count,
    folders_by_name,
    optional_text,
    sweep_values,
    texts,
)
from mentor_pyg.options import NonNegativeInt, Seed, checked, different
from mentor_pyg.runs.config import RunConfig, load_config, preset_names
from mentor_pyg.training.config import check_seeds
from mentor_pyg.tuning import Search, space_of
from mentor_pyg.tuning.space import as_changes

KEYS = ("datasets", "seeds", "trials", "set", "models", "sweep", "reference", "metrics")
MODEL_KEYS = ("name", "preset", "set", "space")
Seeds = Annotated[
    tuple[Seed, ...],
    MinLen(1),
    different,
    Words("a list of different whole numbers from 0 to 2^32 - 1"),
]


@checked
@dataclass(frozen=True)
class Variant:
    """A model with its settings.

    Attributes:
        name: What tables call it.
        preset: What it starts from.
        changes: What is changed in it, as for :func:`~mentor_pyg.runs.config.load_config`.
        space: Search space; that of the preset's model if not given.
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
        return slug(self.name)

    def config(self, seed: int | None = None) -> RunConfig:
        """The settings of a run, unless a search finds others."""
        return load_config(self.preset, self.changes, seed=seed)


@checked
@dataclass(frozen=True)
class Plan:
    """A comparison of models.

    Attributes:
        datasets: Folders by name.
        variants: The models.
        seeds: Seeds of every model's runs.
        trials: Trials of the search on validation that every model gets before; 0 takes
            the presets as they are.
        reference: Variant that the others are tested against; None for the best of the
            others, on validation.
        metrics: Metrics that tables show.

    Raises:
        InputError: If names can't be those of folders, or two would share one; capitals make
            no difference, as on some file systems.
    """

    datasets: dict[str, str]
    variants: tuple[Variant, ...]
    seeds: Seeds = (0, 1, 2)
    trials: NonNegativeInt = 0
    reference: str | None = None
    metrics: tuple[str, ...] = ("recall@20", "ndcg@20")

    def __post_init__(self) -> None:
        check_dataset_names("datasets", self.datasets)
        by_folder: dict[str, Variant] = {}
        for variant in self.variants:
            other = by_folder.setdefault(variant.slug.lower(), variant)
            if other is variant:
                continue
            if other.name == variant.name:
                raise InputError(f"models: '{variant.name}' is there twice; expected it once")
            raise InputError(
                f"models: '{other.name}' and '{variant.name}' would share a folder, "
                f"{variant.slug}; expected names that differ in letters, digits or .=+-"
            )

    def search(self, variant: Variant) -> Search:
        """The search that a variant gets before its runs."""
        return Search(
            preset=variant.preset,
            space=space_of(variant.preset, variant.changes, variant.space),
            trials=self.trials,
            sampler="random",
            changes=variant.changes,
            seeds=self.seeds[:1],
            search_only=True,
        )


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
    common = (*texts(f"{name}: set", content.get("set"), "train.lr=1e-3"), *changes)
    sweep = sweep_values(f"{name}: sweep", content.get("sweep"))
    values: dict[str, Any] = {
        "datasets": _datasets(name, content.get("datasets"), datasets),
        "variants": tuple(
            v for model in models for v in _swept(_variant(name, model, common), sweep)
        ),
        "seeds": tuple(_seeds(name, content.get("seeds", [0, 1, 2]))),
        "trials": count(f"{name}: trials", content.get("trials")),
        "reference": optional_text(f"{name}: reference", content.get("reference")),
        "metrics": texts(f"{name}: metrics", content.get("metrics"), "recall@20") or Plan.metrics,
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
    if not preset.endswith((".yaml", ".yml")) and preset not in preset_names():
        raise InputError(
            f"{where} has no preset '{brief(preset)}'; "
            f"expected one of {', '.join(preset_names())}, or a .yaml file"
        )
    space = optional_text(f"{where}, space", model.get("space"))
    return Variant(
        name=model["name"],
        preset=preset,
        changes=changes + texts(f"{where}, set", model.get("set"), "train.lr=1e-3"),
        space=None if space is None else SPACES.beside(file, space),
        model=model["name"],
    )


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
