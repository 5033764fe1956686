"""From files, or a seed, to one :class:`~torch_geometric.data.HeteroData`."""

from .mmrec import MMRecDataset
from .statistics import DatasetStatistics, statistics
from .synthetic import SyntheticDataset

__all__ = ["DatasetStatistics", "MMRecDataset", "SyntheticDataset", "statistics"]
