"""Kills commands at random moments and checks that nothing is lost; pytest doesn't collect it.

  python tests/robustness/kill.py                      # 20 kills of each command
  python tests/robustness/kill.py --kills 200 train    # of one alone
  python tests/robustness/kill.py --seed 3 tune        # at other moments

Each command runs on a toy dataset in a process of its own, which gets SIGKILL at a random
moment. Whatever is there then must load. The command is given again, resumed where it can
be, and so on until it ends; its results must equal those of a command that was never killed,
and no temporary files may be left.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from mentor_pyg._util.locks import GRACE
from mentor_pyg._util.temporary import TEMPORARY
from mentor_pyg.cli.main import main as mentor_pyg
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.files import BEST, LAST, METRICS, read_last, read_metrics
from mentor_pyg.runs.run import load_run

TIMES = ("seconds", "seconds_per_epoch", "peak_memory_mb", "files", "folder")
"""Parts of results that no two runs share."""


@dataclass(frozen=True)
class Scenario:
    """A command to kill.

    Attributes:
        command: Its arguments, given the folder it writes to, as it is now.
        check: Fails if what is in the folder is damaged.
        results: What two runs must agree in.
    """

    command: Callable[[Path], list[str]]
    check: Callable[[Path], object]
    results: Callable[[Path], Any]


def run(command: list[str], output: Path) -> None:
    """A command in a process of its own; its output goes to a file."""
    os.setsid()
    torch.set_num_threads(1)
    with open(output, "w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
        code = mentor_pyg(command)
        sys.stdout.flush()
    os._exit(code)


def call(command: list[str]) -> Any:
    """What a command prints as JSON."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert mentor_pyg([*command, "--json", "--quiet"]) == 0, command
    return json.loads(printed.getvalue())


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMES}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def write_inputs(folder: Path) -> None:
    """Raw files, a dataset, a plan, and a trained run."""
    rng = np.random.default_rng(0)
    lines, log = ["userID\titemID\tx_label"], ["user,item"]
    for user in range(60):
        for n, item in enumerate(rng.permutation(40)[:8]):
            lines.append(f"{user}\t{item}\t{max(0, n - 5)}")
            log.append(f"u{user},i{item}")
    (folder / "toy").mkdir()
    (folder / "toy" / "toy.inter").write_text("\n".join(lines) + "\n")
    np.save(folder / "toy" / "image_feat.npy", rng.standard_normal((40, 16), dtype=np.float32))
    (folder / "log.csv").write_text("\n".join(log) + "\n")
    np.save(folder / "wide.npy", rng.standard_normal((40, 20_000), dtype=np.float32))
    (folder / "ids.txt").write_text("".join(f"i{i}\n" for i in range(40)))
    (folder / "plan.yaml").write_text(
        yaml.safe_dump(
            {
                "datasets": {"toy": str(folder / "toy")},
                "models": ["LightGCN", "MFBPR"],
                "seeds": [0, 1],
                "set": ["train.epochs=4", "train.eval_every=1", "train.batch_size=64"],
            }
        )
    )
    train = ["train", "--data", str(folder / "toy"), "--preset", "lightgcn", "--epochs", "2"]
    call([*train, "--out", str(folder / "trained")])


def check_runs(folder: Path) -> None:
    """Every run below a folder can be resumed and used."""
    for path in [folder, *folder.rglob("*")]:
        if (path / LAST).is_file():
            read_last(path)
        if (path / BEST).is_file():
            load_run(path)
        if (path / METRICS).is_file():
            read_metrics(path)


def check_dataset(folder: Path) -> None:
    """A dataset is whole, or there is none: for a moment while an old one is replaced."""
    with contextlib.suppress(FileNotFoundError):
        open_source(folder)


def check_export(folder: Path) -> None:
    for path in folder.glob("*.npy"):
        np.load(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make_scenarios(inputs: Path) -> dict[str, Scenario]:
    """The commands, by name."""

    def train(out: Path) -> list[str]:
        if (out / LAST).exists():
            return ["train", "--resume", str(out)]
        command = ["train", "--data", str(inputs / "toy"), "--preset", "lightgcn", "--force"]
        settings = ["train.eval_every=1", "train.batch_size=8", "train.patience=99"]
        changes = [word for setting in settings for word in ("--set", setting)]
        return [*command, "--epochs", "12", *changes, "--out", str(out)]

    def prepare(out: Path) -> list[str]:
        command = ["prepare", str(inputs / "log.csv"), "--name", "toy", "--k-core", "0"]
        command += ["--user-column", "user", "--item-column", "item", "--force"]
        features = ["--features", f"image={inputs / 'wide.npy'}"]
        return [*command, *features, "--feature-ids", str(inputs / "ids.txt"), "--out", str(out)]

    def tune(out: Path) -> list[str]:
        command = ["tune", "--data", str(inputs / "toy"), "--preset", "lightgcn"]
        return [*command, "--trials", "6", "--epochs", "3", "--out", str(out)]

    def compare(out: Path) -> list[str]:
        return ["compare", str(inputs / "plan.yaml"), "--no-tests", "--out", str(out)]

    def export(out: Path) -> list[str]:
        command = ["recommend", str(inputs / "trained"), "--embeddings", str(out)]
        return [*command, "--all-users", "--out", str(out / "lists.csv")]

    def metrics(out: Path) -> Any:
        return without_times(read_metrics(out))

    def tuned(out: Path) -> Any:
        found = without_times(call(tune(out)))
        return {**found, "runs": [run["test"] for run in found["runs"]]}

    def compared(out: Path) -> Any:
        return without_times(json.loads((out / "toy.json").read_text())["models"])

    return {
        "train": Scenario(train, check_runs, metrics),
        "prepare": Scenario(prepare, check_dataset, contents),
        "tune": Scenario(tune, check_runs, tuned),
        "compare": Scenario(compare, check_runs, compared),
        "export": Scenario(export, check_export, contents),
    }


def kill(name: str, scenario: Scenario, kills: int, rng: random.Random, folder: Path) -> None:
    """Kills a command until it was killed often enough, and finished after that.

    Raises:
        AssertionError: If something is damaged, left, or differs.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mentor_pyg.cli.main", "mentor_pyg.cli.train"])
    whole, out, log = folder / "whole", folder / "out", folder / f"{name}.txt"
    for path in (whole, out):
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(exist_ok=True)

    def start(target: Path) -> Any:
        process = context.Process(target=run, args=(scenario.command(target), log))
        process.start()
        return process

    for _ in range(2):  # the first one imports and fills the cache
        shutil.rmtree(whole, ignore_errors=True)
        began = time.monotonic()
        process = start(whole)
        process.join()
        assert process.exitcode == 0, log.read_text()
    duration, expected = time.monotonic() - began, scenario.results(whole)
    killed = finished = 0
    is_whole = False
    while killed < kills or not is_whole:
        process = start(out)
        if killed < kills:
            process.join(1.1 * duration * rng.random())
            process.kill()
        process.join()
        is_whole = process.exitcode != -signal.SIGKILL
        if not is_whole:
            killed += 1
            wait_for_children(out)
            scenario.check(out)
            continue
        assert process.exitcode == 0, log.read_text()
        assert scenario.results(out) == expected, f"{name}: differs after kills"
        left = [path for path in folder.rglob("*") if path.name.endswith(TEMPORARY)]
        assert not left, left
        finished += 1
        if name != "prepare":  # where the next one replaces it
            shutil.rmtree(out)
    print(f"{name}: {killed} kills, {finished} times to the end, all equal", flush=True)


def wait_for_children(out: Path) -> None:
    """Runs of a comparison that was killed save their state and end within GRACE."""
    deadline = time.monotonic() + 2 * GRACE
    locks = [path for path in out.rglob(".lock-owner") if path.parent != out]
    while any(is_alive(path) for path in locks) and time.monotonic() < deadline:
        time.sleep(0.05)


def is_alive(owner: Path) -> bool:
    """Whether the process that a lock's file names still runs."""
    try:
        os.kill(int(owner.read_text().split()[1]), 0)
    except (OSError, ValueError, IndexError):
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ("train", "prepare", "tune", "compare", "export")
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help=", ".join(names))
    parser.add_argument("--kills", type=int, default=20, help="of each command (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    args = parser.parse_args()
    if unknown := set(args.commands) - set(names):
        parser.error(f"{', '.join(unknown)}: expected {', '.join(names)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["MENTOR_PYG_CACHE"] = str(folder / "cache")
        write_inputs(folder)
        scenarios = make_scenarios(folder)
        for name in args.commands or names:
            kill(name, scenarios[name], args.kills, random.Random(args.seed), folder / name)


if __name__ == "__main__":
    main()
