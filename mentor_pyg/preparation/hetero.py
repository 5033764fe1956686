"""Graphs of users and items from elsewhere, as all of the library expects them."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.typing import EdgeType

from mentor_pyg._util.shapes import check_edge_index, check_mask, check_shapes
from mentor_pyg.choices import SplitMethod
from mentor_pyg.datasets.check import check_data
from mentor_pyg.datasets.features import check_modality
from mentor_pyg.errors import InputError, shown
from mentor_pyg.options import Seed, checked
from mentor_pyg.preparation.splits import TEST, TRAIN, VAL, HeldOut, split
from mentor_pyg.typing import INTERACTS, ITEM, USER


@checked
def from_interactions(
    data: HeteroData,
    edge_type: EdgeType,
    *,
    keep: Tensor | None = None,
    test: Tensor | None = None,
    val: Tensor | None = None,
    method: SplitMethod = "user",
    held_out: HeldOut = 0.1,
    features: Mapping[str, str] | None = None,
    seed: Seed = 0,
) -> HeteroData:
    """Users, items and their pairs out of any :class:`~torch_geometric.data.HeteroData`::

        data = AmazonBook(root)[0]
        data = from_interactions(data, ("user", "rates", "book"))
        data = LightGCNNorm()(data)
        model = LightGCN.from_data(data)
        fit(model, data)

    A pair that comes more than once counts once, from its first time on. The given data
    stay as they are.

    Args:
        data: Any graph.
        edge_type: The edges from users to items.
        keep: Bool [E], which of them count, e.g. ``rating >= 4``; all if not given.
        test: Test pairs [2, n], which aren't trained on even if they are among the edges. If
            not given, those that PyG's datasets call ``edge_label_index``, or else a part of
            the edges.
        val: Validation pairs [2, n] likewise; a part of the edges if not given.
        method: How edges are divided, see :func:`~mentor_pyg.preparation.split`; those that go
            by time need an attribute ``time`` [E] of the edges.
        held_out: The share that becomes validation pairs, and test pairs.
        features: Attributes of the items [I, D_m] by the name of their modality. If not
            given, ``x`` is the modality ``content``, and every ``x_<name>`` is ``<name>``.
        seed: Of random choices.

    Returns:
        New data with ``user``, ``item``, their edges, splits and features. What is missing
        of a modality is told by ``mask_<name>`` as in ``data``.

    Raises:
        InputError: If the edges don't exist, a tensor doesn't fit, or there are too few pairs.
    """
    where = "from_interactions"
    if edge_type not in data.edge_types:
        found = ", ".join(map(str, data.edge_types)) or "none"
        raise InputError(f"{where}: there are no edges {shown(edge_type)}; expected one of {found}")
    store, users, items = data[edge_type], data[edge_type[0]], data[edge_type[2]]
    size = users.num_nodes, items.num_nodes
    pairs = check_edge_index(where, store.edge_index, size)
    check_mask(where, pairs.size(1), keep=keep)
    times = store.get("time")
    if times is not None:
        check_shapes(where, time=(times, (pairs.size(1),)))
        if not times.isfinite().all():
            raise InputError(f"{where}: 'time' holds NaN or infinite numbers; expected finite ones")
    if keep is not None:
        pairs, times = pairs[:, keep], None if times is None else times[keep]
    first = _first_times(pairs, size)
    pairs, times = pairs[:, first], None if times is None else times[first]

    test = store.get("edge_label_index") if test is None else test
    given = {name: x for name, x in (("val", val), ("test", test)) if x is not None}
    for name, held in given.items():
        given[name] = check_edge_index(f"{where}: {name}", held, size)
        left = torch.isin(_keys(pairs, size), _keys(given[name], size), invert=True)
        pairs, times = pairs[:, left], None if times is None else times[left]
    if len(given) == 2:
        both = torch.isin(*(_keys(held, size) for held in given.values()))
        if both.any():
            raise InputError(
                f"{where}: {int(both.sum())} validation pairs are test pairs, too; expected none"
            )
    label = torch.zeros(pairs.size(1), dtype=torch.long)
    if len(given) < 2:
        label = torch.from_numpy(
            split(
                pairs[0].cpu().numpy(),
                None if times is None else times.cpu().numpy(),
                method,
                held_out,
                seed,
            )
        )
    label = label.to(pairs.device)
    if "test" in given:
        label[label == TEST] = TRAIN
    if "val" in given:
        label[label == VAL] = TRAIN

    out = HeteroData()
    out[USER].num_nodes, out[ITEM].num_nodes = size
    out[INTERACTS].edge_index = pairs[:, label == TRAIN]
    for number, name in ((VAL, "val"), (TEST, "test")):
        held = given[name] if name in given else pairs[:, label == number]
        out[INTERACTS][f"{name}_edge_label_index"] = held
    for name, x in _features(items, features).items():
        check_modality(name, where)
        check_shapes(where, **{name: (x, (size[1], "D"))})
        out[ITEM][f"x_{name}"] = x
        if f"mask_{name}" in items:
            out[ITEM][f"mask_{name}"] = items[f"mask_{name}"]
    check_data(out, "val", "test")
    return out


def _first_times(pairs: Tensor, size: tuple[int, int]) -> Tensor:
    """Where each pair comes for the first time, in their order."""
    found, inverse = _keys(pairs, size).unique(return_inverse=True)
    position = torch.arange(inverse.numel(), device=inverse.device)
    first = torch.full_like(found, inverse.numel())
    return first.scatter_reduce(0, inverse, position, "amin").sort().values


def _keys(pairs: Tensor, size: tuple[int, int]) -> Tensor:
    """One number for each pair."""
    return pairs[0] * size[1] + pairs[1]


def _features(items: Mapping[str, Tensor], names: Mapping[str, str] | None) -> dict[str, Tensor]:
    """Features by modality."""
    if names is None:
        found = {key.removeprefix("x_"): items[key] for key in items if key.startswith("x_")}
        return {"content": items["x"], **found} if "x" in items else found
    for name, key in names.items():
        if key not in items:
            raise InputError(
                f"from_interactions.features: the items have no '{key}' for '{name}'; "
                f"expected one of {', '.join(items) or 'none'}"
            )
    return {name: items[key] for name, key in names.items()}
