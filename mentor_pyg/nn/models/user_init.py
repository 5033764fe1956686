"""Initialisation of users by the content of their items."""

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.nn.encoder import ModalityEncoder
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.nn.models.inputs import content_widths, interactions, is_sampled, unit_content
from mentor_pyg.nn.semantics import user_semantics
from mentor_pyg.options import Count, Share, checked
from mentor_pyg.typing import USER

NAMES = ("user", "user_content")
"""Names of parameters that hold free user embeddings, [U, D] or [M, U, D]."""


@checked
@torch.no_grad()
def initialize_users(
    model: BaseRecommender,
    data: HeteroData,
    num_clusters: Count = 8,
    local_weight: Share = 0.1,
) -> None:
    r"""Initialises a model's free user embeddings from the content of the users' items
    (:func:`~mentor_pyg.nn.user_semantics`), after the `"SG-URInit"
    <https://arxiv.org/abs/2604.14839>`_ paper.

    Features are L2-normalised, and a random Gaussian projection maps them to the width D of an
    embedding, which nearly preserves their inner products. Tables of one modality, as in a
    :class:`~mentor_pyg.nn.ModalityEncoder`, get the users of this modality; all others, as in
    a :class:`~mentor_pyg.nn.UserItemEmbedding`, the sum over modalities. Rows are scaled so
    that the table keeps its root mean square. Users whose items have no content keep their
    random embedding.

    We know the paper's equation from others who use it, not from its text. The
    normalisation of features, the projection and the scale are ours.

    Call it before training, which must not reset the model:

    .. code-block:: python

        model.reset_parameters()
        initialize_users(model, data)
        fit(model, data, reset=False)

    Args:
        model: The model, changed in place.
        data: The whole graph, with the training pairs.
        num_clusters: Number of k-means clusters of the items of a modality.
        local_weight: Weight :math:`\lambda` of items against clusters.

    Raises:
        InputError: If the model has no such embeddings, or of other users, or the items have
            no features.
    """
    if is_sampled(data):
        raise InputError("initialize_users: a sampled part; expected the whole graph")
    widths, adj = content_widths(data), interactions(data)
    x, mask = unit_content(data, list(widths))
    users = {m: user_semantics(x[m], adj, mask[m], num_clusters, local_weight) for m in widths}
    tables = _tables(model, list(users))
    if not tables:
        raise InputError(
            f"initialize_users: {type(model).__name__} has no free user embeddings; expected a "
            f"model with a parameter {' or '.join(repr(name) for name in NAMES)}"
        )
    for name, table, parts in tables:
        if table.size(0) != data[USER].num_nodes:
            raise InputError(
                f"initialize_users: '{name}' is of {table.size(0)} users, and the data of "
                f"{data[USER].num_nodes}; expected equal numbers"
            )
        _fill(table, [users[m] for m in parts])


def _tables(model: BaseRecommender, modalities: list[str]) -> list[tuple[str, Tensor, list[str]]]:
    """Free user embeddings [U, D] with their names and modalities."""
    found = []
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(path, recurse=False):
            if name.rsplit(".", 1)[-1] not in NAMES:
                continue
            if isinstance(module, ModalityEncoder):
                own = path.rsplit(".", 1)[-1]
                if own in modalities:  # not that of MENTOR's identities
                    found.append((name, parameter.data, [own]))
            elif parameter.dim() == 3:
                found += [(name, part, [m]) for m, part in zip(modalities, parameter.data)]
            else:
                found.append((name, parameter.data, modalities))
    return found


def _fill(table: Tensor, users: list[Tensor]) -> None:
    width, rows = table.size(1), torch.zeros_like(table)
    for x in users:
        projection = torch.randn(x.size(1), width, dtype=x.dtype, device=x.device)
        rows += (x @ projection / width**0.5).to(table.dtype)
    known = rows.any(dim=1, keepdim=True)
    if known.any():
        scale = table.square().mean().sqrt() / rows[known[:, 0]].square().mean().sqrt()
        table.copy_(torch.where(known, scale * rows, table))
