"""Graphs that are computed once from the data and frozen."""

from .item_knn import ItemKNN
from .knn import cosine_knn
from .light_gcn_norm import LightGCNNorm

__all__ = ["ItemKNN", "LightGCNNorm", "cosine_knn"]
