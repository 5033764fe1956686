"""Measure trained runs in detail, with confidence intervals and tests.

  mentor-pyg evaluate runs/tiktok
  mentor-pyg evaluate runs/tiktok --groups user,popularity,cold
  mentor-pyg evaluate runs/lightgcn runs/mentor --metrics recall,ndcg --format latex
  mentor-pyg evaluate runs/lightgcn-* runs/mentor-* --per-user users.csv

Runs that differ by nothing but their seed are taken together: their figures are means
over the seeds, with standard deviations in a table of their own. With several
configurations, each is tested against the first, over seeds and users. That takes three
seeds of both; with fewer, tests and intervals speak of these runs, and nothing is starred.
"""

import argparse
from typing import get_args

from mentor_pyg.choices import GROUPINGS, MMSSL_BOUNDS, SPLITS, PairedTest, TableFormat
from mentor_pyg.cli import expanded
from mentor_pyg.cli.parser import add_common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    bounds = ",".join(map(str, MMSSL_BOUNDS))
    add_common(parser, "runs", "--data", "--device")
    parser.add_argument("--split", choices=SPLITS[1:], default="test")
    parser.add_argument("--ks", default="10,20", help="lengths of the lists (default: 10,20)")
    parser.add_argument("--metrics", default="", help="to show, e.g. recall,ndcg (default: all)")
    parser.add_argument("--groups", default="", help=f"any of {','.join(GROUPINGS)}")
    parser.add_argument(
        "--user-bounds",
        default=bounds,
        metavar="N,N,...",
        help=f"training pairs at most in each group of users but the last (default: {bounds})",
    )
    parser.add_argument(
        "--quantiles", type=int, default=4, help="groups of items by popularity (default: 4)"
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=10_000,
        help="random signs in the permutation test (default: 10000)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, help="of the intervals (default: 0.95)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the permutations")
    parser.add_argument(
        "--test",
        dest="paired_test",
        choices=get_args(PairedTest),
        default="permutation",
        help="paired test over users, for fewer than three seeds (default: permutation)",
    )
    parser.add_argument(
        "--format", choices=[*get_args(TableFormat), "json"], default="text", help="of the result"
    )
    parser.add_argument("--out", metavar="FILE", type=expanded, help="write the result there")
    parser.add_argument(
        "--per-user", metavar="FILE", type=expanded, help="write every user's metrics as CSV"
    )
    parser.add_argument(
        "--safe-csv",
        action="store_true",
        help="put ' before ids in --per-user that a spreadsheet would take for formulas",
    )
