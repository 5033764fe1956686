"""Raw files in the exact formats, small enough to check by hand."""

import gzip
import struct
import zlib

import numpy as np

ASINS = [f"B00000000{n}" for n in range(8)]


def write(path, content):
    """Writes text or bytes, packed if the name says so."""
    content = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def lines(rows):
    return "".join(f"{row}\n" for row in rows)


def record(asin, values):
    """A record of image features."""
    return asin.encode() + struct.pack("<4096f", *values)


def image(number):
    return np.linspace(number, number + 1, 4096, dtype=np.float32)


def encode(inputs, *, progress):
    """A quick stand-in for an encoder: rows that tell the inputs apart."""
    hashes = [zlib.crc32(str(text).encode()) for text in inputs]
    return np.array([[h % 1000, h % 77, 1.0] for h in hashes], dtype=np.float32)


def review(user, asin, time=0, **more):
    return {"reviewerID": user, "asin": asin, "unixReviewTime": time, "overall": 5.0, **more}


def reviews():
    """Ten users, each of whom reviewed the first five items and two others, day by day."""
    pairs = [(u, [0, 1, 2, 3, 4, 5 + u % 3, 5 + (u + 1) % 3]) for u in range(10)]
    return [
        review(f"U{u}", ASINS[i], 86400 * (10 * u + day))
        for u, items in pairs
        for day, i in enumerate(items)
    ]


def meta():
    """Descriptions of all items but the last, and of one that nobody bought."""
    fields = {"brand": "Acme", "categories": [["Baby", "Toys"], ["Baby", "Gifts"]]}
    known = [
        {"asin": asin, "title": f"Toy {n} &amp; box", "description": f"<b>No {n}</b>", **fields}
        for n, asin in enumerate(ASINS[:-1])
    ]
    return [*known, {"asin": "B0000OTHER", "title": "Other"}]
