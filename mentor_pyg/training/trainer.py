"""The training loop."""

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch_geometric import seed_everything
from torch_geometric.data import HeteroData

from mentor_pyg._util.progress import progress_bar
from mentor_pyg.errors import NotFinite
from mentor_pyg.evaluation.metrics import Evaluator, encode
from mentor_pyg.training.checkpoint import (
    Checkpoint,
    epoch_state,
    random_state,
    set_epoch_state,
    set_random_state,
)
from mentor_pyg.training.config import FitResult, TrainConfig
from mentor_pyg.training.divergence import Diverged, check_losses, check_weights
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.training.state import check_state
from mentor_pyg.typing import Batch, Objective, RecommenderModel

Losses = Callable[[HeteroData, Batch], dict[str, Tensor]]
OnEpoch = Callable[[FitResult, bool], object]

logger = logging.getLogger("mentor_pyg")

POSTFIX_EVERY = 10
"""Steps between updates of the loss terms on the progress bar; each waits for the GPU."""


def fit(
    model: RecommenderModel,
    data: HeteroData,
    config: TrainConfig | None = None,
    progress: bool = True,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
    on_epoch: OnEpoch | None = None,
) -> FitResult:
    """Trains a model in place and leaves it with the weights of the best validation.

    Parameters are drawn afresh. Selection looks at the validation split alone. With
    equal seeds, runs on the CPU give equal numbers, interrupted or not.

    Args:
        model: Any :class:`~mentor_pyg.RecommenderModel`, on the device of ``data``.
        data: The graph, with whatever transforms the model needs.
        config: How to train.
        progress: Whether to show a progress bar.
        checkpoint: Where to save the state at the end of every epoch and, if epochs are
            long, within. Ctrl-C then saves before it ends.
        resume: Whether to go on from that state.
        on_epoch: Called after every epoch with the result so far and whether the epoch
            is the best. What it raises ends the training.

    Raises:
        InputError: If losses, weights or embeddings stop being finite, which leaves the
            model with the best weights so far; if the monitored metric is unknown; or if
            the state is damaged or of another run.
    """
    trainer = Trainer(model, data, config or TrainConfig(), progress, checkpoint)
    if resume:
        trainer.resume()
    return trainer.fit(on_epoch)


class Trainer:
    """The loop behind :func:`fit`, and all of its state.

    Args:
        model, data, config, progress, checkpoint: As for :func:`fit`.
    """

    def __init__(
        self,
        model: RecommenderModel,
        data: HeteroData,
        config: TrainConfig,
        progress: bool = True,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.model, self.data, self.config = model, data, config
        self.progress, self.checkpoint = progress, checkpoint
        self.evaluator = Evaluator(data, "val", config.ks)
        seed_everything(config.seed)
        model.reset_parameters()
        device = next(model.parameters()).device
        generator = torch.Generator(device).manual_seed(config.seed)
        self.sampler = BPRSampler(data, config.batch_size, generator)
        self.autocast = torch.autocast(
            device.type, torch.bfloat16, enabled=config.precision == "bf16"
        )
        self.steps = [self._compile(o) for o in objectives(model, config.lr)]
        self.result = FitResult()
        self.best_state = _copy(model)
        self.bad_rounds = 0
        self.totals: dict[str, Tensor] = {}
        self.zero = torch.zeros((), device=device)  # float32: sums in bfloat16 stop growing
        self.seconds = 0.0

    def _compile(self, step: tuple[Losses, Optimizer]) -> tuple[Losses, Optimizer]:
        return (torch.compile(step[0]), step[1]) if self.config.compile else step

    def fit(self, on_epoch: OnEpoch | None = None) -> FitResult:
        """Trains until the end, or on from a loaded state."""
        try:
            with self._interruptible():
                while not self.is_finished:
                    self._fit_epoch(on_epoch)
        except Diverged as error:
            self.model.load_state_dict(self.best_state)
            best = self.result.best_epoch
            kept = f"those of epoch {best}, the best so far, are kept" if best else "none are kept"
            raise Diverged(f"{error}; of the weights {kept}") from None
        self.model.load_state_dict(self.best_state)
        return self.result

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or validation hasn't improved for long enough."""
        config = self.config
        return self.result.epochs_run >= config.epochs or self.bad_rounds >= config.patience

    def _fit_epoch(self, on_epoch: OnEpoch | None) -> None:
        row, config = self.train_epoch(), self.config
        is_due = row["epoch"] % config.eval_every == 0 or row["epoch"] == config.epochs
        is_best = is_due and self._validate(row)
        self.result.history.append(row)
        if on_epoch is not None:
            on_epoch(self.result, is_best)
        self._save()

    def train_epoch(self) -> dict[str, float]:
        """One pass over the training pairs: the time, and the mean of each loss term."""
        self.model.train()
        is_resumed = bool(self.totals)
        if not is_resumed and hasattr(self.model, "start_epoch"):
            self.model.start_epoch(self.data)
        epoch = self.result.epochs_run + 1
        start = time.perf_counter() - self.seconds
        with progress_bar(
            self.sampler, f"epoch {epoch}", self.progress, initial=self.sampler.step * is_resumed
        ) as bar:
            for batch in bar:
                losses = self._step(batch)
                for name, loss in losses.items():
                    self.totals[name] = self.totals.get(name, self.zero) + loss.detach()
                if not bar.disable and self.sampler.step % POSTFIX_EVERY == 1:
                    bar.set_postfix({name: f"{loss.item():.4f}" for name, loss in losses.items()})
                self.seconds = time.perf_counter() - start
                if self.checkpoint is not None and self.checkpoint.is_due():
                    check_weights(self.model, epoch)
                    self._save()
        means = {name: float(total) / len(self.sampler) for name, total in self.totals.items()}
        check_losses(means, epoch)
        check_weights(self.model, epoch)  # the last step's, which no loss has seen
        row = {"epoch": epoch, "seconds": self.seconds, **means}
        self.totals, self.seconds = {}, 0.0
        return row

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        """Minimises every objective by one step of its optimiser; the loss terms."""
        terms: dict[str, Tensor] = {}
        for losses_of, optimizer in self.steps:
            terms |= self._minimize(losses_of, optimizer, batch)
        return terms

    def _minimize(self, losses_of: Losses, optimizer: Optimizer, batch: Batch) -> dict[str, Tensor]:
        """One step of an optimiser; the loss terms before it."""
        seen: list[dict[str, Tensor]] = []

        def closure() -> Any:
            optimizer.zero_grad()  # before the losses, which then find its memory free
            with self.autocast:
                losses = losses_of(self.data, batch)
            total = torch.stack(list(losses.values())).sum()
            total.backward()
            seen.append({name: loss.detach() for name, loss in losses.items()})
            return total

        optimizer.step(closure)  # which LBFGS calls more than once
        return seen[0]

    def _validate(self, row: dict[str, float]) -> bool:
        """Adds metrics to a row and keeps the weights if they are the best so far."""
        monitor, result = self.config.monitor, self.result
        try:
            metrics = self.evaluator(*encode(self.model, self.data))
        except NotFinite as error:
            raise Diverged(f"epoch {row['epoch']}: {error}") from None
        row |= metrics
        is_best = metrics[monitor] > result.val.get(monitor, -1.0)
        _log_row(row, monitor, is_best)
        self.bad_rounds = 0 if is_best else self.bad_rounds + 1
        if is_best:
            result.best_epoch, result.val = int(row["epoch"]), metrics
            self.best_state = _copy(self.model)
        return is_best

    def _interruptible(self) -> AbstractContextManager[None]:
        return self.checkpoint.catching_interrupts() if self.checkpoint else nullcontext()

    def _save(self) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(self.state_dict())
            if self.checkpoint.is_interrupted:
                raise KeyboardInterrupt

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "model": self.model.state_dict(),
            "epoch": epoch_state(self.model),
            "best": self.best_state,
            "optimizers": [optimizer.state_dict() for _, optimizer in self.steps],
            "sampler": self.sampler.state_dict(),
            "random": random_state(),
            "result": asdict(self.result),
            "bad_rounds": self.bad_rounds,
            "totals": self.totals,
            "seconds": self.seconds,
        }

    def resume(self) -> None:
        """Goes on from what the checkpoint saved, or changes nothing.

        Raises:
            FileNotFoundError: If there is none.
            InputError: If it is damaged, of another run, or doesn't fit.
        """
        assert self.checkpoint is not None
        state = self.checkpoint.load()
        check_state(state, self, self.checkpoint.path)
        self.load_state_dict(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where a trainer of the same model, data and settings was."""
        self.model.load_state_dict(state["model"])
        set_epoch_state(self.model, state["epoch"])
        self.best_state = state["best"]
        for (_, optimizer), saved in zip(self.steps, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.sampler.load_state_dict(state["sampler"])
        self.result = FitResult(**state["result"])
        self.bad_rounds = state["bad_rounds"]
        device = next(self.model.parameters()).device
        self.totals = {name: total.to(device) for name, total in state["totals"].items()}
        self.seconds = state["seconds"]
        set_random_state(state["random"])


def objectives(model: RecommenderModel, lr: float) -> list[tuple[Losses, Optimizer]]:
    """The losses that a step minimises in turn, each with its optimiser."""
    if not hasattr(model, "objectives"):
        return [(model.losses, _optimizer(Objective(model.losses, list(model.parameters())), lr))]
    return [(o.losses, _optimizer(o, lr)) for o in model.objectives()]


def _optimizer(objective: Objective, lr: float) -> Optimizer:
    """The optimiser of an objective, in one kernel for all parameters where it has one."""
    options: dict[str, Any] = {"lr": lr, **objective.options}
    has_kernel = "fused" in inspect.signature(objective.optimizer).parameters
    if has_kernel and not options.keys() & {"fused", "foreach", "differentiable"}:
        options["fused"] = True
    return objective.optimizer(objective.parameters, **options)


def _copy(model: RecommenderModel) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _log_row(row: dict[str, float], monitor: str, is_best: bool) -> None:
    terms = [k for k in row if "@" not in k and k not in ("epoch", "seconds")]
    losses = "  ".join(f"{name} {row[name]:.4f}" for name in terms)
    logger.info(
        f"epoch {row['epoch']:>4}  {row['seconds']:.1f} s  {losses}  "
        f"val {monitor} {row[monitor]:.4f}{' *' if is_best else ''}"
    )
