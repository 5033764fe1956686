"""The training loop and its state."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch_geometric.data import HeteroData

from mentor_pyg.datasets.check import check_graph
from mentor_pyg.errors import InputError, NotFinite
from mentor_pyg.evaluation.metrics import Evaluator, encode
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.solved import SolvedRecommender
from mentor_pyg.options import Positive, checked
from mentor_pyg.training.batches import BatchLike, Stateful, check_sampler, groups, num_batches
from mentor_pyg.training.callbacks import Callback, EpochLog, ProgressBar
from mentor_pyg.training.checkpoint import Checkpoint, epoch_state, set_epoch_state
from mentor_pyg.training.config import FitResult, TrainConfig
from mentor_pyg.training.divergence import Diverged, check_losses, check_weights
from mentor_pyg.training.optimization import (
    MakeOptimizer,
    MakeScheduler,
    check_solved,
    make_minimizers,
    make_schedulers,
)
from mentor_pyg.training.randomness import RandomStream, derived_seed
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.training.state import check_state
from mentor_pyg.typing import INTERACTS


@checked
class Trainer:
    """The training loop with all of its state; for the arguments see :func:`fit`."""

    def __init__(
        self,
        model: BaseRecommender,
        data: HeteroData,
        config: TrainConfig | None = None,
        *,
        sampler: Iterable[BatchLike] | None = None,
        optimizer: Optimizer | MakeOptimizer | None = None,
        scheduler: MakeScheduler | None = None,
        max_grad_norm: Positive | None = None,
        callbacks: Sequence[Callback] = (),
        reset: bool = True,
        progress: bool = True,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.model, self.data, config = model, data, config or TrainConfig()
        self.evaluator = Evaluator(data, "val", config.ks)
        check_graph(data)
        self.config = config = config.sized(data[INTERACTS].edge_index.size(1))
        self.device = _device(model)
        if reset and isinstance(optimizer, Optimizer) and optimizer.state:
            raise InputError(
                "optimizer: has taken steps, which do not fit parameters that are reset; "
                "expected reset=False, or a new optimiser"
            )
        if isinstance(model, SolvedRecommender):
            given = {"sampler": sampler, "optimizer": optimizer, "scheduler": scheduler}
            check_solved(model, given | {"max_grad_norm": max_grad_norm})
            sampler = ()
        self.epochs = 1 if isinstance(model, SolvedRecommender) else config.epochs
        self.stream = RandomStream(config.seed, self.device)
        if reset:
            with self.stream:
                model.reset_parameters()
                model.initialize(data)
        self.sampler = sampler if sampler is not None else self._bpr_sampler()
        check_sampler(self.sampler, self.epochs)
        autocast = torch.autocast(
            self.device.type, torch.bfloat16, enabled=config.precision == "bf16"
        )
        norm = config.max_grad_norm if max_grad_norm is None else max_grad_norm
        self.minimizers = make_minimizers(model, config, optimizer, autocast, norm)
        self.optimizers = [minimizer.optimizer for minimizer in self.minimizers]
        self.schedulers = make_schedulers(self.optimizers, config, scheduler, self.num_batches)
        for callback in callbacks:
            if not isinstance(callback, Callback):
                name = getattr(callback, "__name__", type(callback).__name__)
                raise InputError(f"callbacks: {name} is no Callback; expected Callbacks")
        self.checkpoint = checkpoint
        self.callbacks: list[Callback] = [ProgressBar()] if progress else []
        self.callbacks += [EpochLog(), *callbacks]
        self.callbacks += [] if checkpoint is None else [checkpoint]  # last, to save all changes
        self.result = FitResult()
        self.best_state = _copy(model)
        self.bad_rounds = 0
        self.epoch = self.step = 0
        self.totals: dict[str, Tensor] = {}
        self.seconds = 0.0
        self.is_best = self.should_stop = False

    def _bpr_sampler(self) -> BPRSampler:
        config = self.config
        generator = torch.Generator(self.device).manual_seed(derived_seed(config.seed, 1))
        assert config.batch_size != "auto"
        return BPRSampler(self.data, config.batch_size, generator, config.num_negatives)

    @property
    def num_batches(self) -> int | None:
        """Number of batches per epoch; None if unknown."""
        return num_batches(self.sampler)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or early stopping applies."""
        is_stopped = self.bad_rounds >= self.config.patience
        return self.result.epochs_run >= self.epochs or is_stopped

    def fit(self) -> FitResult:
        """Trains until the end, continuing from a loaded state."""
        with ExitStack() as stack:
            stack.enter_context(self.stream)
            for callback in self.callbacks:
                stack.callback(callback.on_fit_end, self)
                callback.on_fit_start(self)
            try:
                while not (self.is_finished or self.should_stop):
                    self._fit_epoch()
            except Diverged as error:
                self.model.load_state_dict(self.best_state)
                best = self.result.best_epoch
                kept = f"the best weights so far, of epoch {best}," if best else "no weights"
                raise Diverged(f"{error}; {kept} were kept") from None
            self.model.load_state_dict(self.best_state)
        return self.result

    def _fit_epoch(self) -> None:
        row, config = self.train_epoch(), self.config
        is_due = row["epoch"] % config.eval_every == 0 or row["epoch"] == self.epochs
        self.is_best = is_due and self._validate(row)
        self.result.history.append(row)
        if config.scheduler_interval == "epoch":
            for scheduler in self.schedulers:
                if not isinstance(scheduler, ReduceLROnPlateau):
                    scheduler.step()
                elif is_due:
                    scheduler.step(row[config.monitor])
        for callback in self.callbacks:
            callback.on_epoch_end(self)

    def train_epoch(self) -> dict[str, float]:
        """Trains for one epoch; returns the time and the mean of each loss term."""
        with self.stream:
            return self._train_epoch()

    def _train_epoch(self) -> dict[str, float]:
        self.model.train()
        if self.step == 0:
            self.model.start_epoch(self.data)
        self.epoch = epoch = self.result.epochs_run + 1
        start = time.perf_counter() - self.seconds
        for callback in self.callbacks:
            callback.on_epoch_start(self)
        if isinstance(self.model, SolvedRecommender):
            with torch.no_grad():
                self.model.solve(self.data)
            self.seconds = time.perf_counter() - start
        else:
            self._take_steps(start)
        means = {name: float(total) / self.step for name, total in self.totals.items()}
        check_losses(means, epoch)
        check_weights(self.model, epoch)  # after the last step, which the losses do not cover
        row = {"epoch": epoch, "seconds": self.seconds, **means}
        self.step, self.totals, self.seconds = 0, {}, 0.0
        return row

    def _take_steps(self, start: float) -> None:
        """The rest of an epoch that would have started at a time, had it not been interrupted."""
        zero = torch.zeros((), device=self.device)  # float32, since bfloat16 sums saturate
        size = self.config.accumulate
        for batches in groups(self.sampler, size, self.step, self.data, self.device):
            for callback in self.callbacks:
                callback.on_step_start(self)
            losses = self._minimize(batches)
            for name, loss in losses.items():
                self.totals[name] = self.totals.get(name, zero) + loss
            self.step += len(batches)
            self.seconds = time.perf_counter() - start
            if len(batches) > 1:
                losses = {name: loss / len(batches) for name, loss in losses.items()}
            for callback in self.callbacks:
                callback.on_step_end(self, losses)
        if self.step == 0:
            raise InputError(
                f"epoch {self.epoch}: the sampler gave no batch; expected at least one"
            )

    def _minimize(self, batches: Sequence[Any]) -> dict[str, Tensor]:
        """Takes a step for each objective; returns sums of the loss terms."""
        terms: dict[str, Tensor] = {}
        for minimize in self.minimizers:
            terms |= minimize(batches)
        if self.config.scheduler_interval == "step":
            for scheduler in self.schedulers:
                scheduler.step()
        return terms

    def _validate(self, row: dict[str, float]) -> bool:
        monitor, result = self.config.monitor, self.result
        try:
            metrics = self.evaluator(*encode(self.model, self.data))
        except NotFinite as error:
            raise Diverged(f"epoch {row['epoch']}: {error}") from None
        row |= metrics
        is_best = metrics[monitor] > result.val.get(monitor, -1.0)
        self.bad_rounds = 0 if is_best else self.bad_rounds + 1
        if is_best:
            result.best_epoch, result.val = int(row["epoch"]), metrics
            self.best_state = _copy(self.model)
        return is_best

    @property
    def can_be_saved(self) -> bool:
        """Whether training can be resumed from the state. Within an epoch, this requires a
        sampler with state and length."""
        is_whole = isinstance(self.sampler, Stateful) and self.num_batches is not None
        return self.step == 0 or is_whole

    def state_dict(self) -> dict[str, Any]:
        """All state on which the rest of the training depends."""
        return {
            "model": self.model.state_dict(),
            "epoch": epoch_state(self.model),
            "best": self.best_state,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "sampler": self.sampler.state_dict() if isinstance(self.sampler, Stateful) else {},
            "callbacks": {
                name: saved for name, c in self.named_callbacks() if (saved := c.state_dict())
            },
            "random": self.stream.state_dict(),
            "result": asdict(self.result),
            "bad_rounds": self.bad_rounds,
            "step": self.step,
            "totals": self.totals,
            "seconds": self.seconds,
        }

    def named_callbacks(self) -> Iterator[tuple[str, Callback]]:
        """Callbacks by class name, numbered from the second of the same class."""
        seen: Counter[str] = Counter()
        for callback in self.callbacks:
            name = type(callback).__name__
            seen[name] += 1
            yield (name if seen[name] == 1 else f"{name} {seen[name]}"), callback

    def resume(self) -> None:
        """Loads the state of the checkpoint, after checking it.

        Raises:
            FileNotFoundError: If there is no checkpoint.
            InputError: If it is damaged, belongs to another run, or does not fit.
        """
        assert self.checkpoint is not None
        state = self.checkpoint.load()
        check_state(state, self, self.checkpoint.path)
        self.load_state_dict(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state of a trainer of the same model, data and settings."""
        self.model.load_state_dict(state["model"])
        set_epoch_state(self.model, state["epoch"], self.device)
        self.best_state = state["best"]
        for part in ("optimizers", "schedulers"):
            for each, saved in zip(getattr(self, part), state[part], strict=True):
                each.load_state_dict(saved)
        if isinstance(self.sampler, Stateful):
            self.sampler.load_state_dict(state["sampler"])
        for name, callback in self.named_callbacks():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])
        self.result = FitResult(**state["result"])
        self.bad_rounds, self.step = state["bad_rounds"], state["step"]
        self.totals = {name: total.to(self.device) for name, total in state["totals"].items()}
        self.seconds = state["seconds"]
        self.stream.load_state_dict(state["random"])


def _device(model: BaseRecommender) -> torch.device:
    is_solved = isinstance(model, SolvedRecommender)
    tensor = next(model.buffers() if is_solved else model.parameters(), None)
    if tensor is None:
        kind, purpose = ("buffers", "to solve") if is_solved else ("parameters", "to train")
        raise InputError(f"{type(model).__name__}: has no {kind}; expected at least one {purpose}")
    return tensor.device


def _copy(model: BaseRecommender) -> dict[str, Any]:
    if isinstance(model, SolvedRecommender):  # may be large, and does not change any more
        return dict(model.state_dict())
    return {name: value.clone() for name, value in model.state_dict().items()}
