"""Trains MENTOR on Amazon Baby, or on any other folder in the MMRec layout.

python examples/train_baby.py                     # data/baby, else synthetic data
python examples/train_baby.py --data data/tiktok --preset tiktok --out runs/tiktok
python examples/train_baby.py --set train.lr=1e-3 --set options.mask_weight=0.1
"""

import argparse
import logging
import sys
from pathlib import Path

from mentor_pyg.cli import run_program
from mentor_pyg.config import load_config, preset_names
from mentor_pyg.run import choose_device, open_source, summary, train_run

logger = logging.getLogger("mentor_pyg")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", help="folder with <name>.inter and *_feat.npy (default: data/baby)"
    )
    parser.add_argument(
        "--preset", help=f"a YAML file, or one of {', '.join(preset_names())} (default: by dataset)"
    )
    parser.add_argument("--epochs", type=int, help="epochs at most")
    parser.add_argument("--seed", type=int, help="seed of everything random")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="bf16 for quick products")
    parser.add_argument(
        "--compile", action="store_true", default=None, help="run the losses by torch.compile"
    )
    parser.add_argument("--out", help="folder for the results (default: runs/<dataset>)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    device = choose_device(args.device)
    source = open_source(args.data, default="data/baby")
    if source.is_synthetic:
        logger.warning(
            "!! No data in data/baby: training on SYNTHETIC data of Baby's size. !!\n"
            "!! Put baby.inter and *_feat.npy there, or name a folder by --data.  !!"
        )
    preset = args.preset or (source.name if source.name in preset_names() else "baby")
    config = load_config(
        preset,
        args.set,
        epochs=args.epochs,
        seed=args.seed,
        precision=args.precision,
        compile=args.compile,
    )
    out = Path(args.out or f"runs/{source.name}")

    logger.info(f"{source.name} from {source.origin}, preset {preset}, on {device}")
    logger.info(source.dataset.statistics())
    metrics = train_run(config, source, out, device)
    print(summary(metrics))
    print(f"written to {out.resolve()}")


if __name__ == "__main__":
    sys.exit(run_program(main))
