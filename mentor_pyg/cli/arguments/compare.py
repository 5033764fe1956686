"""Train many models on many datasets under many seeds, and compare them.

  mentor-pyg compare baselines --data tiktok=data/tiktok --out runs/baselines --parallel 2
  mentor-pyg compare mine.yaml --out runs/mine --format latex
  mentor-pyg compare mentor_ablation --data baby=data/baby --out runs/ablation --only-report

PLAN is a YAML file of models, datasets and seeds, or the name of one that comes along.
What is finished stays; the same command goes on where it stopped, and other settings or
data take another --out. Every model may get
the same number of trials on validation before (trials: 20); test is read by final runs
alone. Writes <dataset>.json, .csv, .md, .tex and .html, and plots if matplotlib is there.
"""

import argparse
from typing import get_args

from mentor_pyg._util.named_yaml import PLANS
from mentor_pyg.choices import TableFormat
from mentor_pyg.cli import expanded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "plan",
        metavar="PLAN",
        type=expanded,
        help=f"a YAML file, or one of {', '.join(PLANS.names())}",
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a dataset, in place of the plan's; may be given several times",
    )
    parser.add_argument("--out", type=expanded, required=True, help="folder of all results")
    parser.add_argument("--parallel", type=int, default=1, help="runs at the same time")
    parser.add_argument("--seeds", metavar="N,N", help="in place of the plan's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of all models"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two epochs and one seed, to see whether all runs"
    )
    parser.add_argument(
        "--only-report", action="store_true", help="train nothing, show what is finished"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the tables of a plan with other models"
    )
    parser.add_argument(
        "--no-tests", action="store_true", help="without significance, which loads every run"
    )
    parser.add_argument(
        "--format", choices=get_args(TableFormat), default="text", help="of what is printed"
    )
