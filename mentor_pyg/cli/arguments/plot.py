"""Plot what runs, datasets and grids show, as PNG or SVG.

mentor-pyg plot curves runs/a runs/b --out curves.svg        # losses and validation by epoch
mentor-pyg plot embeddings runs/a runs/b --out items.png     # items by modality: t-SNE, density
mentor-pyg plot distributions data/tiktok                    # degrees, popularity, splits
mentor-pyg plot heat-map grid.csv --metric recall@20         # two hyper-parameters

A grid is a CSV file: its first row and column are the values of two hyper-parameters,
its first cell their names, row\\column. The best cell is framed. Plots need the extra
``plot``.
"""

import argparse

from mentor_pyg.choices import NUM_SAMPLED
from mentor_pyg.cli import expanded

OPTIONS = {
    "curves": ("metric",),
    "embeddings": ("items", "seed", "data"),
    "distributions": (),
    "heat-map": ("metric", "lowest"),
}
"""The options of every kind of plot."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=list(OPTIONS), help="what to plot")
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", type=expanded, help="runs; a dataset; a grid in CSV"
    )
    parser.add_argument("--out", type=expanded, help="a .png or .svg file (default: <kind>.png)")
    parser.add_argument(
        "--metric",
        action="append",
        help="curves: a validation metric, may be repeated (default: Recall and NDCG); "
        "heat-map: what its cells are",
    )
    parser.add_argument("--items", type=int, help=f"embeddings: how many (default: {NUM_SAMPLED})")
    parser.add_argument("--seed", type=int, help="embeddings: of the items and of t-SNE")
    parser.add_argument(
        "--data", type=expanded, help="embeddings: the data, where it isn't at its old place"
    )
    parser.add_argument(
        "--lowest", action="store_true", default=None, help="heat-map: the lowest value is best"
    )
