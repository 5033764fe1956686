"""Time and peak memory of preparing a dataset of the size of a large Amazon category.

python benchmarks/prepare.py                     # 1,000,000 reviews, 50,000 items
python benchmarks/prepare.py --reviews 100000 --items 5000

Writes raw files in Amazon's formats to a temporary folder, prepares them in a process of
its own and prints its figures as JSON; peak memory counts everything the process holds,
libraries included. Texts are read and composed, but hashed instead of encoded.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from machine import describe, memory_gb, peak_memory_gb

from mentor_pyg.preparation import AmazonImages, amazon_reviews, amazon_texts, find_amazon, prepare

WORDS = [f"word{n}" for n in range(5000)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, help="(default: a seventh of the reviews)")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.folder:
        print(json.dumps(measure(args.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), args.reviews, args.users or args.reviews // 7, args.items)
        command = [sys.executable, __file__, "--folder", folder]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    print(json.dumps({"machine": describe(), **json.loads(result.stdout)}, indent=2))


def measure(folder: Path) -> dict:
    files = find_amazon(folder)
    contents = [AmazonImages(files.images), amazon_texts(files.meta, hash_texts)]
    sizes = {p.name: round(p.stat().st_size / 2**20, 1) for p in sorted(folder.iterdir())}
    before = memory_gb()
    start, start_cpu = time.perf_counter(), time.process_time()
    report = prepare(amazon_reviews(files.reviews), contents, folder / "out", progress=False)
    return {
        "files_mb": sizes,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - start_cpu, 1),
        "peak_memory_gb": round(peak_memory_gb(), 3),
        "memory_before_gb": round(before, 3),
        "report": report.to_dict(),
    }


def hash_texts(texts: Sequence[str], *, progress: bool) -> np.ndarray:
    """Features [n, 384] in no time."""
    hashes = np.array([zlib.crc32(text.encode()) for text in texts], dtype=np.float32)
    return np.repeat(hashes[:, None], 384, axis=1)


def generate(folder: Path, reviews: int, users: int, items: int) -> None:
    """Reviews, descriptions and image features in the formats of 2014."""
    rng = np.random.default_rng(0)
    asins = [f"B{n:09d}" for n in range(items)]
    write_reviews(rng, folder / "reviews_Large.json.gz", reviews, users, asins)
    with gzip.open(folder / "meta_Large.json.gz", "wt", compresslevel=1) as file:
        for asin in asins:
            file.write(f"{describe_item(rng, asin, asins)!r}\n")
    with open(folder / "image_features_Large.b", "wb") as file:
        for asin in asins:
            file.write(asin.encode() + rng.random(4096, dtype=np.float32).tobytes())


def write_reviews(
    rng: np.random.Generator, path: Path, reviews: int, users: int, asins: list[str]
) -> None:
    popularity = np.arange(1, len(asins) + 1) ** -0.6
    item = rng.choice(len(asins), size=reviews, p=popularity / popularity.sum()).tolist()
    user = rng.integers(users, size=reviews).tolist()
    day = rng.integers(10_000, 16_000, size=reviews).tolist()
    texts = [words(rng, 80) for _ in range(1000)]
    with gzip.open(path, "wt", compresslevel=1) as file:
        for n in range(reviews):
            row = {
                "reviewerID": f"A{user[n]:013d}",
                "asin": asins[item[n]],
                "reviewText": texts[n % len(texts)],
                "overall": 5.0,
                "unixReviewTime": 86400 * day[n],
            }
            file.write(json.dumps(row) + "\n")


def describe_item(rng: np.random.Generator, asin: str, asins: list[str]) -> dict:
    others = [asins[n] for n in rng.integers(len(asins), size=60)]
    return {
        "asin": asin,
        "title": words(rng, 8),
        "brand": words(rng, 1),
        "related": {"also_bought": others[:40], "also_viewed": others[40:]},
        "categories": [["Large", words(rng, 2), words(rng, 2)]],
        "description": words(rng, 120),
    }


def words(rng: np.random.Generator, number: int) -> str:
    return " ".join(WORDS[n] for n in rng.integers(len(WORDS), size=number))


if __name__ == "__main__":
    main()
