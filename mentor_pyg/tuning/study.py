"""A search over settings, kept on disk so that it goes on where it stopped."""

import json
import logging
import math
from collections.abc import Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mentor_pyg._util.locks import sole_writer
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.choices import Sampler
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import checked
from mentor_pyg.training.checkpoint import differences
from mentor_pyg.tuning.attempt import TrialFunction, attempt
from mentor_pyg.tuning.backend import (
    close_storage,
    distribution,
    import_optuna,
    median_pruner,
    open_storage,
    opened_once,
    reporting,
)
from mentor_pyg.tuning.space import SearchSpace
from mentor_pyg.tuning.trials import Trial, best_trial, trial_line

logger = logging.getLogger("mentor_pyg")

FORMAT = 1
"""Of what a study keeps of each trial; a study of another format is another search."""

TRIALS = 30
"""How many there are if nobody says."""

PROPOSALS = 5
"""How often TPE may propose a point for a trial; what was tried before is turned down."""

FEW_TRIALS = 10
"""With fewer complete trials, the importance of parameters can't be told."""


@checked
class Study:
    """A search by `Optuna <https://optuna.org>`_ for the highest value of a metric.

    No point is tried twice. Trials are numbered, and what trial n tries follows from the
    seed, n and the trials before it. A trial that was interrupted is run again under its
    number, so that an interrupted search ends like one that never was. One process at a
    time may search: the folder of the file is locked until :meth:`close`.

    Args:
        path: The SQLite file.
        space: Where to search.
        monitor: The metric, as it is called in a row of the history.
        identity: What a search must agree in to go on from this file, by name.
        sampler: :obj:`"tpe"`, :obj:`"random"`, or :obj:`"grid"` for a space with finitely
            many points, in random order.
        seed: Seed of the sampler.
        prune_after: From which epoch on a trial is given up if its best value is below
            the median of the others at that epoch; None for never.

    Raises:
        InputError: If Optuna isn't installed, the file is of another search, or it is open
            already, here or in another process.
    """

    def __init__(
        self,
        path: Path,
        space: SearchSpace,
        monitor: str,
        identity: Mapping[str, Any] | None = None,
        sampler: Sampler = "tpe",
        seed: int = 0,
        prune_after: int | None = 5,
    ) -> None:
        if sampler == "grid" and math.isinf(space.size):
            raise InputError(
                f"{space.name}: has a range of fractions without a step; expected a grid"
            )
        self.optuna = import_optuna()
        self.path, self.space, self.monitor = path, space, monitor
        self.sampler, self.seed = sampler, seed
        self.distributions = {
            key: distribution(self.optuna, values) for key, values in space.parameters.items()
        }
        ours = {
            "format": FORMAT,
            "space": space.to_dict(),
            "monitor": monitor,
            "sampler": sampler,
            "seed": seed,
        }
        with ExitStack() as stack:  # closes what is open if the study can't be used
            stack.enter_context(sole_writer(path.parent))
            stack.enter_context(opened_once(path.resolve()))
            self.storage = open_storage(self.optuna, path)
            stack.callback(close_storage, self.storage)
            with reporting(path):
                self.study = self.optuna.create_study(
                    storage=self.storage,
                    study_name="mentor_pyg",
                    direction="maximize",
                    load_if_exists=True,
                    pruner=median_pruner(self.optuna, prune_after),
                )
                self._check_identity({**ours, "prune_after": prune_after, **(identity or {})})
                self._settle_interrupted()
            self._open = stack.pop_all()

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file, to which another process may write then."""
        self._open.close()

    def trials(self) -> list[Trial]:
        """All trials that came to an end."""
        outcomes = [t.user_attrs.get("outcome") for t in self.study.get_trials(deepcopy=False)]
        return [Trial(number, **o) for number, o in enumerate(filter(None, outcomes))]

    def run(
        self, objective: TrialFunction, count: int | None = None, progress: bool = True
    ) -> list[Trial]:
        """Goes on until there are ``count`` trials, or no point is left to try.

        A trial that raises :class:`~mentor_pyg.InputError`, as training does when it
        diverges, or runs out of a GPU's memory, has failed, and the search goes on.

        Args:
            objective: Trains with the settings it is given.
            count: Trials, those of earlier calls included. If not given, the whole grid,
                or 30 of the other samplers.
            progress: Whether to show a progress bar.

        Returns:
            All trials.
        """
        if count is None:
            count = TRIALS if self.sampler != "grid" else int(self.space.size)
        count = int(min(count, self.space.size))
        trials = self.trials()
        done = min(count, len(trials))
        bar = progress_bar(None, "trials", progress, total=count, initial=done)
        with reporting(self.path), bar:
            while len(trials) < count:
                trials.append(self._run_trial(objective, trials))
                best = best_trial(trials)
                if best is not None:
                    bar.set_postfix({f"best {self.monitor}": f"{best.value:.4f}"})
                logger.info(trial_line(trials[-1], self.monitor, best))
                bar.update()
        return trials

    def importance(self) -> dict[str, float]:
        """How much of the difference between good trials and others each setting makes.

        Shares that sum to one, by PED-ANOVA; nothing where too few trials are complete.
        """
        complete = [t for t in self.trials() if t.state == "complete"]
        if len(complete) < FEW_TRIALS or len({t.value for t in complete}) == 1:
            return {}
        return dict(self.optuna.importance.get_param_importances(self.study))

    def _run_trial(self, objective: TrialFunction, earlier: Sequence[Trial]) -> Trial:
        running = self._ask({_key(t.settings) for t in earlier})
        settings = self.space.settings(running.params)
        trial = attempt(objective, settings, running, self.monitor, self.optuna.TrialPruned)
        outcome = {key: value for key, value in asdict(trial).items() if key != "number"}
        running.set_user_attr("outcome", outcome)
        self._tell(running.number, outcome)
        return replace(trial, number=len(earlier))

    def _ask(self, tried: Set[str]) -> Any:
        """A new trial at a point that wasn't tried; it follows from the seed and ``tried``."""
        for proposal in range(PROPOSALS if self.sampler == "tpe" else 0):
            seed = np.random.SeedSequence([self.seed, len(tried), proposal]).generate_state(1)
            self.study.sampler = self.optuna.samplers.TPESampler(seed=int(seed[0]))
            running = self.study.ask(self.distributions)
            if _key(self.space.settings(running.params)) not in tried:
                return running
            self._tell(running.number, None)
        rng = np.random.default_rng([self.seed, len(tried)])
        point = self.space.draw(rng)
        while _key(self.space.settings(point)) in tried:
            point = self.space.draw(rng)
        if not self.study.get_trials(states=[self.optuna.trial.TrialState.WAITING]):
            self.study.enqueue_trial(point)  # unless one waits, of a process that was killed
        return self.study.ask(self.distributions)

    def _tell(self, number: int, outcome: Mapping[str, Any] | None) -> None:
        """Ends a trial; one without an outcome, interrupted or turned down, doesn't count."""
        states = self.optuna.trial.TrialState
        if outcome is None or outcome["state"] == "failed":
            self.study.tell(number, state=states.FAIL)
        elif outcome["state"] == "pruned":
            self.study.tell(number, state=states.PRUNED)
        else:
            self.study.tell(number, outcome["value"])

    def _settle_interrupted(self) -> None:
        for trial in self.study.get_trials(states=[self.optuna.trial.TrialState.RUNNING]):
            self._tell(trial.number, trial.user_attrs.get("outcome"))

    def _check_identity(self, identity: Mapping[str, Any]) -> None:
        ours = json.loads(json.dumps(identity))
        theirs = self.study.user_attrs.get("identity")
        if theirs is None:
            self.study.set_user_attr("identity", ours)
            return
        for name, our, their in differences(ours, theirs):
            raise InputError(
                f"{self.path}: was begun with {name} = {shown(their)}, this search has "
                f"{shown(our)}; expected the same search to go on, or another folder"
            )


def _key(settings: Mapping[str, Any]) -> str:
    """Tells settings apart, 1 from 1.0 and from true too."""
    return json.dumps(settings, sort_keys=True)
