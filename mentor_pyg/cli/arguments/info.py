"""Show what a dataset or a trained run holds, or what is installed.

mentor-pyg info                  # versions, devices, optional packages, models, presets
mentor-pyg info data/tiktok      # sizes, splits and modalities of a dataset
mentor-pyg info runs/tiktok      # settings and results of a run
"""

import argparse

from mentor_pyg.cli import expanded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=expanded, help="a dataset, or a run")
