"""Blockwise products of all rows with all rows, and their largest entries."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mentor_pyg.errors import NotFinite
from mentor_pyg.sparse.adjacency import Adjacency, csr_entries

ENTRIES = {"cpu": 2**21, "cuda": 2**26}
"""Entries per block: 8 MiB in float32 fit into a CPU's cache, and a GPU needs large products."""

GROUP_SIZE = 12
"""Columns per group in the search for the largest entries."""


def block_rows(num_columns: int, num_features: int, device: torch.device) -> int:
    """Number of rows per block of products with ``num_columns`` other rows.

    Each product first rearranges the other rows. This only pays off if a block has at least
    half as many rows as there are features, whatever memory it takes.
    """
    entries = ENTRIES.get(device.type, ENTRIES["cuda"])
    return max(1, entries // num_columns, num_features // 2)


def top_k_products(
    left: Tensor,
    right: Tensor,
    k: int,
    edit: Callable[[Tensor, slice], object],
    order: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""The k largest entries of each row of :math:`\mathbf{L} \mathbf{R}^{\top}`, computed
    block by block.

    Args:
        left: L [N, F]; dense, or sparse in COO layout.
        right: R [M, F]; dense, or, if L is, sparse.
        k: Number of entries, at most M.
        edit: Called with each block of products [n, M], to change it in place, and the slice
            of its rows in L. It must not set entries to minus infinity.
        order: All columns [M] in the order that breaks ties. If not given, ties depend on the
            device.

    Returns:
        Values and columns [N, k] each, by descending value.

    Raises:
        NotFinite: If ``order`` is given and one of the products found is not finite.
    """
    num_rows, num_columns = left.size(0), right.size(0)
    # One more entry than requested shows whether the last one is tied.
    found = k if order is None else min(k + 1, num_columns)
    groups = -(-num_columns // min(GROUP_SIZE, num_columns // found))
    width = groups * -(-num_columns // groups)
    num_features = 1 if left.is_sparse else left.size(1)
    block = 2 * block_rows(width, num_features, left.device)  # long blocks are searched faster
    left, right = (x.coalesce() if x.is_sparse else x for x in (left, right.t()))
    # One buffer serves all blocks, since allocation is slow. Its padding is never selected.
    dtype, device = left.dtype, left.device
    buffer = torch.full((min(block, num_rows), width), -torch.inf, dtype=dtype, device=device)
    values = torch.empty(num_rows, k, dtype=dtype, device=device)
    columns = torch.empty(num_rows, k, dtype=torch.int64, device=device)
    for start in range(0, num_rows, block):
        rows = slice(start, min(start + block, num_rows))
        padded = buffer[: rows.stop - start]
        products = padded[:, :num_columns]
        if left.is_sparse:
            block_products = _sparse_rows(left, rows) @ right
            products.copy_(block_products.to_dense() if right.is_sparse else block_products)
        else:
            torch.mm(left[rows], right, out=products)
        edit(products, rows)
        if order is None:
            values[rows], columns[rows] = _largest(padded, k, groups)
        else:
            values[rows], columns[rows] = _largest_in_order(padded, k, groups, order)
    return values, columns


def _sparse_rows(x: Tensor, rows: slice) -> Tensor:
    """A slice of the rows of a coalesced matrix."""
    index, value = x.indices(), x.values()
    ends = torch.tensor([rows.start, rows.stop], device=x.device)
    start, stop = torch.searchsorted(index[0], ends).tolist()
    offset = torch.tensor([[rows.start], [0]], device=x.device)
    size = rows.stop - rows.start, x.size(1)
    return torch.sparse_coo_tensor(
        index[:, start:stop] - offset, value[start:stop], size, is_coalesced=True
    )


def gram_blocks(adj: Adjacency) -> Iterator[tuple[slice, Tensor]]:
    r"""Blocks of rows of :math:`\mathbf{A}^{\top} \mathbf{A}`, the inner products of all columns.

    Args:
        adj: A [N, M].

    Yields:
        The slice of n columns of A, and their products with all columns [n, M].
    """
    to_columns = adj.t()
    num_columns, num_rows = to_columns.shape
    device = adj.col.device
    size = block_rows(num_rows, 1, device)
    for start in range(0, num_columns, size):
        block = torch.arange(start, min(start + size, num_columns), device=device)
        position, row = csr_entries(to_columns.rowptr, to_columns.col, block)
        _, weight = csr_entries(to_columns.rowptr, to_columns.weight, block)
        dense = weight.new_zeros(num_rows, block.numel())
        dense.index_put_((row, position), weight, accumulate=True)
        yield slice(start, start + block.numel()), (to_columns @ dense).t()


def _largest(x: Tensor, k: int, groups: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row, and their columns.

    They lie in the k groups of columns with the largest maxima. Finding these groups and
    searching only them takes at most a quarter of the time of a full search.
    """
    grouped = x.view(x.size(0), x.size(1) // groups, groups)
    group = grouped.amax(dim=1).topk(k, dim=1, sorted=False).indices
    member = groups * torch.arange(grouped.size(1), device=x.device)
    columns = (group.unsqueeze(2) + member).flatten(1)
    values, position = x.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, position)


def _largest_in_order(x: Tensor, k: int, groups: int, order: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`_largest`, with ties in the given order of columns."""
    values, columns = _largest(x, min(k + 1, order.numel()), groups)
    if not values[:, :k].isfinite().all():
        raise NotFinite(
            "scores: are NaN or infinite; expected finite ones (the embeddings are too large, "
            f"or too large for {x.dtype})"
        )
    tied = (values[:, 1:] == values[:, :-1]).any(dim=1).nonzero().squeeze(1)
    values, columns = values[:, :k], columns[:, :k]
    if tied.numel():
        ordered = x[tied][:, order]
        lowest = values[tied, -1:]
        above, equal = ordered > lowest, ordered == lowest
        room = k - above.sum(dim=1, keepdim=True)
        chosen = above | (equal & (equal.cumsum(dim=1) <= room))
        place = chosen.nonzero()[:, 1].view(-1, k)
        values[tied], rank = ordered.gather(1, place).sort(dim=1, descending=True, stable=True)
        columns[tied] = order[place].gather(1, rank)
    return values, columns
