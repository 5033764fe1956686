"""Turn raw files into a dataset.

  mentor-pyg prepare raw/baby --out data/baby
  mentor-pyg prepare log.csv --out data/shop --user-column user --item-column sku \\
      --time-column when --items items.csv --item-id-column sku --text-columns name,about \\
      --image-folder photos
  mentor-pyg prepare mmssl/tiktok --out data/tiktok

SOURCE is a table of interactions (CSV, TSV, JSON lines or Parquet) or a folder, whose files
tell its layout:
  Amazon 2014, 2018 and 2023  reviews_*.json.gz, ratings_*.csv, *_5.json.gz or *.jsonl.gz;
                              meta_*.json*, image_features_*.b
  MicroLens                   *_pairs.csv; *_titles.csv, *_<modality>_features_*.npy
  MMSSL                       train.json, val.json, test.json; *_feat.npy
  DiffMM and MMSSL            trnMat.npz, ... or train_mat.npz, ...; *_feat.npy
  arrays of row numbers       train.npy, valid.npy, test.npy; *_feat.npy
Splits that are given are kept. Items without text or image are marked as such.
docs/datasets.md lists sources.
"""

import argparse
from typing import get_args

from mentor_pyg.choices import IMAGE_MODEL, TEXT_MODEL, Duplicates, OnError, SplitMethod
from mentor_pyg.cli import as_path, expanded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", nargs="?", metavar="SOURCE", type=as_path, help="raw files")
    parser.add_argument("--out", required=True, type=as_path, help="folder of the dataset")
    parser.add_argument("--name", help="of the dataset (default: that of the folder)")
    parser.add_argument("--force", action="store_true", help="replace an earlier result")
    parser.add_argument(
        "--on-error",
        choices=get_args(OnError),
        default="fail",
        help="what to do about rows that can't be used (default: fail)",
    )
    _add_shape(parser.add_argument_group("which interactions, and their split"))
    _add_amazon(parser.add_argument_group("Amazon, if the files aren't in one folder"))
    _add_table(parser.add_argument_group("a table of interactions"))
    _add_contents(parser.add_argument_group("content of the items"))


def _add_shape(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--k-core", type=int, help="least pairs of a user or item, 0 or 1 for all (default: 5)"
    )
    group.add_argument(
        "--split",
        choices=get_args(SplitMethod),
        help="user (each user's pairs at random, as in the papers; default), random (all "
        "pairs), temporal (the last of all), leave-last-out (the last of each user)",
    )
    group.add_argument(
        "--held-out", type=float, help="share of validation and of test pairs (default: 0.1)"
    )
    group.add_argument("--seed", type=int, help="of the split (default: 0)")
    group.add_argument(
        "--duplicates",
        choices=get_args(Duplicates),
        help="which interaction of a repeated pair is kept (default: first)",
    )
    group.add_argument("--min-rating", type=float, help="leave out pairs rated lower")


def _add_amazon(group: argparse._ArgumentGroup) -> None:
    for name, what in (("reviews", "reviews or ratings"), ("meta", "descriptions")):
        group.add_argument(f"--{name}", nargs="+", type=as_path, metavar="FILE", help=what)
    group.add_argument("--images", nargs="+", type=as_path, metavar="FILE", help="image features")


def _add_table(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--user-column", default="userID", help="(default: userID)")
    group.add_argument("--item-column", default="itemID", help="(default: itemID)")
    group.add_argument("--time-column", help="numbers or dates (default: times are unknown)")
    group.add_argument("--rating-column", help="for --min-rating")


def _add_contents(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--items", type=as_path, metavar="FILE", help="table of the items' texts")
    group.add_argument("--item-id-column", default="itemID", help="(default: itemID)")
    group.add_argument("--text-columns", metavar="A,B", help="of --items, in this order")
    group.add_argument(
        "--image-folder", type=as_path, metavar="DIR", help="images named by the items' ids"
    )
    group.add_argument(
        "--features",
        action="append",
        default=[],
        metavar="STEM=FILE",
        help="ready features (.npy), which become STEM_feat.npy",
    )
    group.add_argument("--feature-ids", type=as_path, metavar="FILE", help="ids of their rows")
    group.add_argument(
        "--text-model", type=expanded, default=TEXT_MODEL, help=f"(default: {TEXT_MODEL})"
    )
    group.add_argument(
        "--image-model", type=expanded, default=IMAGE_MODEL, help=f"(default: {IMAGE_MODEL})"
    )
    group.add_argument("--batch-size", type=int, default=64, help="of both (default: 64)")
    group.add_argument("--no-text", action="store_true", help="leave texts out")
    group.add_argument("--no-images", action="store_true", help="leave images out")
