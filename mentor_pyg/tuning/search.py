"""What a search for hyper-parameters goes through, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mentor_pyg.choices import Sampler
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.runs.config import RunConfig, load_config
from mentor_pyg.training.config import check_seeds
from mentor_pyg.tuning.space import SearchSpace, as_changes, read_space, space_names


@checked
@dataclass(frozen=True)
class Search:
    """What to search, and how.

    Attributes:
        preset: Preset that every trial starts from.
        space: What trials change in it.
        trials: Trials, those of an interrupted search included; see
            :meth:`~mentor_pyg.tuning.Study.run`.
        sampler: :obj:`"tpe"`, :obj:`"random"` or :obj:`"grid"`.
        prune_after: See :class:`~mentor_pyg.tuning.Study`.
        changes: Changes to the preset, as for :func:`~mentor_pyg.runs.config.load_config`.
        seeds: What the best configuration is trained with; the first is that of the
            trials and of the sampler. If there are none, the preset's.
        search_only: Whether to end with the best configuration, without training it.
        heat_maps: Pairs of settings, columns and rows; if there are none, those of Fig. 5
            of the MENTOR paper, as far as they are searched.
    """

    preset: str
    space: SearchSpace
    trials: int | None = None
    sampler: Sampler = "tpe"
    prune_after: int | None = 5
    changes: Sequence[str] = ()
    seeds: Sequence[int] = ()
    heat_maps: Sequence[tuple[str, str]] = ()
    search_only: bool = False

    def configure(self, settings: Mapping[str, Any], seed: int | None = None) -> RunConfig:
        """The configuration of a trial, or of the best one with another seed."""
        if seed is None and self.seeds:
            seed = self.seeds[0]
        return load_config(self.preset, [*self.changes, *as_changes(settings)], seed=seed)

    def check(self) -> None:
        """Raises an :class:`~mentor_pyg.InputError` for what can't be searched."""
        if self.trials is not None and self.trials < 1:
            raise InputError(f"trials: {self.trials}; expected 1 or more")
        if self.prune_after is not None and self.prune_after < 0:
            raise InputError(f"prune_after: {self.prune_after}; expected 0 or more")
        if self.seeds:
            check_seeds("seeds", self.seeds)
        self.space.check(self.preset, self.changes)
        for key in (key for pair in self.heat_maps for key in pair):
            if key not in self.space.parameters:
                raise InputError(
                    f"heat map of {key}: isn't searched; "
                    f"expected one of {', '.join(self.space.parameters)}"
                )


@checked
def space_of(preset: str, changes: Sequence[str] = (), space: str | None = None) -> SearchSpace:
    """The search space by its name or file, else that of the preset or of its model.

    Args:
        preset: As for :func:`~mentor_pyg.runs.config.load_config`.
        changes: Changes to it.
        space: As for :func:`~mentor_pyg.tuning.read_space`.

    Raises:
        InputError: If it isn't named and the model has none, or it can't be used.
    """
    if space is not None:
        return read_space(space)
    for name in (preset, load_config(preset, changes).model.lower()):
        if name in space_names():
            return read_space(name)
    raise InputError(f"preset '{preset}' has no search space of its own; expected --space")
