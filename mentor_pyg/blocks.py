"""Products of all rows with all rows, a block at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

ENTRIES = {"cpu": 2**21, "cuda": 2**26}
"""8 MiB in float32 stay in a CPU's cache; a GPU wants large products."""

GROUP_SIZE = 12
"""Columns in a group of the search for the largest."""


def block_rows(num_columns: int, num_features: int, device: torch.device) -> int:
    """Rows in a block of the products of rows with ``num_columns`` others.

    Every product rearranges all of the others first, which only pays for as many rows as
    half the features, whatever memory they take.
    """
    entries = ENTRIES.get(device.type, ENTRIES["cuda"])
    return max(1, entries // num_columns, num_features // 2)


def top_k_products(
    left: Tensor, right: Tensor, k: int, edit: Callable[[Tensor, slice], object]
) -> tuple[Tensor, Tensor]:
    r"""The k largest entries of every row of :math:`\mathbf{L} \mathbf{R}^{\top}`, which is
    never held as a whole.

    Args:
        left: L [N, F].
        right: R [M, F].
        k: Entries wanted, at most M.
        edit: Called with a block of products [n, M], to change in place, and the rows of
            L that it belongs to. Nothing may become minus infinity.

    Returns:
        Values and columns, [N, k] each, in falling order of the values.
    """
    num_rows, num_columns = left.size(0), right.size(0)
    groups = -(-num_columns // min(GROUP_SIZE, num_columns // k))
    width = groups * -(-num_columns // groups)
    block = 2 * block_rows(width, left.size(1), left.device)  # the search gains by length
    # One buffer for all blocks, since fresh memory costs much time. What no product fills
    # stays below all that is.
    buffer = left.new_full((min(block, num_rows), width), -torch.inf)
    values = left.new_empty(num_rows, k)
    columns = torch.empty(num_rows, k, dtype=torch.int64, device=left.device)
    for start in range(0, num_rows, block):
        rows = slice(start, min(start + block, num_rows))
        padded = buffer[: rows.stop - start]
        products = padded[:, :num_columns]
        torch.mm(left[rows], right.t(), out=products)
        edit(products, rows)
        values[rows], columns[rows] = _largest(padded, k, groups)
    return values, columns


def _largest(x: Tensor, k: int, groups: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of every row and their columns.

    They lie within the k groups of columns with the largest maxima; to find those, and
    to search them alone, takes up to a quarter of a search through everything.
    """
    grouped = x.view(x.size(0), x.size(1) // groups, groups)
    group = grouped.amax(dim=1).topk(k, dim=1, sorted=False).indices
    member = groups * torch.arange(grouped.size(1), device=x.device)
    columns = (group.unsqueeze(2) + member).flatten(1)
    values, position = x.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, position)
