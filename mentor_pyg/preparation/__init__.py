"""From raw files (reviews, texts, images, arrays) to the layout of ``MMRecDataset``."""

from .amazon import AmazonImages, amazon_reviews, amazon_texts, find_amazon
from .contents import ImageFolder, ItemTexts, ReadyFeatures
from .cores import k_core
from .encoders import encode_images, encode_texts
from .hetero import from_interactions
from .interactions import InteractionTable, Pairs, drop_duplicates, number_ids
from .mmssl import MMSSLFolder
from .run import PrepareSettings, prepare
from .splits import split
from .summary import PreparationReport
from .text import compose_text

__all__ = [
    "AmazonImages",
    "ImageFolder",
    "InteractionTable",
    "ItemTexts",
    "MMSSLFolder",
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
    "from_interactions",
    "k_core",
    "number_ids",
    "prepare",
    "split",
]
