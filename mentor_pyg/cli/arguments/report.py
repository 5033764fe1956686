"""Write a page of HTML that shows runs side by side.

mentor-pyg report runs/tiktok
mentor-pyg report runs/mentor runs/lightgcn --out report.html

Results with the best marked, curves, embeddings, statistics of the data, settings with
their differences marked, times and versions. The page is one file that loads nothing.
It needs the extra ``plot``.
"""

import argparse

from mentor_pyg.choices import NUM_SAMPLED
from mentor_pyg.cli import expanded
from mentor_pyg.cli.parser import add_common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, "runs", "--data")
    parser.add_argument(
        "--out", type=expanded, default="report.html", help="a .html file (default: %(default)s)"
    )
    parser.add_argument("--title", help="title of the page (default: the runs' names)")
    parser.add_argument(
        "--items",
        type=int,
        default=NUM_SAMPLED,
        help="items whose embeddings are drawn, 0 for none (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="which items, and t-SNE's seed")
