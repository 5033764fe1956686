"""Training by a single call."""

from collections.abc import Iterable, Sequence

from torch.optim import Optimizer
from torch_geometric.data import HeteroData

from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.options import Positive
from mentor_pyg.training.batches import BatchLike
from mentor_pyg.training.callbacks import Callback
from mentor_pyg.training.checkpoint import Checkpoint
from mentor_pyg.training.config import FitResult, TrainConfig
from mentor_pyg.training.optimization import MakeOptimizer, MakeScheduler
from mentor_pyg.training.trainer import Trainer


def fit(
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
    resume: bool = False,
) -> FitResult:
    """Trains a model in place and restores the weights of the best validation.

    A :class:`~mentor_pyg.nn.models.SolvedRecommender` has no gradient steps: it is solved in a
    single epoch, which is validated. It has no use for a sampler, optimiser or schedule, which
    are not accepted, and ignores the settings of steps in ``config``.

    Model selection uses only the validation split. On the CPU, equal seeds give equal results,
    whether interrupted or not. The global generators of PyTorch, NumPy and Python keep their
    states.

    Args:
        model: The model, on the device of ``data``.
        data: The graph, after the transforms that the model needs.
        config: Settings of training.
        sampler: Source of batches instead of :class:`~mentor_pyg.training.BPRSampler`: an
            iterable, iterated once per epoch, of a :class:`~mentor_pyg.Batch`, or of pairs of
            a graph (e.g. a sampled subgraph) and its batch; or a
            :class:`~torch_geometric.loader.LinkNeighborLoader` with triplets. Samplers with
            ``state_dict`` and ``load_state_dict`` can be resumed within an epoch, others
            at the end of the last one.
        optimizer: Replaces ``config.optimizer``: a class, which receives the learning rate; a
            function from a list of parameters to an optimiser; or an optimiser of the model's
            parameters. It is not used for objectives that choose their own.
        scheduler: Replaces ``config.scheduler``: a function from an optimiser to its schedule,
            e.g. ``lambda optimizer: ExponentialLR(optimizer, 0.9)``. ``ReduceLROnPlateau``
            receives the monitored metric.
        max_grad_norm: Replaces ``config.max_grad_norm``.
        callbacks: See :class:`~mentor_pyg.training.Callback`.
        reset: Whether to reset the parameters first.
        progress: Whether to show a progress bar.
        checkpoint: Saves the state after each epoch and, in long epochs, at intervals. Ctrl-C
            then saves before it ends the training.
        resume: Whether to resume from the checkpoint.

    Raises:
        InputError: If losses, weights or embeddings become infinite or NaN, in which case the
            model keeps the best weights so far; if the monitored metric is unknown; if
            arguments do not fit the model or each other; or if the checkpoint is damaged or
            belongs to another run.
    """
    trainer = Trainer(
        model,
        data,
        config,
        sampler=sampler,
        optimizer=optimizer,
        scheduler=scheduler,
        max_grad_norm=max_grad_norm,
        callbacks=callbacks,
        reset=reset,
        progress=progress,
        checkpoint=checkpoint,
    )
    if resume:
        trainer.resume()
    return trainer.fit()
