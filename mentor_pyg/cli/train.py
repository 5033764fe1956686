"""Runs ``mentor-pyg train``."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.files import slug
from mentor_pyg._util.locks import sole_writer
from mentor_pyg.cli import Output, check_not_empty
from mentor_pyg.cli.arguments.train import DEFAULT_DATA
from mentor_pyg.datasets.source import SYNTHETIC, Source, open_source
from mentor_pyg.errors import InputError
from mentor_pyg.runs.config import RunConfig, load_config
from mentor_pyg.runs.files import check_no_run, read_last, read_weights
from mentor_pyg.runs.run import run_summary, train
from mentor_pyg.training.tensorboard import TensorBoard

logger = logging.getLogger("mentor_pyg")


def run(args: argparse.Namespace) -> Output:
    check_not_empty(args, "data", "preset", "out", "resume", "init")
    device = choose_device(args.device)
    resume = args.resume is not None
    if resume:
        out = Path(args.resume)
        config, source = _read_run(out, args)
    else:
        if args.out and not args.force:
            check_no_run(Path(args.out))  # before the data are read, or even downloaded
        source = _open_default() if args.data is None else open_source(args.data)
        config = _configure(args, source)
        out = Path(args.out) if args.out else _default_folder(source, config)
    with sole_writer(out):
        if not (resume or args.force):
            check_no_run(out)
        logger.info(f"{source.name} from {source.origin}, preset {config.preset}, on {device}")
        logger.info(source.dataset.statistics())
        curves = [TensorBoard(out / "tensorboard")] if args.tensorboard else []
        metrics = train(config, source, out, device, not args.quiet, resume, curves, args.force)
    return Output(f"{run_summary(metrics)}\nwritten to {out.resolve()}", metrics)


def _open_default() -> Source:
    """Baby if it is here or can be downloaded, else synthetic data, loudly."""
    try:
        return open_source(DEFAULT_DATA)
    except FileNotFoundError:
        pass
    try:
        return open_source("baby")
    except (InputError, OSError) as error:
        logger.warning(
            f"{error}\n"
            f"!! No data in {DEFAULT_DATA}: training on SYNTHETIC data of Baby's size. !!\n"
            "!! Put baby.inter and *_feat.npy there, or name a folder by --data.  !!"
        )
    return open_source(SYNTHETIC)


def _configure(args: argparse.Namespace, source: Source) -> RunConfig:
    preset = args.preset or (source.name if source.origin == SYNTHETIC else "default")
    given: dict[str, Any] = {
        name: getattr(args, name) for name in ("epochs", "seed", "precision", "compile")
    }
    changes = [*args.set]
    if args.init is not None:
        read_weights(args.init)  # before the data are prepared
        changes.append(f"init={json.dumps(str(Path(args.init).resolve()))}")
    return load_config(preset, changes, **given)


def _default_folder(source: Source, config: RunConfig) -> Path:
    """A folder of its own for every dataset, preset and seed."""
    dataset = source.name.lstrip(".") or "data"
    return Path("runs", dataset, f"{slug(config.preset)}-seed{config.train.seed}")


def _read_run(folder: Path, args: argparse.Namespace) -> tuple[RunConfig, Source]:
    """Settings and data of an interrupted run; changes are refused when it goes on."""
    for name in ("preset", "epochs", "seed", "precision", "compile", "set", "out", "force", "init"):
        value = getattr(args, name)
        if value is not None and value is not False and value != []:  # 0 is given, too
            raise InputError(f"--{name}: can't be changed by --resume; expected a new run")
    saved = read_last(folder)
    return saved.config, open_source(args.data or saved.origin)
