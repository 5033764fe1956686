"""How to train, and what came of it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mentor_pyg.errors import InputError, shown
from mentor_pyg.evaluation.metrics import metric_names
from mentor_pyg.options import Count, Lengths, NonNegative, Positive, Seed, checked

SEEDS = range(2**32)
"""What NumPy's generators take."""


@checked
@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are those of the MENTOR paper.

    Attributes:
        epochs: Epochs at most.
        batch_size: Training pairs B in a batch.
        lr: Learning rate of the optimiser.
        eval_every: Epochs between validations.
        patience: Validations without a new best before stopping.
        monitor: Validation metric that decides.
        ks: Lengths of the lists to measure.
        seed: Seed of everything random.
        precision: :obj:`"bf16"` computes matrix products in bfloat16 by autocast;
            parameters, propagation, sums and evaluation stay float32.
        compile: Whether to run the losses through :func:`torch.compile`. It needs a C++
            compiler on the CPU, and minutes before the first steps.
        num_negatives: Negative items for each pair of a batch, which then comes so many
            times, with another negative each.
        optimizer: For objectives that don't name their own.
        weight_decay: Of that optimiser; decoupled from the gradient with :obj:`"adamw"`.
        scheduler: How the learning rate falls: by half a cosine to 0 at the last of ``epochs``,
            or, at a :obj:`"plateau"`, to a tenth whenever the monitored metric hasn't
            improved for ten validations.
        scheduler_interval: What the schedule counts.
        max_grad_norm: The gradients of each optimiser are scaled down to this norm if theirs
            is greater.
        accumulate: Batches whose mean gradient makes a step.
    """

    epochs: Count = 1000
    batch_size: Count = 2048
    lr: Positive = 1e-4
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


def check_seeds(where: str, seeds: Any) -> None:
    """Makes sure that seeds are whole numbers from 0 to 2^32 - 1, each there once.

    Args:
        where: Where they are from, for messages.
        seeds: What should be a list of them.

    Raises:
        InputError: If they aren't.
    """
    if not isinstance(seeds, list | tuple) or not seeds:
        raise InputError(f"{where} are {shown(seeds)}; expected a list like [0, 1, 2]")
    for seed in seeds:
        if type(seed) is not int or seed not in SEEDS:
            raise InputError(f"{where}: {shown(seed)}; expected whole numbers from 0 to 2^32 - 1")
        if seeds.count(seed) > 1:
            raise InputError(f"{where}: {seed} is there twice; expected different seeds")
