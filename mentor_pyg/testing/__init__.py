"""Contract tests for models; see :func:`check_model`."""

from typing import Any

from torch_geometric.data import HeteroData

from mentor_pyg.testing import learning, outputs, refusals, relabelling, state
from mentor_pyg.testing.device import FakeCuda
from mentor_pyg.testing.subject import Contract, Transform, add_graphs

__all__ = ["FakeCuda", "add_graphs", "check_model", "contracts"]

contracts: tuple[Contract, ...] = (
    learning.check_learns_checkerboard,
    learning.check_determinism,
    learning.check_resuming,
    learning.check_no_leak,
    learning.check_modalities,
    learning.check_missing_content,
    outputs.check_embeddings,
    outputs.check_single_users,
    outputs.check_evaluation,
    outputs.check_unchanged_data,
    outputs.check_losses,
    outputs.check_autocast,
    outputs.check_half_precision,
    outputs.check_gradients,
    outputs.check_zero_features,
    outputs.check_masked_values,
    outputs.check_devices,
    relabelling.check_relabelling,
    relabelling.check_new_items,
    relabelling.check_sampled_parts,
    relabelling.check_losses_of_sampled_parts,
    refusals.check_wrong_features,
    refusals.check_missing_graphs,
    refusals.check_options,
    state.check_reset,
    state.check_constructor,
    state.check_checkpoint,
    state.check_copies,
    state.check_other_pairs,
    state.check_other_sizes,
)
"""All contracts; each is a function with the arguments of :func:`check_model`."""


def check_model(
    cls: Any,
    data: HeteroData | None = None,
    transform: Transform = add_graphs,
    **options: Any,
) -> None:
    """Checks all contracts of a model, which takes a few seconds.

    In a test file, it is more helpful to report each contract separately:

    .. code-block:: python

        @pytest.mark.parametrize("check", contracts)
        def test_contract(check):
            check(MyModel)

    Args:
        cls: The model's class; see :class:`~mentor_pyg.BaseRecommender`, with ``from_data``.
        data: A small dataset without graphs; a synthetic one of 60 users and 40 items if not
            given.
        transform: Adds the graphs that the model needs; by default all graphs that the
            library's models use, see :func:`add_graphs`.
        **options: Options of the model.

    Raises:
        AssertionError: If contracts are broken; the message has a line for each.
    """
    broken: list[str] = []
    for check in contracts:
        try:
            check(cls, data, transform, **options)
        except Exception as error:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            broken.append(f"{name}: {kind}{error}")
    if broken:
        lines = "\n".join(f"  {line}" for line in broken)
        raise AssertionError(
            f"{cls.__name__} breaks {len(broken)} of {len(contracts)} contracts:\n{lines}"
        )
