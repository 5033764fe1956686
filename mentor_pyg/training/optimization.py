"""Optimisation of an objective: gradients, clipping, optimisers and schedules."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.training.config import TrainConfig
from mentor_pyg.typing import Batch

Losses = Callable[[HeteroData, Batch], dict[str, Tensor]]
MakeOptimizer = type[Optimizer] | Callable[[list[Parameter]], Optimizer]
MakeScheduler = Callable[[Optimizer], LRScheduler]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": SGD,
    "adagrad": Adagrad,
}


class Minimizer:
    """Minimises an objective by steps of its optimiser.

    Args:
        losses: Function of data and batch that returns weighted scalar terms by name.
        optimizer: Optimiser of the objective's parameters.
        autocast: Context in which losses are computed.
        max_grad_norm: Maximum norm of all gradients together, for clipping.
    """

    def __init__(
        self,
        losses: Losses,
        optimizer: Optimizer,
        autocast: AbstractContextManager[Any],
        max_grad_norm: float | None = None,
    ) -> None:
        self.losses, self.optimizer = losses, optimizer
        self.autocast, self.max_grad_norm = autocast, max_grad_norm

    def __call__(self, batches: Sequence[tuple[HeteroData, Batch]]) -> dict[str, Tensor]:
        """Takes a step with the mean gradient of the batches; returns sums of the loss terms."""
        sums: list[dict[str, Tensor]] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()  # first, to free its memory for the losses
            totals = [self._backward(data, batch, len(batches)) for data, batch in batches]
            if self.max_grad_norm is not None:
                groups = self.optimizer.param_groups
                parameters = [p for group in groups for p in group["params"]]
                clip_grad_norm_(parameters, self.max_grad_norm)
            sums.append(_sum([terms for _, terms in totals]))
            total = totals[0][0]
            for other, _ in totals[1:]:
                total = total + other
            return total

        self.optimizer.step(closure)  # type: ignore[arg-type]  # LBFGS calls it repeatedly
        return sums[0]

    def _backward(
        self, data: HeteroData, batch: Batch, count: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Adds a batch's gradients; returns its share of the loss, and its loss terms."""
        with self.autocast:
            losses = self.losses(data, batch)
        total = torch.stack(list(losses.values())).sum()
        total = total if count == 1 else total / count
        total.backward()
        return total.detach(), {name: loss.detach() for name, loss in losses.items()}


def _sum(terms: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    sums = dict(terms[0])
    for more in terms[1:]:
        for name, loss in more.items():
            sums[name] = sums[name] + loss if name in sums else loss
    return sums


def check_solved(model: BaseRecommender, given: Mapping[str, object]) -> None:
    """Raises an InputError if parts of gradient steps are given for a model without such steps."""
    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"{name}: is set, but {type(model).__name__} is solved without gradient steps; "
                "expected none"
            )


def make_minimizers(
    model: BaseRecommender,
    config: TrainConfig,
    optimizer: Optimizer | MakeOptimizer | None,
    autocast: AbstractContextManager[Any],
    max_grad_norm: float | None,
) -> list[Minimizer]:
    """Creates a minimizer for each objective of a model."""
    objectives = model.objectives()
    is_free = [o.optimizer is None and not o.options for o in objectives]
    name = type(model).__name__
    is_set = optimizer is not None or config.optimizer != "adam" or config.weight_decay > 0
    if objectives and is_set and not any(is_free):
        raise InputError(
            f"optimizer: is set, but the objectives of {name} have their own; expected none"
        )
    if isinstance(optimizer, Optimizer):
        if len(objectives) > 1:
            raise InputError(
                f"optimizer: one instance is given, but {name} has {len(objectives)} objectives; "
                "expected a class, or a function of the parameters of one"
            )
        _check_parameters(optimizer, model)
    made = []
    for o, is_run_s in zip(objectives, is_free):
        if not is_run_s:
            found = _build(o.optimizer or Adam, o.parameters, {"lr": config.lr, **o.options})
        else:
            found = _of_run(optimizer, o.parameters, config)
        losses = torch.compile(o.losses) if config.compile else o.losses
        made.append(Minimizer(losses, found, autocast, max_grad_norm))
    return made


def _of_run(
    optimizer: Optimizer | MakeOptimizer | None, parameters: list[Parameter], config: TrainConfig
) -> Optimizer:
    if isinstance(optimizer, Optimizer):
        return optimizer
    if optimizer is None or (isinstance(optimizer, type) and issubclass(optimizer, Optimizer)):
        decay = {"weight_decay": config.weight_decay} if config.weight_decay else {}
        cls = optimizer or OPTIMIZERS[config.optimizer]
        return _build(cls, parameters, {"lr": config.lr, **decay})
    make: Callable[[list[Parameter]], object] = optimizer
    made = make(parameters)
    if not isinstance(made, Optimizer):
        kind = type(made).__name__
        raise InputError(f"optimizer: made a {kind}; expected a torch.optim.Optimizer")
    return made


def _check_parameters(optimizer: Optimizer, model: BaseRecommender) -> None:
    known = {id(p) for p in model.parameters()}
    if not all(id(p) in known for group in optimizer.param_groups for p in group["params"]):
        raise InputError(
            f"optimizer: holds tensors that aren't parameters of this {type(model).__name__}; "
            "expected an optimiser of model.parameters()"
        )


def _build(
    optimizer: type[Optimizer], parameters: list[Parameter], options: Mapping[str, Any]
) -> Optimizer:
    """Creates an optimiser, with a fused kernel where available."""
    options = dict(options)
    has_kernel = "fused" in inspect.signature(optimizer).parameters
    if has_kernel and not options.keys() & {"fused", "foreach", "differentiable"}:
        options["fused"] = True
    return optimizer(parameters, **options)


def make_schedulers(
    optimizers: Sequence[Optimizer],
    config: TrainConfig,
    scheduler: MakeScheduler | None,
    batches: int | None,
) -> list[LRScheduler]:
    """Creates a schedule for each optimiser, if any, by ``scheduler`` or else by ``config``."""
    if scheduler is None:
        if config.scheduler == "none" or not optimizers:
            return []
        scheduler = _scheduler(config, batches)
    made = [scheduler(optimizer) for optimizer in optimizers]
    for each in made:
        if not isinstance(each, LRScheduler):
            raise InputError(
                f"scheduler: made a {type(each).__name__}; "
                "expected a torch.optim.lr_scheduler.LRScheduler"
            )
        if isinstance(each, ReduceLROnPlateau):
            if config.scheduler_interval == "step":
                raise InputError(
                    "scheduler: ReduceLROnPlateau needs a validation; "
                    "expected train.scheduler_interval 'epoch'"
                )
            if each.mode != "max":
                raise InputError(
                    f"scheduler: ReduceLROnPlateau has mode {each.mode!r}; expected 'max', "
                    f"since a higher {config.monitor} is better"
                )
    return made


def _scheduler(config: TrainConfig, batches: int | None) -> MakeScheduler:
    if config.scheduler == "plateau":
        return lambda optimizer: ReduceLROnPlateau(optimizer, mode="max")
    total = config.epochs
    if config.scheduler_interval == "step":
        if batches is None:
            raise InputError(
                "train.scheduler: a sampler without a length has no known number of steps; "
                "expected train.scheduler_interval 'epoch'"
            )
        total *= -(-batches // config.accumulate)
    return lambda optimizer: CosineAnnealingLR(optimizer, total)
