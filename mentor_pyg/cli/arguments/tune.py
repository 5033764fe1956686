"""Search for hyper-parameters on validation and train with the best.

  mentor-pyg tune --data data/tiktok --preset paper --trials 30 --out runs/search
  mentor-pyg tune --data data/tiktok --preset paper --space mine.yaml --seeds 0,1,2
  mentor-pyg tune --data data/tiktok --preset paper --sampler grid --no-prune --epochs 50

A space is a YAML file of settings, named as for --set, with lists of values or ranges:

  options.mask_weight: [0.5, 1, 1.5]
  train.lr: {low: 1e-4, high: 1e-2, log: true}

Trials never look at the test split; the best configuration is trained once more and
tested once for each seed. The same command goes on where it was interrupted. Writes
study.db, trials.csv, heatmap-*.csv, best.yaml and runs/.
"""

import argparse
from typing import get_args

from mentor_pyg._util.named_yaml import PRESETS, SPACES
from mentor_pyg.choices import Sampler
from mentor_pyg.cli import expanded
from mentor_pyg.cli.parser import add_common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=expanded, required=True, help="folder of the dataset, or 'synthetic'"
    )
    parser.add_argument(
        "--preset",
        type=expanded,
        required=True,
        help=f"a YAML file, or one of {', '.join(PRESETS.names())}",
    )
    parser.add_argument(
        "--space",
        type=expanded,
        help=f"a YAML file, or one of {', '.join(SPACES.names())} "
        "(default: that of the preset or its model)",
    )
    parser.add_argument("--trials", type=int, help="trials in all (default: 30, or the whole grid)")
    parser.add_argument("--sampler", choices=get_args(Sampler), default="tpe", help="default: tpe")
    parser.add_argument("--epochs", type=int, help="epochs of a trial at most")
    parser.add_argument("--seeds", metavar="N,N", help="seeds to train the best with")
    parser.add_argument(
        "--search-only", action="store_true", help="write best.yaml and don't look at test"
    )
    add_common(parser, "--device", "--set")
    parser.add_argument(
        "--out", type=expanded, help="folder for the results (default: runs/tune-<dataset>)"
    )
    pruning = parser.add_mutually_exclusive_group()
    pruning.add_argument(
        "--prune-after",
        type=int,
        default=5,
        metavar="EPOCHS",
        help="give up trials below the median from there on (default: 5)",
    )
    pruning.add_argument("--no-prune", action="store_true", help="give up none")
    parser.add_argument(
        "--heat-map",
        action="append",
        default=[],
        metavar="X,Y",
        help="two settings to show together (default: those of the paper's Fig. 5)",
    )
