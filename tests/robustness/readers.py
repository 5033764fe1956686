"""The readers that are fuzzed, each with files that it accepts."""

import gzip
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.datasets.features import read_features, read_ids
from mentor_pyg.datasets.interactions import read_interactions
from mentor_pyg.datasets.mmrec import to_hetero_data
from mentor_pyg.datasets.problems import Problems
from mentor_pyg.datasets.source import open_source
from mentor_pyg.experiments import read_plan
from mentor_pyg.plots.history import read_history
from mentor_pyg.plots.settings import read_grid
from mentor_pyg.preparation import PrepareSettings, ReadyFeatures, prepare
from mentor_pyg.preparation.amazon import AmazonImages, amazon_reviews, amazon_texts
from mentor_pyg.preparation.contents import ImageFolder, ItemTexts
from mentor_pyg.preparation.encoders import encode_images
from mentor_pyg.preparation.features import ItemRows
from mentor_pyg.preparation.folder import new_folder
from mentor_pyg.preparation.interactions import InteractionTable
from mentor_pyg.preparation.matrices import ArrayFolder, MatrixFolder
from mentor_pyg.preparation.mmssl import MMSSLFolder
from mentor_pyg.preparation.pretrained import ImageEncoder
from mentor_pyg.report.results import read_results
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import load_run, run_summary, train
from mentor_pyg.tuning.space import read_space

Files = dict[str, bytes]
NUM_USERS, NUM_ITEMS = 6, 5


@dataclass(frozen=True)
class Reader:
    """What is fuzzed.

    Attributes:
        corpus: Folders of files that it accepts.
        read: Reads a folder.
        share: Of the inputs, beside the others'; those that take long get fewer.
        fixed: Files that stay as they are.
    """

    corpus: Callable[[], list[Files]]
    read: Callable[[Path], Any]
    share: float = 1.0
    fixed: tuple[str, ...] = ()


READERS: dict[str, Reader] = {}


def _reader(
    corpus: Callable[[], list[Files]], share: float = 1.0, fixed: tuple[str, ...] = ()
) -> Callable:
    """Registers a function that reads a folder, by its name."""

    def register(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        READERS[read.__name__.removeprefix("read_")] = Reader(cache(corpus), read, share, fixed)
        return read

    return register


# A dataset in the MMRec layout ###########################################


def _pairs() -> list[tuple[int, int, int]]:
    """User, item, split: each user has all items but one."""
    return [
        (u, i, (0, 0, 0, 1, 2)[(u + i) % 5])
        for u in range(NUM_USERS)
        for i in range(NUM_ITEMS)
        if i != u % NUM_ITEMS
    ]


def _table(separator: str, form: str, end: str = "\n", extra: str = "") -> bytes:
    rows = [["userID", "itemID", "x_label", *([extra] if extra else [])]]
    for u, i, split in _pairs():
        rows.append([form.format(u), form.format(i), str(split), *(["x y"] if extra else [])])
    return "".join(separator.join(row) + end for row in rows).encode()


def _saved(x: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


def _features(rows: int = NUM_ITEMS) -> bytes:
    return _saved(np.linspace(-1, 1, rows * 4, dtype=np.float32).reshape(rows, 4))


MASK = _saved(np.array([True] * (NUM_ITEMS - 1) + [False]))
IMAGE_FILES = ("image_feat.npy", "image_mask.npy")
LABELS = "".join(f"id {n}é\n" for n in range(NUM_USERS)).encode()


@_reader(
    lambda: [
        {"toy.inter": _table("\t", "{}")},
        {"toy.inter": _table(",", '"id {}, é"', "\r\n")},
        {"toy.inter": _table("\t", "B00{}", extra="timestamp")},
    ]
)
def read_inter(folder: Path) -> None:
    to_hetero_data(read_interactions(folder / "toy.inter"), {})


@_reader(lambda: [{"image_feat.npy": _features(), "image_mask.npy": MASK}])
def read_arrays(folder: Path) -> None:
    read_features(folder / "image_feat.npy", NUM_ITEMS)


@_reader(lambda: [{"ids.txt": LABELS}, {"ids.txt": b"\xef\xbb\xbf1\r\n2\r\n3"}])
def read_ids_file(folder: Path) -> None:
    read_ids(folder / "ids.txt")


@_reader(
    lambda: [
        {
            "toy.inter": _table("\t", "id {}é"),
            "user_ids.txt": LABELS,
            "item_ids.txt": LABELS,
            "image_feat.npy": _features(NUM_USERS),
        }
    ],
    share=0.5,
)
def read_dataset(folder: Path) -> None:
    MMRecDataset(folder).statistics()


# Settings ################################################################

PRESET = b"""\
extends: lightgcn
preset: mine
options: {hidden_channels: 8, num_layers: 2}
train:
  lr: 1e-3
  epochs: 1
  ks: [1, 2]
  monitor: recall@2
"""
MENTOR = b"extends: default\noptions:\n  align_levels: [1, 2]\n  temperature: 0.1\ngraph: {k: 3}\n"
PLAN = b"""\
datasets: {toy: data/toy}
seeds: [0, 1]
set: [train.epochs=1]
models:
- LightGCN
- {name: Short, preset: lightgcn, set: [options.num_layers=1]}
sweep: {train.lr: [0.1, 0.01]}
reference: Short lr=0.1
"""
SEARCHED = b"""\
datasets: {toy: data/toy}
trials: 2
models: [{name: LightGCN, space: lightgcn}]
metrics: [ndcg@10]
"""
SPACE = b"""\
options.num_layers: [1, 2]
train.batch_size: {low: 8, high: 64, step: 8}
train.lr: {low: 1e-4, high: 1e-2, log: true}
"""


@_reader(lambda: [{"mine.yaml": PRESET}, {"mine.yaml": MENTOR}])
def read_preset(folder: Path) -> None:
    load_config(str(folder / "mine.yaml")).to_yaml()


@_reader(
    lambda: [
        {"set": b"train.lr=1e-3"},
        {"set": b"options.align_levels=[1, 2]"},
        {"set": b"graph={k: 3}"},
        {"set": b"content=null"},
    ]
)
def read_set(folder: Path) -> None:
    change = os.fsdecode((folder / "set").read_bytes())  # as arguments of a program are
    load_config("default", [change]).to_yaml()


@_reader(lambda: [{"plan.yaml": PLAN}, {"plan.yaml": SEARCHED}], share=0.3)
def read_plan_file(folder: Path) -> None:
    read_plan(folder / "plan.yaml")


@_reader(lambda: [{"space.yaml": SPACE}], share=0.5)
def read_space_file(folder: Path) -> None:
    space = read_space(str(folder / "space.yaml"))
    space.check("lightgcn")
    space.settings(space.draw(np.random.default_rng(0)))


# Runs ####################################################################


@cache
def _toy() -> Path:
    """A folder with a dataset; it stays until the program ends."""
    folder = Path(TOYS.name) / "toy"
    folder.mkdir(exist_ok=True)
    (folder / "toy.inter").write_bytes(_table("\t", "{}"))
    return folder


TOYS = TemporaryDirectory(prefix="mentor-pyg-fuzz-")


@cache
def _run() -> Files:
    """The files of a short run."""
    with TemporaryDirectory() as folder:
        preset, out = Path(folder, "mine.yaml"), Path(folder, "run")
        preset.write_bytes(PRESET)
        train(load_config(str(preset)), open_source(_toy()), out, progress=False)
        return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def _files(*kinds: str) -> Callable[[], list[Files]]:
    return lambda: [{n: c for n, c in _run().items() if n.endswith(kinds) and n[0] != "."}]


@_reader(_files("metrics.json", "history.csv", "config.yaml"))
def read_results_of_run(folder: Path) -> None:
    for result in read_results([folder]):
        run_summary(result.metrics)


@_reader(_files("history.csv", "config.yaml"), share=0.5, fixed=("config.yaml",))
def read_history_file(folder: Path) -> None:
    str(read_history(folder).best_epoch)


@_reader(
    lambda: [{n: c for n, c in _run().items() if n[0] != "." and n != "metrics.json"}],
    share=0.2,
    fixed=("history.csv", "best.pt", "best.safetensors", "config.yaml"),
)
def read_last(folder: Path) -> None:
    source = open_source(_toy())
    config = load_config(str(folder / "config.yaml"))
    train(config, source, folder, progress=False, resume=True)


@_reader(_files("best.pt", "best.safetensors"), share=0.2)
def read_weights(folder: Path) -> None:
    load_run(folder, _toy())


@_reader(lambda: [{"grid.csv": b"k\\lr,0.1,0.01\n5,0.5,0.25\n10,,0.75\n"}], share=0.5)
def read_grid_file(folder: Path) -> None:
    read_grid(folder / "grid.csv")


# Raw files ###############################################################


def _encode(inputs: Any, *, progress: bool) -> np.ndarray:
    return np.ones((len(inputs), 2), dtype=np.float32)


def _items(problems: Problems) -> ItemRows:
    rows = {f"B{n}": n for n in range(NUM_ITEMS)}
    return ItemRows(rows, frozenset(rows), problems)


def _read_raw(path: Path, on_error: Any) -> None:
    """Interactions and texts of one table."""
    InteractionTable([path], "user", "item", "time", "rating", 1.0).read(Problems(on_error), False)
    items = _items(Problems("skip"))  # as each item is there several times
    for _ in ItemTexts([path], "item", ("title", "more"), _encode).blocks(items, False):
        pass


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "user": f"u{u}",
            "item": f"B{i}",
            "time": 1_400_000_000 + 7 * u + i,
            "rating": 1.0 + i,
            "title": f"Toy <b>{i}</b> &amp; box",
            "more": f"x{split}",
        }
        for u, i, split in _pairs()
    ]


def _csv(separator: str) -> bytes:
    rows = [list(_rows()[0]), *(list(map(str, row.values())) for row in _rows())]
    return "".join(separator.join(row) + "\n" for row in rows).encode()


def _records(form: Callable[[Any], str]) -> bytes:
    return "".join(f"{form(row)}\n" for row in _rows()).encode()


@_reader(
    lambda: [
        {"raw.csv": _csv(",")},
        {"raw.tsv": _csv("\t").replace(b"14000000", b"2014-05-13T16:53:")},
        {"raw.jsonl": _records(json.dumps)},
        {"raw.jsonl": _records(repr)},
        {"raw.csv.gz": gzip.compress(_csv(","), mtime=0)},
        {"raw.jsonl.gz": gzip.compress(_records(json.dumps), mtime=0)},
    ],
    share=2,
)
def read_raw_table(folder: Path) -> None:
    path = next(folder.glob("raw.*"))
    _read_raw(path, ("fail", "skip")[path.stat().st_size % 2])


def _parquet_file() -> bytes:
    import pyarrow as arrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(_rows()), file)
    return file.getvalue()


@_reader(lambda: [{"raw.parquet": _parquet_file()}])
def read_parquet_file(folder: Path) -> None:
    _read_raw(folder / "raw.parquet", "skip")


def _review(user: str, item: str, n: int) -> dict[str, Any]:
    return {"reviewerID": user, "asin": item, "unixReviewTime": n, "overall": 5.0}


def _amazon() -> list[Files]:
    asins = [f"B00000000{n}" for n in range(3)]
    meta = [{"asin": a, "title": "Toy", "categories": [["A", "B"]], "brand": None} for a in asins]
    record = np.zeros(4096, "<f4").tobytes()
    images = b"".join(asin.encode() + record for asin in asins)
    reviews = [_review(f"U{u}", asin, u) for u in range(3) for asin in asins]
    lines = "".join(json.dumps(row) + "\n" for row in reviews).encode()
    ratings = "".join(f"U{u},{a},5.0,{u}\n" for u in range(3) for a in asins).encode()
    texts = "".join(f"{row!r}\n" for row in meta).encode()
    newer = [
        {"user_id": f"U{u}", "parent_asin": a, "timestamp": 10**12, "rating": 5}
        for u in range(3)
        for a in asins
    ]
    return [
        {"reviews_T.jsonl": "".join(json.dumps(row) + "\n" for row in newer).encode()},
        {"reviews_T_5.json.gz": gzip.compress(lines, mtime=0)},
        {"ratings_T.csv": ratings},
        {"meta_T.json.gz": gzip.compress(texts, mtime=0)},
        {"meta_T.json": texts},
        {"image_features_T.b": images},
    ]


@_reader(_amazon)
def read_amazon(folder: Path) -> None:
    (path,) = folder.iterdir()
    problems = Problems(("fail", "skip")[path.stat().st_size % 2])
    if path.name.startswith(("reviews", "ratings")):
        amazon_reviews([path], min_rating=3).read(problems, False)
        return
    rows = {f"B00000000{n}": n for n in range(3)}
    content = AmazonImages([path]) if path.suffix == ".b" else amazon_texts([path], _encode)
    for _ in content.blocks(ItemRows(rows, frozenset(rows), problems), False):
        pass


def _mmssl() -> list[Files]:
    splits: list[dict[str, list[int]]] = [{}, {}, {}]
    for u, i, split in _pairs():
        splits[split].setdefault(str(u), []).append(i)
    files = {f"{n}.json": json.dumps(s).encode() for n, s in zip(("train", "val", "test"), splits)}
    return [files, {**files, "image_feat.npy": _features()}]


@_reader(_mmssl)
def read_mmssl(folder: Path) -> None:
    MMSSLFolder(folder).read(Problems("skip"), False)


def _matrices() -> list[Files]:
    files: list[Files] = []
    for form in (sp.csr_matrix, sp.csc_matrix, sp.coo_matrix):
        saved = {}
        for label, name in enumerate(("trnMat", "valMat", "tstMat")):
            user, item = np.array([(u, i) for u, i, split in _pairs() if split == label]).T
            matrix = form((np.ones(len(user)), (user, item)), (NUM_USERS, NUM_ITEMS))
            sp.save_npz(file := io.BytesIO(), matrix, compressed=form is sp.csr_matrix)
            saved[f"{name}.npz"] = file.getvalue()
        files.append({**saved, "image_feat.npy": _features()})
    return files


@_reader(_matrices)
def read_matrices(folder: Path) -> None:
    MatrixFolder(folder).read(Problems("skip"), False)


def _row_numbers() -> list[Files]:
    splits = [[(u, i) for u, i, split in _pairs() if split == label] for label in range(3)]
    names = ("train", "valid", "test")
    return [{f"{n}.npy": _saved(np.array(s, np.int64).T) for n, s in zip(names, splits)}]


@_reader(_row_numbers)
def read_row_numbers(folder: Path) -> None:
    ArrayFolder(folder).read(Problems("skip"), False)


def _raw_files() -> list[Files]:
    ids = "".join(f"B{n}\n" for n in range(NUM_ITEMS)).encode()
    return [{"raw.csv": _csv(","), "x.npy": _features(), "x.txt": ids}]


def _prepare(folder: Path) -> Path:
    table = InteractionTable([folder / "raw.csv"], "user", "item", "time")
    content = ReadyFeatures(folder / "x.npy", "image", folder / "x.txt")
    settings = PrepareSettings(k_core=1, on_error="skip")
    str(prepare(table, [content], folder / "out", settings, name="toy", progress=False))
    return folder / "out"


@_reader(_raw_files, share=0.4)
def read_prepared(folder: Path) -> None:
    """A whole preparation, and the dataset that comes of it."""
    MMRecDataset(_prepare(folder))


def _results() -> list[Files]:
    with TemporaryDirectory() as folder:
        for name, content in _raw_files()[0].items():
            Path(folder, name).write_bytes(content)
        return [{path.name: path.read_bytes() for path in _prepare(Path(folder)).iterdir()}]


@_reader(_results, 0.5, ("toy.inter", "user_ids.txt", "item_ids.txt", *IMAGE_FILES))
def read_preparation(folder: Path) -> None:
    """What says which files of a folder may be replaced."""
    with new_folder(folder, force=True):
        pass


def _pictures() -> list[Files]:
    from PIL import Image

    grey = Image.linear_gradient("L").resize((13, 7))
    colour = Image.merge("RGB", (grey, grey.rotate(180), grey))
    kinds = [("a.png", colour), ("b.jpg", colour), ("c.gif", grey), ("d.bmp", colour)]
    kinds += [("e.tif", grey.convert("I;16")), ("f.webp", colour), ("g.ppm", colour)]
    kinds += [("h.png", colour.convert("RGBA")), ("i.tif", grey.convert("F")), ("j.ico", colour)]
    kinds += [("k.tga", colour), ("l.png", grey.convert("P")), ("m.jp2", colour)]
    folders = []
    for name, picture in kinds:
        file = io.BytesIO()
        picture.save(file, Image.registered_extensions()[Path(name).suffix])
        folders.append({name: file.getvalue()})
    return folders


def _mean_colour(picture: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(picture.resize((2, 2))), dtype=torch.float32).flatten()


def _encode_pictures(paths: Any, *, progress: bool) -> np.ndarray:
    encoder = ImageEncoder(torch.nn.Identity(), _mean_colour)
    return encode_images(paths, encoder, progress=progress, device="cpu")


@_reader(_pictures, share=2)
def read_images(folder: Path) -> None:
    rows = {path.stem: 0 for path in folder.iterdir()}
    items = ItemRows(rows, frozenset(rows), Problems())
    for _ in ImageFolder(folder, _encode_pictures).blocks(items, False):
        pass
