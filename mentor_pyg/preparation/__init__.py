"""From raw files (reviews, texts, images, arrays) to the layout of ``MMRecDataset``."""

from .amazon import AmazonImages, amazon_reviews, amazon_texts, find_amazon
from .contents import ImageFolder, ItemTexts, ReadyFeatures
from .cores import k_core
from .encoders import encode_images, encode_texts
from .hetero import from_interactions
from .interactions import InteractionTable, Pairs, drop_duplicates, number_ids
from .matrices import ArrayFolder, MatrixFolder, find_splits
from .microlens import find_microlens
from .mmssl import MMSSLFolder
from .run import PrepareSettings, prepare
from .splits import split
from .summary import PreparationReport
from .text import compose_text

__all__ = [
    "AmazonImages",
    "ArrayFolder",
    "ImageFolder",
    "InteractionTable",
    "ItemTexts",
    "MMSSLFolder",
    "MatrixFolder",
    "Pairs",
    "PreparationReport",
    "PrepareSettings",
    "ReadyFeatures",
    "amazon_reviews",
    "amazon_texts",
    "compose_text",
    "drop_duplicates",
    "encode_images",
    "encode_texts",
    "find_amazon",
    "find_microlens",
    "find_splits",
    "from_interactions",
    "k_core",
    "number_ids",
    "prepare",
    "split",
]
