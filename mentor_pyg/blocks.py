"""How many rows of a matrix of all pairs to hold at a time."""

import torch

ENTRIES = {"cpu": 2**21, "cuda": 2**26}
"""8 MiB in float32 stay in a CPU's cache; a GPU wants large products."""


def block_rows(num_columns: int, device: torch.device) -> int:
    """Rows in a block of a matrix with ``num_columns`` columns, at least one."""
    return max(1, ENTRIES.get(device.type, ENTRIES["cuda"]) // num_columns)
