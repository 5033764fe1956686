"""Training a model with one call."""

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
    """Trains a model in place and leaves it with the weights of the best validation.

    Selection looks at the validation split alone. With equal seeds, runs on the CPU give
    equal numbers, interrupted or not. All random numbers are the training's own: PyTorch's,
    NumPy's and Python's global generators are afterwards as they were before.

    Args:
        model: Any :class:`~mentor_pyg.BaseRecommender`, on the device of ``data``.
        data: The graph, with whatever transforms the model needs.
        config: How to train.
        sampler: What to go through in every epoch, instead of a
            :class:`~mentor_pyg.training.BPRSampler`: any iterable that begins anew whenever
            it is iterated over. It gives a :class:`~mentor_pyg.Batch`, or a pair of the graph
            that the batch is about, e.g. a sampled sub-graph, and the batch; or it is a
            :class:`~torch_geometric.loader.LinkNeighborLoader` with triplets. One with
            ``state_dict`` and ``load_state_dict`` can be resumed within an epoch, others at
            the last epoch's end.
        optimizer: A class, which is given the learning rate, a function of a list of
            parameters that makes an optimiser, or an optimiser of the model's parameters;
            instead of ``config.optimizer``. Objectives that name their own keep it.
        scheduler: A function that makes the schedule of an optimiser, e.g.
            ``lambda optimizer: ExponentialLR(optimizer, 0.9)``, instead of
            ``config.scheduler``. ``ReduceLROnPlateau`` is given the monitored metric.
        max_grad_norm: Instead of ``config.max_grad_norm``.
        callbacks: See :class:`~mentor_pyg.training.Callback`.
        reset: Whether to draw the parameters afresh; otherwise training goes on from them.
        progress: Whether to show a progress bar.
        checkpoint: Where to save the state at the end of every epoch and, if epochs are
            long, within. Ctrl-C then saves before it ends.
        resume: Whether to go on from that state.

    Raises:
        InputError: If losses, weights or embeddings stop being finite, which leaves the
            model with the best weights so far; if the monitored metric is unknown; if an
            argument doesn't fit the model or the others; or if the state is damaged or of
            another run.
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
