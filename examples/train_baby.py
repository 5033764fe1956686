"""Trains MENTOR on Amazon Baby, or on any other folder in the MMRec layout.

python examples/train_baby.py                     # data/baby, else synthetic data
python examples/train_baby.py --data data/tiktok --preset default --out runs/tiktok
python examples/train_baby.py --set train.lr=1e-3 --set options.mask_weight=0.1

The same as the command `mentor-pyg train`: the results of one dataset, preset and seed are
replaced with --force only. README shows the loop in Python.
"""

import sys

from mentor_pyg.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
