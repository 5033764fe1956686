"""The training loop."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch_geometric import seed_everything
from torch_geometric.data import HeteroData
from tqdm import tqdm

from mentor_pyg.errors import InputError
from mentor_pyg.evaluation import Evaluator, encode
from mentor_pyg.sampler import BPRSampler
from mentor_pyg.typing import Batch, Recommender

logger = logging.getLogger("mentor_pyg")

POSTFIX_EVERY = 10
"""Steps between updates of the loss terms on the progress bar; each waits for the GPU."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are those of the MENTOR paper.

    Attributes:
        epochs: Epochs at most.
        batch_size: Triples B in a batch.
        lr: Learning rate of Adam.
        eval_every: Epochs between validations.
        patience: Validations without a new best before stopping.
        monitor: Validation metric that decides.
        ks: Lengths of the lists to measure.
        seed: Seed of everything random.
        precision: :obj:`"bf16"` computes matrix products in bfloat16 by autocast;
            parameters, propagation, sums and evaluation stay float32.
        compile: Whether to run the losses through :func:`torch.compile`. It needs a C++
            compiler on the CPU, and minutes before the first steps.
    """

    epochs: int = 1000
    batch_size: int = 2048
    lr: float = 1e-4
    eval_every: int = 1
    patience: int = 20
    monitor: str = "recall@20"
    ks: tuple[int, ...] = (10, 20)
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "eval_every", "patience"):
            if not getattr(self, name) > 0:
                raise InputError(f"train.{name}: {getattr(self, name)}; expected more than 0")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"train.seed: {self.seed}; expected 0 to 2^32 - 1")


@dataclass
class FitResult:
    """What :func:`fit` found.

    Attributes:
        best_epoch: Epoch of the best validation, from 1.
        val: Its metrics.
        history: A row for every epoch: ``epoch``, ``seconds``, the mean of every loss
            term, and the validation metrics where there was a validation.
    """

    best_epoch: int = 0
    val: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def epochs_run(self) -> int:
        return len(self.history)

    @property
    def seconds_per_epoch(self) -> float:
        """Mean time of training an epoch, validation excluded."""
        return sum(row["seconds"] for row in self.history) / max(1, self.epochs_run)


def fit(
    model: Recommender,
    data: HeteroData,
    config: TrainConfig | None = None,
    progress: bool = True,
) -> FitResult:
    """Trains a model in place and leaves it with the weights of the best validation.

    Parameters are drawn afresh. Selection looks at the validation split alone. With
    equal seeds, runs on the CPU give equal numbers.

    Args:
        model: Any :class:`~mentor_pyg.typing.Recommender`, on the device of ``data``.
        data: The graph, with whatever transforms the model needs.
        config: How to train.
        progress: Whether to show a progress bar.

    Raises:
        InputError: If the loss stops being finite, or the monitored metric is unknown.
    """
    config = config or TrainConfig()
    seed_everything(config.seed)
    model.reset_parameters()
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed)
    sampler = BPRSampler(data, config.batch_size, generator)
    evaluator = Evaluator(data, "val", config.ks)
    if config.monitor not in evaluator.metrics:
        raise InputError(
            f"train.monitor: '{config.monitor}' isn't measured; "
            f"expected one of {', '.join(evaluator.metrics)}"
        )
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr, fused=True)
    losses = torch.compile(model.losses) if config.compile else model.losses
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")

    result = FitResult()
    best_state = {k: v.clone() for k, v in model.state_dict().items()}
    bad_rounds = 0
    for epoch in range(1, config.epochs + 1):
        model.train()
        means = train_epoch(losses, data, sampler, optimizer, autocast, progress, epoch)
        row = {"epoch": epoch, **means}
        result.history.append(row)
        if epoch % config.eval_every and epoch < config.epochs:
            continue
        metrics = evaluator(*encode(model, data))
        row |= metrics
        is_best = metrics[config.monitor] > result.val.get(config.monitor, -1.0)
        _log_row(row, config.monitor, is_best)
        bad_rounds = 0 if is_best else bad_rounds + 1
        if is_best:
            result.best_epoch, result.val = epoch, metrics
            best_state = {k: v.clone() for k, v in model.state_dict().items()}
        if bad_rounds >= config.patience:
            break
    model.load_state_dict(best_state)
    return result


def train_epoch(
    losses_of: Callable[[HeteroData, Batch], dict[str, Tensor]],
    data: HeteroData,
    sampler: BPRSampler,
    optimizer: torch.optim.Optimizer,
    autocast: AbstractContextManager,
    progress: bool = False,
    epoch: int = 1,
) -> dict[str, float]:
    """One pass over the training pairs; the time and the mean of each loss term."""
    start = time.perf_counter()
    totals: dict[str, Tensor] = {}
    with tqdm(
        sampler, desc=f"epoch {epoch}", leave=False, disable=None if progress else True
    ) as bar:
        for step, batch in enumerate(bar):
            optimizer.zero_grad()  # before the losses, which then find its memory free
            with autocast:
                losses = losses_of(data, batch)
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0.0) + loss.detach()
            if not bar.disable and step % POSTFIX_EVERY == 0:
                bar.set_postfix({name: f"{loss.item():.4f}" for name, loss in losses.items()})
    means = {name: float(total) / len(sampler) for name, total in totals.items()}
    for name, value in means.items():
        if value != value or value in (float("inf"), float("-inf")):
            raise InputError(
                f"epoch {epoch}: loss term '{name}' is {value}; expected a finite number "
                "(a lower learning rate may help)"
            )
    return {"seconds": time.perf_counter() - start, **means}


def _log_row(row: dict[str, float], monitor: str, is_best: bool) -> None:
    terms = [k for k in row if "@" not in k and k not in ("epoch", "seconds")]
    losses = "  ".join(f"{name} {row[name]:.4f}" for name in terms)
    logger.info(
        f"epoch {row['epoch']:>4}  {row['seconds']:.1f} s  {losses}  "
        f"val {monitor} {row[monitor]:.4f}{' *' if is_best else ''}"
    )
