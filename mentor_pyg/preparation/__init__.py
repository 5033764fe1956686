"""From raw files (reviews, texts, images, arrays) to the layout of ``MMRecDataset``."""

from .amazon import AmazonImages, amazon_reviews, amazon_texts, find_amazon
from .contents import ImageFolder, ItemTexts, ReadyFeatures
from .encoders import encode_images, encode_texts
from .interactions import Interactions, InteractionTable, drop_duplicates, number_ids
from .k_core import k_core
from .mmssl import MMSSLFolder
from .prepare import PrepareSettings, prepare
from .split import split
from .summary import PreparationReport
from .text import compose_text

__all__ = [
    "AmazonImages",
    "ImageFolder",
    "InteractionTable",
    "Interactions",
    "ItemTexts",
    "MMSSLFolder",
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
    "k_core",
    "number_ids",
    "prepare",
    "split",
]
