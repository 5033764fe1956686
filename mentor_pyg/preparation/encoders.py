"""Content to features: frozen encoders of texts and images."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.files import check_file
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.choices import IMAGE_MODEL, TEXT_MODEL
from mentor_pyg.errors import InputError, reason, shown
from mentor_pyg.options import Count, check_value, checked
from mentor_pyg.preparation.pictures import read_picture, strict
from mentor_pyg.preparation.pretrained import ImageEncoder, image_model, text_model

logger = logging.getLogger("mentor_pyg")


def check_batch_size(batch_size: int) -> None:
    """Fails before any work if there are no batches of this size."""
    check_value(batch_size, Count, "batch_size")


def encode_texts(
    texts: Sequence[str],
    model: str = TEXT_MODEL,
    batch_size: int = 64,
    progress: bool = True,
    device: str = "auto",
) -> np.ndarray:
    """Embeddings of texts by a model of `sentence-transformers <https://sbert.net>`_.

    An empty text has an embedding too; items without a text belong in a mask. On one
    machine the same texts give the same rows. No code of a model is ever run.

    Args:
        texts: The texts.
        model: A folder that holds a model, or its name, by which it is taken from the
            cache, else downloaded.
        batch_size: Texts at a time.
        progress: Whether to draw a bar.
        device: As for :func:`~mentor_pyg._util.environment.choose_device`.

    Returns:
        Features [n, d], float32, row = text.

    Raises:
        InputError: If there is nothing to encode, an entry is no text, the size of batches
            isn't positive, or the model can't be had.
    """
    check_batch_size(batch_size)
    if isinstance(texts, str):
        raise InputError(f"encode_texts.texts: is {shown(texts)}; expected a list of texts")
    if not len(texts):
        raise InputError("texts: there are none; expected at least one")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"texts: row {row} is {shown(text)}; expected a text")
    network = text_model(model, str(choose_device(device)))
    # Texts of a length together, for little padding; the longest first, since if memory
    # doesn't suffice, it fails at once:
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    rows = []
    with progress_bar(None, "texts", progress, total=len(texts)) as bar:
        for start in range(0, len(order), batch_size):
            batch = [texts[row] for row in order[start : start + batch_size]]
            rows.append(network.encode(batch, batch_size=batch_size, show_progress_bar=False))
            bar.update(len(batch))
    x = np.concatenate(rows)
    features = np.empty(x.shape, dtype=np.float32)
    features[order] = x
    return features


@checked
def encode_images(
    paths: Sequence[str | Path],
    model: str | ImageEncoder = IMAGE_MODEL,
    batch_size: int = 32,
    progress: bool = True,
    device: str = "auto",
    skip_broken: bool = False,
) -> np.ndarray:
    """Embeddings of image files: what a classifier holds before its last layer.

    A file that can't be read is an error, so that a damaged download isn't found out by
    worse results months later. With ``skip_broken`` its row is NaN, which no dataset
    takes for a feature: ``~np.isnan(x[:, 0])`` is the mask of items that have one.

    Args:
        paths: The files, in any format that Pillow reads, as :func:`.pictures.read_picture`
            does.
        model: :obj:`"torchvision/<name>"` or :obj:`"timm/<name>"`, whose published
            weights are downloaded at first use; :obj:`"torchvision/<name>@<path>"` takes
            a ``state_dict`` of that model from a file. Or an encoder of your own.
        batch_size: Images at a time.
        progress: Whether to draw a bar.
        device: As for :func:`~mentor_pyg._util.environment.choose_device`.
        skip_broken: Whether to go on after files that can't be read.

    Returns:
        Features [n, d], float32, row = file.

    Raises:
        FileNotFoundError: If a file doesn't exist, with ``skip_broken`` or without.
        InputError: If there is nothing to encode, a file can't be read, the size of batches
            isn't positive, or the model can't be had.
    """
    check_batch_size(batch_size)
    files = [Path(path) for path in paths]
    if not files:
        raise InputError("images: there are none; expected at least one")
    for path in files:
        check_file(path, "an image")
    encoder = image_model(model, progress) if isinstance(model, str) else model
    x, broken = _encode_images(files, encoder, batch_size, progress, device, skip_broken)
    if len(broken) == len(paths):
        raise InputError(f"{paths[0]}: can't be read, as all {len(paths)}; expected images")
    if broken:
        first = paths[broken[0]]
        logger.warning("%d of %d images can't be read, e.g. %s", len(broken), len(paths), first)
    features = np.full((len(paths), *x.shape[1:]), np.nan, dtype=np.float32)
    features[np.delete(np.arange(len(paths)), broken)] = x
    return features


@torch.inference_mode()
def _encode_images(
    paths: Sequence[Path],
    encoder: ImageEncoder,
    batch_size: int,
    progress: bool,
    device: str,
    skip_broken: bool,
) -> tuple[np.ndarray, list[int]]:
    """Features of the files that can be read, and the rows of those that can't."""
    where = choose_device(device)
    network = encoder.network.eval().to(where)
    read = partial(_read_image, transform=encoder.transform, skip=skip_broken)
    features, broken = [], []
    with (
        strict(),
        ThreadPoolExecutor() as pool,
        progress_bar(None, "images", progress, total=len(paths)) as bar,
    ):
        for start in range(0, len(paths), batch_size):
            images = list(pool.map(read, paths[start : start + batch_size]))
            broken += [start + row for row, image in enumerate(images) if image is None]
            if found := [image for image in images if image is not None]:
                features.append(network(torch.stack(found).to(where)).float().cpu().numpy())
            bar.update(len(images))
    return np.concatenate(features) if features else np.empty((0, 0)), broken


def _read_image(path: Path, transform: Callable[[Any], Tensor], skip: bool) -> Tensor | None:
    try:
        picture = read_picture(path)
    except Exception as error:  # Pillow raises half a dozen types for broken files
        if skip:
            return None
        raise InputError(f"{path}: can't be read ({reason(error)}); expected an image") from None
    return transform(picture)
