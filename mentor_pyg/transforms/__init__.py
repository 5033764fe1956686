"""Transforms that compute frozen graphs and features once from the data."""

from .compact_features import CompactFeatures
from .content_variant import ContentVariant
from .item_knn import ItemKNN
from .knn import cosine_knn
from .light_gcn_norm import LightGCNNorm
from .user_cooccurrence import UserCooccurrence

__all__ = [
    "CompactFeatures",
    "ContentVariant",
    "ItemKNN",
    "LightGCNNorm",
    "UserCooccurrence",
    "cosine_knn",
]
