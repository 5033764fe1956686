"""Nearest neighbours by cosine similarity."""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mentor_pyg._util.extras import is_installed
from mentor_pyg._util.shapes import check_mask, check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.functional import at_least_float, row_scale
from mentor_pyg.options import checked
from mentor_pyg.sparse.products import top_k_products

Backend = Literal["auto", "torch", "torch_cluster", "faiss"]

CLUSTER_MAX_K = 100
"""Limit of torch_cluster's CUDA kernel."""

FAISS_EXACT_ROWS = 2**18
"""Number of rows from which FAISS only searches the nearest cells. The exact search grows with
its square and takes half a minute there."""

FAISS_PROBED = 1 / 32
"""Share of cells to search."""


def choose_backend(backend: Backend, x: Tensor, k: int) -> Backend:
    """Resolves :obj:`"auto"`.

    torch_cluster is only used on CUDA: on the CPU it is 60 to 130 times slower than a blocked
    matrix product for image or text features.
    """
    if backend in ("torch_cluster", "faiss") and not is_installed(backend):
        raise InputError(f"'{backend}' isn't installed; expected backend 'torch' or 'auto'")
    if backend != "auto":
        return backend
    quick = x.is_cuda and k < CLUSTER_MAX_K and is_installed("torch_cluster")
    return "torch_cluster" if quick else "torch"


@checked
def cosine_knn(
    x: Tensor,
    k: int,
    self_loops: bool = False,
    backend: Backend = "auto",
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""The k nearest rows of each row by cosine.

    Rows that are zero or masked out have no neighbours and are no neighbours. A row is its own
    nearest neighbour if ``self_loops`` is set, and otherwise never a neighbour of itself.
    The norms of rows do not matter.

    Args:
        x: Features [N, F].
        k: Neighbours per row, including itself if ``self_loops`` is set.
        self_loops: Whether a row is its own neighbour.
        backend: :obj:`"torch"`, a blocked matrix product; :obj:`"torch_cluster"`;
            :obj:`"faiss"`, for very many rows, which from 2^18 rows on only searches the
            nearest cells and may miss neighbours; or :obj:`"auto"`, which never uses FAISS.
        mask: Bool [N], False for rows to exclude.

    Returns:
        ``edge_index`` [2, n k] from neighbour to row, sorted by row and descending
        similarity, and the similarities [n k].

    Raises:
        InputError: If there are no k other rows, unmasked rows are not finite, or the shapes do
            not fit.
    """
    x, index = _unit_rows(x, mask)
    if not len(x):
        raise InputError(
            "no item has nonzero features: each row is zero or masked out; expected "
            "nonzero features of at least two items"
        )
    if len(x) == 1:
        raise InputError(
            "only one item has nonzero features, so it has no neighbours; "
            "expected at least two items"
        )
    if not 0 < k < x.size(0):
        raise InputError(
            f"k = {k} neighbours can't be found among {x.size(0)} items with features; "
            f"expected k from 1 to {x.size(0) - 1}"
        )
    search = {"torch": _search_blocks, "torch_cluster": _search_cluster, "faiss": _search_faiss}
    neighbor, similarity = search[choose_backend(backend, x, k)](x, k, self_loops)
    row = index.repeat_interleave(k)
    return torch.stack([index[neighbor.flatten()], row]), similarity.flatten()


def cosine_knn_among(
    x: Tensor,
    others: Tensor,
    k: int,
    mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""The k nearest rows of ``others`` for each row of ``x`` by cosine.

    Rows that are zero or masked out are excluded, as in :func:`cosine_knn`.

    Args:
        x: Features [N, F].
        others: Features [M, F] of the candidates.
        k: Neighbours per row.
        mask: Bool [N], False for rows to exclude.
        other_mask: Bool [M], the same for ``others``.

    Returns:
        ``edge_index`` [2, n k] from rows of ``others`` to rows of ``x``, sorted by the latter
        and descending similarity, and the similarities [n k].

    Raises:
        InputError: If there are fewer than k candidates, unmasked rows are not finite, or the
            shapes do not fit.
    """
    check_shapes("kNN", others=(others, ("M", "F")), x=(x, ("N", "F")))
    x, index = _unit_rows(x, mask)
    others, other_index = _unit_rows(others, other_mask)
    if not 0 <= k <= others.size(0):
        raise InputError(
            f"k = {k} neighbours can't be found among {others.size(0)} items with features; "
            "expected at most as many as there are"
        )
    if k == 0 or x.size(0) == 0:
        return index.new_empty(2, 0), x.new_empty(0)
    similarity, neighbor = top_k_products(x, others, k, lambda products, rows: None)
    row = index.repeat_interleave(k)
    edge_index = torch.stack([other_index[neighbor.flatten()], row])
    return edge_index, similarity.flatten().clamp(max=1.0)


def _unit_rows(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """L2-normalised rows, without zero and masked ones, and their indices."""
    check_shapes("kNN", x=(x, ("N", "F")))
    check_mask("kNN", x.size(0), mask=mask)
    valid = x.any(dim=1)
    if mask is not None:
        valid &= mask
    index = valid.nonzero().squeeze(1)
    x = at_least_float(x[index])
    if not len(x):
        return x.float(), index
    finite = x.isfinite().all(dim=1)
    if not finite.all():
        row = int(index[~finite][0])
        raise InputError(f"features of row {row} are NaN or infinite; expected finite numbers")
    return F.normalize((x * row_scale(x)).float()), index


def _search_blocks(x: Tensor, k: int, self_loops: bool) -> tuple[Tensor, Tensor]:
    def place_own(similarity: Tensor, rows: slice) -> None:
        similarity.diagonal(rows.start).fill_(2.0 if self_loops else -2.0)

    similarity, neighbor = top_k_products(x, x, k, place_own)
    return neighbor, similarity.clamp(max=1.0)


def _search_cluster(x: Tensor, k: int, self_loops: bool) -> tuple[Tensor, Tensor]:
    from torch_cluster import knn

    # Its cosine only works on CUDA; for unit rows, L2 gives the same order.
    neighbor = knn(x, x, k + 1)[1].view(-1, k + 1)
    own = torch.arange(x.size(0), device=x.device).unsqueeze(1)
    return _place_own(neighbor, (x[own] * x[neighbor]).sum(dim=2), k, self_loops)


def _search_faiss(x: Tensor, k: int, self_loops: bool) -> tuple[Tensor, Tensor]:
    import faiss

    rows = x.cpu().numpy()
    index: Any = faiss.IndexFlatIP(x.size(1))
    if x.size(0) >= FAISS_EXACT_ROWS:
        num_cells = 4 * math.isqrt(x.size(0))
        index = faiss.IndexIVFFlat(index, x.size(1), num_cells, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(k, math.ceil(FAISS_PROBED * num_cells))
        index.train(rows)
    index.add(rows)
    similarity, neighbor = (torch.from_numpy(a).to(x.device) for a in index.search(rows, k + 1))
    if (neighbor < 0).any():
        raise InputError(f"FAISS found fewer than {k} neighbours; expected backend 'torch'")
    return _place_own(neighbor, similarity, k, self_loops)


def _place_own(
    neighbor: Tensor, similarity: Tensor, k: int, self_loops: bool
) -> tuple[Tensor, Tensor]:
    """Selects k of the k + 1 neighbours found. The row itself need not be among them if
    others are identical."""
    own = torch.arange(neighbor.size(0), device=neighbor.device).unsqueeze(1)
    similarity = similarity.masked_fill(neighbor == own, -2.0)
    top = similarity.topk(k - int(self_loops), dim=1)
    neighbor, similarity = neighbor.gather(1, top.indices), top.values.clamp(max=1.0)
    if self_loops:
        neighbor = torch.cat([own, neighbor], dim=1)
        similarity = torch.cat([torch.ones_like(own, dtype=similarity.dtype), similarity], dim=1)
    return neighbor, similarity
