"""Datasets: files or synthetic data as :class:`~torch_geometric.data.HeteroData`."""

from .amazon import AmazonBaby, AmazonClothing, AmazonSports
from .check import check_data
from .mmrec import MMRecDataset
from .original_ids import OriginalIds
from .sizes import DatasetStatistics, statistics
from .synthetic import SyntheticDataset

__all__ = [
    "AmazonBaby",
    "AmazonClothing",
    "AmazonSports",
    "DatasetStatistics",
    "MMRecDataset",
    "OriginalIds",
    "SyntheticDataset",
    "check_data",
    "statistics",
]
