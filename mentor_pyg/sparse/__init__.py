"""Frozen sparse matrices, their products, and operations on their edges."""

from .adjacency import Adjacency
from .edges import edge_softmax, weighted_sum
from .products import gram_blocks, top_k_products

__all__ = [
    "Adjacency",
    "edge_softmax",
    "gram_blocks",
    "top_k_products",
    "weighted_sum",
]
