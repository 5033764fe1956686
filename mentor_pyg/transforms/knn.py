"""Exact nearest neighbours by cosine similarity."""

import importlib.util

import torch
import torch.nn.functional as F
from torch import Tensor

BACKENDS = ("auto", "torch", "torch_cluster")

BLOCK_ENTRIES = 2**24
"""Similarities held at a time; 64 MiB in float32."""

CLUSTER_MAX_K = 100
"""The CUDA kernel of torch_cluster keeps its lists in registers."""


def choose_backend(backend: str, x: Tensor, k: int) -> str:
    """What :obj:`"auto"` stands for.

    On the CPU torch_cluster is 60 to 130 times slower than a blocked matrix product at
    the width of image or text features, so it is only taken on CUDA.
    """
    if backend not in BACKENDS:
        raise ValueError(f"'backend' must be one of {', '.join(BACKENDS)} (got '{backend}')")
    installed = importlib.util.find_spec("torch_cluster") is not None
    if backend == "torch_cluster" and not installed:
        raise ValueError("'torch_cluster' isn't installed; expected backend 'torch' or 'auto'")
    if backend != "auto":
        return backend
    return "torch_cluster" if installed and x.is_cuda and k < CLUSTER_MAX_K else "torch"


def cosine_knn(
    x: Tensor,
    k: int,
    self_loops: bool = False,
    backend: str = "auto",
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""The k rows most similar to each row, by cosine.

    Rows that are all zero, or masked out, have no neighbours and are nobody's. A row
    is its own nearest neighbour if ``self_loops`` is set, and never else.

    Args:
        x: Features [N, F].
        k: Neighbours of each row, itself included if ``self_loops`` is set.
        self_loops: Whether a row counts as its own neighbour.
        backend: :obj:`"torch"`, a matrix product in blocks of rows; or
            :obj:`"torch_cluster"`; or :obj:`"auto"`.
        mask: Bool [N], False for rows to leave out.

    Returns:
        ``edge_index`` [2, n k] from neighbour to row, sorted by row and then by falling
        similarity, and the similarities [n k].

    Raises:
        ValueError: If fewer than k other rows are there to choose from.
    """
    x = F.normalize(x.float())
    valid = x.any(dim=1)
    if mask is not None:
        valid &= mask
    index = valid.nonzero().squeeze(1)
    x = x[index]
    if not 0 < k < x.size(0):
        raise ValueError(
            f"k = {k} neighbours can't be found among {x.size(0)} items with features; "
            f"expected k from 1 to {max(0, x.size(0) - 1)}"
        )
    search = {"torch": _search_blocks, "torch_cluster": _search_cluster}
    neighbor, similarity = search[choose_backend(backend, x, k)](x, k, self_loops)
    row = index.repeat_interleave(k)
    return torch.stack([index[neighbor.flatten()], row]), similarity.flatten()


def _search_blocks(x: Tensor, k: int, self_loops: bool) -> tuple[Tensor, Tensor]:
    neighbors, similarities = [], []
    block = max(1, BLOCK_ENTRIES // x.size(0))
    for start in range(0, x.size(0), block):
        similarity = x[start : start + block] @ x.t()
        similarity.diagonal(start).fill_(2.0 if self_loops else -2.0)
        top = similarity.topk(k, dim=1)
        neighbors.append(top.indices)
        similarities.append(top.values.clamp(max=1.0))
    return torch.cat(neighbors), torch.cat(similarities)


def _search_cluster(x: Tensor, k: int, self_loops: bool) -> tuple[Tensor, Tensor]:
    from torch_cluster import knn

    # Its cosine exists on CUDA alone; on unit rows L2 gives the same order. The row
    # itself may be found or not, as one of several identical ones, so ask for one more.
    neighbor = knn(x, x, k + 1)[1].view(-1, k + 1)
    own = torch.arange(x.size(0), device=x.device).unsqueeze(1)
    similarity = (x[own] * x[neighbor]).sum(dim=2).masked_fill(neighbor == own, -2.0)
    top = similarity.topk(k - int(self_loops), dim=1)
    neighbor, similarity = neighbor.gather(1, top.indices), top.values.clamp(max=1.0)
    if self_loops:
        neighbor = torch.cat([own, neighbor], dim=1)
        similarity = torch.cat([x.new_ones(x.size(0), 1), similarity], dim=1)
    return neighbor, similarity
