"""Image files as a viewer shows them: upright, on white ground, in 8 bits."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from mentor_pyg._util.extras import optional

ENDINGS = frozenset(
    re.findall(
        r"\S+",
        """
        .apng .avif .avifs .blp .bmp .bw .cur .dcx .dds .dib .fit .fits .flc .fli .ftc .ftu .gbr
        .gif .icb .icns .ico .iim .im .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx .msp .pbm
        .pcd .pcx .pfm .pgm .png .pnm .ppm .psd .pxr .qoi .ras .rgb .rgba .sgi .tga .tif .tiff .vda
        .vst .webp .xbm .xpm
        """,
    )
)
"""Of the names of files that Pillow reads, in small letters."""

NOT_READ = frozenset(("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"))
"""Formats that Pillow only tells, or leaves to other programs."""

WHITE = 1, 2**8 - 1, 2**16 - 1
"""What white may be in floats and in integers of 32 bits."""


@contextmanager
def strict() -> Iterator[None]:
    """Refuses images of so many pixels that Pillow takes them for a bomb, without other warnings.

    To be entered outside of threads, as warnings are the same for all.
    """
    image = optional("PIL.Image")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", image.DecompressionBombWarning)
        yield


def read_picture(path: Path) -> Any:
    """The first frame of an image file, a :class:`PIL.Image.Image` in RGB.

    It is turned as its EXIF data say. What is transparent shows white. Grey levels of 16 bits
    become 8; those of floats are taken to be from 0 to 1, 255 or 65535, those of 32 bits from
    0 to 255 or 65535, whichever is the first that suffices.

    Raises:
        OSError: Or any other exception of Pillow's, if it can't be read.
    """
    image, operations = optional("PIL.Image"), optional("PIL.ImageOps")
    if not path.stat().st_size:
        raise OSError("it is empty")
    image.init()
    with image.open(path, formats=[name for name in image.OPEN if name not in NOT_READ]) as opened:
        opened.load()
        white = _white(opened)
        picture = opened
        with suppress(Exception):  # damaged EXIF data; the picture is fine
            picture = operations.exif_transpose(opened)
        clear = opened.info.get("transparency")
    if white:
        return _from_deep(picture, white, clear, image)
    if clear is None and not {"A", "a"} & set(picture.getbands()):
        return picture.convert("RGB")
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.upper())
    ground = image.new("RGBA", picture.size, "white")
    return image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


def _white(opened: Any) -> int:
    """What white is in an image of one channel of more than 8 bits; 0 for all others."""
    if not opened.mode.startswith(("I", "F")):
        return 0
    if opened.mode.startswith("I;") or (opened.mode == "I" and opened.format != "TIFF"):
        return WHITE[-1]
    least, most = np.asarray(opened).min(), np.asarray(opened).max()
    for white in WHITE[opened.mode == "I" :]:
        if least >= 0 and most <= white:
            return white
    raise ValueError(f"it has grey levels from {least} to {most}; they must be in [0, {WHITE[-1]}]")


def _from_deep(picture: Any, white: int, clear: Any, image: Any) -> Any:
    levels = np.asarray(picture)
    grey = np.rint(levels.astype(np.float64) * (255 / white)).astype(np.uint8)
    if isinstance(clear, int):
        grey = np.where(levels == clear, np.uint8(255), grey)
    return image.fromarray(grey).convert("RGB")
