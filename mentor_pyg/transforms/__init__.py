"""What is computed once from the data and frozen."""

from .compact_features import CompactFeatures
from .item_knn import ItemKNN
from .knn import cosine_knn
from .light_gcn_norm import LightGCNNorm

__all__ = ["CompactFeatures", "ItemKNN", "LightGCNNorm", "cosine_knn"]
