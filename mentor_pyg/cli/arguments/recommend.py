"""Recommend items by a trained run.

  mentor-pyg recommend runs/toys --user A1B2 C3D4 --k 10
  mentor-pyg recommend runs/toys --all-users --out lists.parquet
  mentor-pyg recommend runs/toys --items-of-new-user B001,B002
  mentor-pyg recommend runs/toys --similar-to B001
  mentor-pyg recommend runs/toys --new-items arrivals --user A1B2 --allow arrivals/item_ids.txt
  mentor-pyg recommend runs/toys --embeddings out --faiss out/items.index

Files of ids have one a line. Ids may begin with a dash; --items-of-new-user takes those with
commas in quotes: '"Smith, John",B001'. A folder of new items holds item_ids.txt and, in the
same order, <stem>_feat.npy (and <stem>_mask.npy) as the data does.
"""

import argparse

from mentor_pyg.choices import SPLITS
from mentor_pyg.cli import expanded
from mentor_pyg.cli.parser import add_common, identifier


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", type=expanded, help="folder of a trained run")
    add_common(parser, "--data", "--device")
    whom = parser.add_argument_group("for whom").add_mutually_exclusive_group()
    whom.add_argument(
        "--user", nargs="+", action="extend", type=identifier, metavar="ID", help="these users"
    )
    whom.add_argument("--users", metavar="FILE", type=expanded, help="the users in a file")
    whom.add_argument("--all-users", action="store_true", help="all users of the data")
    whom.add_argument(
        "--items-of-new-user",
        type=identifier,
        metavar="ID,ID",
        help='somebody new who likes these items; ids with commas in quotes: a,"b, c"',
    )
    whom.add_argument(
        "--similar-to", type=identifier, metavar="ID", help="the items most like this one"
    )
    what = parser.add_argument_group("what")
    what.add_argument("--k", type=int, default=20, help="length of the lists (default: 20)")
    what.add_argument(
        "--new-items", metavar="FOLDER", type=expanded, help="add items that training didn't see"
    )
    what.add_argument(
        "--new-scale",
        default="fair",
        help="factor of their embeddings; fair gives them their share of places (default: fair)",
    )
    what.add_argument(
        "--allow", metavar="FILE", type=expanded, help="the only items that may appear"
    )
    what.add_argument("--deny", metavar="FILE", type=expanded, help="items that may not")
    what.add_argument("--include-seen", action="store_true", help="seen items, too")
    what.add_argument(
        "--seen",
        nargs="+",
        choices=SPLITS,
        default=["train"],
        metavar="SPLIT",
        help=f"splits whose pairs count as seen, out of {', '.join(SPLITS)} (default: train)",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--out", metavar="FILE", type=expanded, help="lists, as .csv, .jsonl or .parquet"
    )
    files.add_argument(
        "--safe-csv",
        action="store_true",
        help="put ' before ids that a spreadsheet would take for formulas (=, +, -, @)",
    )
    files.add_argument(
        "--embeddings", metavar="DIR", type=expanded, help="embeddings as .npy, with their ids"
    )
    files.add_argument(
        "--faiss", metavar="FILE", type=expanded, help="items as an inner-product index of FAISS"
    )
