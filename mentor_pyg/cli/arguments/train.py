"""Train a model and look at the test split once.

  mentor-pyg train --data data/tiktok --out runs/tiktok
  mentor-pyg train --data data/tiktok --preset released --seed 1 --set train.lr=1e-3
  mentor-pyg train --resume runs/tiktok

Writes config.yaml, last.pt, best.safetensors, history.csv and metrics.json. A run that is
there already is only replaced with --force. Ctrl-C saves the state; --resume goes on from it
and ends with the numbers of a run that was never interrupted.
"""

import argparse

from mentor_pyg._util.named_yaml import PRESETS
from mentor_pyg.cli import expanded
from mentor_pyg.cli.parser import add_common

DEFAULT_DATA = "data/baby"
"""Where Baby lies, and where it is downloaded to."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=expanded,
        help="folder with <name>.inter and *_feat.npy; baby, sports or clothing, which are "
        f"downloaded; or synthetic (default: {DEFAULT_DATA}, else baby, else synthetic)",
    )
    parser.add_argument(
        "--preset",
        type=expanded,
        help=f"a YAML file, or one of {', '.join(PRESETS.names())} (default: default; "
        "synthetic-baby for synthetic data)",
    )
    parser.add_argument("--epochs", type=int, help="epochs at most")
    parser.add_argument("--seed", type=int, help="seed of everything random")
    add_common(parser, "--device", "--set")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="bf16 for quick products")
    parser.add_argument(
        "--compile", action="store_true", default=None, help="run the losses by torch.compile"
    )
    parser.add_argument(
        "--out",
        type=expanded,
        help="folder for the results (default: runs/<dataset>/<preset>-seed<seed>)",
    )
    parser.add_argument("--force", action="store_true", help="replace the run that is there")
    parser.add_argument(
        "--init",
        metavar="RUN",
        type=expanded,
        help="begin with the weights of another run, whose shapes must fit",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write curves to <out>/tensorboard"
    )
    parser.add_argument(
        "--resume", metavar="DIR", type=expanded, help="go on with an interrupted run"
    )
