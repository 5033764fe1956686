"""What options choose from, and a few defaults: plain values, shared by Python and the command.

This module imports nothing that takes time, so that ``mentor-pyg --help`` doesn't either.
"""

from typing import Literal

SPLITS = ("train", "val", "test")

OnError = Literal["fail", "skip"]
"""What to do about rows of raw files that can't be used."""

Duplicates = Literal["first", "latest"]
"""Which interaction of a repeated pair is kept."""

SplitMethod = Literal["user", "random", "temporal", "leave-last-out"]

TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
IMAGE_MODEL = "torchvision/resnet50"

GROUPINGS = ("user", "popularity", "cold")

MMSSL_BOUNDS = (4, 6, 9, 13)
"""Training pairs at most, of all groups but the last, in Table 4 of MMSSL (arXiv 2302.10632).

The table prints [0, 4), [4, 6), ... for Baby. The numbers of users that it gives, 9783,
4081, 2823, 1649 and 1109, are those of groups that hold their upper bound.
"""

PairedTest = Literal["permutation", "t", "wilcoxon"]

TableFormat = Literal["text", "markdown", "latex", "html", "csv"]

Sampler = Literal["tpe", "random", "grid"]
"""How a search for hyper-parameters chooses its trials."""

NUM_SAMPLED = 500
"""Items whose embeddings are drawn: as many as the MENTOR paper shows."""
