"""What to compare: models, datasets and seeds."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import MinLen

from mentor_pyg._util.files import MAX_SLUG, slug
from mentor_pyg._util.option_words import Words
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import NonNegativeInt, Seed, checked, different
from mentor_pyg.runs.config import RunConfig, load_config
from mentor_pyg.tuning import Search, space_of

RESULT_SUFFIXES = (".json", ".csv", ".md", ".tex", ".html", ".png")

"""What the results of a dataset end in, which lie beside its folder."""

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


def check_dataset_names(where: str, names: Iterable[Any]) -> None:
    """Makes sure that each is the name of a file, and that no two would share one.

    Raises:
        InputError: If they can't be used.
    """
    taken: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.=+-]*", name, re.ASCII):
            raise InputError(
                f"{where}: name {shown(name)}; expected letters, digits and any of .=+-_"
            )
        if len(name) > MAX_SLUG:
            raise InputError(f"{where}: name {shown(name)}; expected at most {MAX_SLUG} characters")
        if name.lower().endswith(RESULT_SUFFIXES):
            raise InputError(
                f"{where}: name {shown(name)} ends like a file of results; expected another"
            )
        if name.lower() in taken:
            raise InputError(
                f"{where}: names {shown(taken[name.lower()])} and {shown(name)} are one on file "
                "systems that know no capitals; expected names that differ in more"
            )
        taken[name.lower()] = name
