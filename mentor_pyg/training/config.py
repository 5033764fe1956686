"""Settings and results of training."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mentor_pyg.errors import InputError, shown
from mentor_pyg.evaluation.metrics import metric_names
from mentor_pyg.options import Count, Lengths, NonNegative, Positive, Seed, checked

STEPS = 64
"""Steps per epoch that an automatic batch size aims at."""

SEEDS = range(2**32)
"""Seeds that NumPy's generators accept."""


@checked
@dataclass(frozen=True)
class TrainConfig:
    """Settings of training; defaults follow the MENTOR paper.

    Models that are solved without gradient steps only use ``monitor``, ``ks`` and ``seed``; see
    :class:`~mentor_pyg.nn.models.SolvedRecommender`.

    Attributes:
        epochs: Maximum number of epochs.
        batch_size: Number of training pairs B per batch, or :obj:`"auto"`: see :meth:`sized`.
        lr: Learning rate, or :obj:`"auto"`.
        eval_every: Epochs between validations.
        patience: Early stopping after this number of validations without improvement.
        monitor: Validation metric for model selection.
        ks: Lengths K of the ranked lists.
        seed: Random seed.
        precision: :obj:`"bf16"` computes matrix products in bfloat16 by autocast;
            parameters, propagation, sums and evaluation stay in float32.
        compile: Whether to compile the losses by :func:`torch.compile`. On the CPU this needs a
            C++ compiler. The first steps take minutes.
        num_negatives: Number of negative items per pair. A batch repeats each pair once per
            negative.
        optimizer: Optimiser of objectives that do not choose their own.
        weight_decay: Weight decay of this optimiser, decoupled with :obj:`"adamw"`.
        scheduler: Learning rate schedule: :obj:`"cosine"` decays to 0 at the last of
            ``epochs``; :obj:`"plateau"` divides by 10 whenever the monitored metric has not
            improved for ten validations.
        scheduler_interval: Unit of the schedule.
        max_grad_norm: Maximum gradient norm of each optimiser, for clipping.
        accumulate: Number of batches whose gradients are averaged per step.
    """

    epochs: Count = 1000
    batch_size: Count | Literal["auto"] = 2048
    lr: Positive | Literal["auto"] = 1e-4
    eval_every: Count = 1
    patience: Count = 20
    monitor: str = "recall@20"
    ks: Lengths = (10, 20)
    seed: Seed = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    num_negatives: Count = 1
    optimizer: Literal["adam", "adamw", "sgd", "adagrad"] = "adam"
    weight_decay: NonNegative = 0.0
    scheduler: Literal["none", "cosine", "plateau"] = "none"
    scheduler_interval: Literal["epoch", "step"] = "epoch"
    max_grad_norm: Positive | None = None
    accumulate: Count = 1

    def __post_init__(self) -> None:
        measured = metric_names(self.ks)
        if self.monitor not in measured:
            raise InputError(
                f"train.monitor: {shown(self.monitor)} isn't measured; "
                f"expected one of {', '.join(measured)}"
            )

    def sized(self, num_pairs: int) -> "TrainConfig":
        r"""Replaces :obj:`"auto"` by values for a number of training pairs E:

        .. math::
            B = 2^{\mathrm{round}(\log_2 (E / 64))}, \quad 256 \le B \le 4096; \qquad
            \mathrm{lr} = 10^{-3} \sqrt{B / 1024}

        so that an epoch has about 64 steps, and the learning rate follows the batch size. The
        constants were chosen on the validation split of TikTok and used unchanged on Musical
        Instruments; see the page on presets.
        """
        size, lr = self.batch_size, self.lr
        if size == "auto":
            size = 2 ** min(12, max(8, round(math.log2(max(1, num_pairs) / STEPS))))
        if lr == "auto":
            lr = 1e-3 * math.sqrt(size / 1024)
        return replace(self, batch_size=size, lr=lr)


@dataclass
class FitResult:
    """Result of :func:`fit`.

    Attributes:
        best_epoch: Epoch of the best validation, from 1.
        val: Its metrics.
        history: One row per epoch: ``epoch``, ``seconds``, the mean of each loss term and,
            after a validation, its metrics.
    """

    best_epoch: int = 0
    val: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def epochs_run(self) -> int:
        return len(self.history)

    @property
    def seconds_per_epoch(self) -> float:
        """Mean training time per epoch, without validation."""
        return sum(row["seconds"] for row in self.history) / max(1, self.epochs_run)


def check_seeds(where: str, seeds: Any) -> None:
    """Raises an InputError unless seeds are a list of different integers from 0 to 2^32 - 1."""
    if not isinstance(seeds, list | tuple) or not seeds:
        raise InputError(f"{where} are {shown(seeds)}; expected a list like [0, 1, 2]")
    for seed in seeds:
        if type(seed) is not int or seed not in SEEDS:
            raise InputError(f"{where}: {shown(seed)}; expected whole numbers from 0 to 2^32 - 1")
        if seeds.count(seed) > 1:
            raise InputError(f"{where}: {seed} is repeated; expected different seeds")
