"""Runs a plan in processes of their own, and goes on where it stopped."""

import logging
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import torch

from mentor_pyg.errors import InputError
from mentor_pyg.experiments.plan import Entry, Plan
from mentor_pyg.progress import progress_bar
from mentor_pyg.run import LAST

COMMANDS = ("mentor_pyg.commands.train", "mentor_pyg.commands.tune")

logger = logging.getLogger("mentor_pyg")


class Step(NamedTuple):
    """A command and the file that is there once it is finished."""

    command: tuple[str, ...]
    done: Path


@dataclass(frozen=True)
class Job:
    """What has to be done in order, for one model on one dataset.

    Attributes:
        folder: Where its log goes.
        steps: A search if there is one, then runs.
    """

    folder: Path
    steps: tuple[Step, ...]

    @property
    def open_steps(self) -> list[Step]:
        """Those not finished yet."""
        return [step for step in self.steps if not step.done.exists()]


def model_folder(out: Path, dataset: str, entry: Entry) -> Path:
    """Where everything about a model on a dataset lies."""
    return out / dataset / entry.slug


def run_folder(out: Path, dataset: str, entry: Entry, seed: int) -> Path:
    """Where the run of a model under a seed lies."""
    return model_folder(out, dataset, entry) / f"seed-{seed}"


def jobs_of(plan: Plan, out: Path) -> list[Job]:
    """What there is to do, seed by seed, so that every model has results early."""
    pairs = [(name, entry) for name in plan.datasets for entry in plan.entries]
    if not plan.trials:
        return [
            Job(run_folder(out, name, entry, seed), (_train(plan, out, name, entry, seed),))
            for seed in plan.seeds
            for name, entry in pairs
        ]
    return [
        Job(
            model_folder(out, name, entry),
            (
                _search(plan, out, name, entry),
                *(_train(plan, out, name, entry, seed) for seed in plan.seeds),
            ),
        )
        for name, entry in pairs
    ]


def _search(plan: Plan, out: Path, dataset: str, entry: Entry) -> Step:
    folder = model_folder(out, dataset, entry) / "search"
    command = ["tune", "--data", plan.datasets[dataset], "--preset", entry.preset]
    command += ["--space", entry.space or entry.preset, "--trials", str(plan.trials)]
    command += ["--sampler", "random", "--seeds", str(plan.seeds[0]), "--search-only"]
    command += ["--out", str(folder), "--quiet", *_changes(entry)]
    return Step(tuple(command), folder / "best.yaml")


def _train(plan: Plan, out: Path, dataset: str, entry: Entry, seed: int) -> Step:
    folder = run_folder(out, dataset, entry, seed)
    command = ["train", "--data", plan.datasets[dataset], "--seed", str(seed)]
    command += ["--out", str(folder), "--quiet"]
    if plan.trials:
        command += ["--preset", str(model_folder(out, dataset, entry) / "search" / "best.yaml")]
    else:
        command += ["--preset", entry.preset, *_changes(entry)]
    if (folder / LAST).exists():
        command = ["train", "--resume", str(folder), "--quiet"]
    return Step(tuple(command), folder / "metrics.json")


def _changes(entry: Entry) -> list[str]:
    return [word for change in entry.changes for word in ("--set", change)]


def run_plan(plan: Plan, out: Path, parallel: int = 1, progress: bool = True) -> None:
    """Runs whatever of a plan isn't finished yet.

    Every run is a process with its share of the cores, and its log is ``log.txt`` in its
    folder. Results of finished runs stay as they are; to run one again, remove its
    folder. Ctrl-C lets the running ones save their state.

    Args:
        plan: What to run.
        out: Folder of all results.
        parallel: Processes at the same time.
        progress: Whether to show a progress bar.

    Raises:
        InputError: If a run fails; the others are finished first.
    """
    jobs = jobs_of(plan, out)
    open_jobs = [job for job in jobs if job.open_steps]
    logger.info(f"{len(jobs) - len(open_jobs)} of {len(jobs)} jobs are done")
    finished = _run_all(open_jobs, parallel)
    failed = []
    for job, code in progress_bar(finished, "runs", progress, total=len(open_jobs)):
        if code != 0:
            failed.append(job.folder)
            logger.warning(f"failed, see {job.folder / 'log.txt'}")
    if failed:
        raise InputError(
            f"{failed[0] / 'log.txt'}: tells of a failure ({len(failed)} runs in all); "
            "expected every run to finish"
        )


def _run_all(jobs: Sequence[Job], parallel: int) -> Iterator[tuple[Job, int]]:
    """Runs jobs as processes, and yields each with its exit code as it ends.

    The processes are forked from a server that has imported everything once. They are
    started and waited for in one thread: :mod:`multiprocessing` loses exit codes when
    two threads ask for them.
    """
    server = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if server else "spawn")
    context.set_forkserver_preload(["mentor_pyg.cli", *COMMANDS])
    num_threads = max(1, (os.cpu_count() or 1) // parallel)

    waiting = deque(jobs)
    running: dict[Any, tuple[Any, Job, Iterator[Step]]] = {}

    def start_next(job: Job, steps: Iterator[Step]) -> bool:
        step = next(steps, None)
        if step is None:
            return False
        job.folder.mkdir(parents=True, exist_ok=True)
        arguments = (step.command, job.folder / "log.txt", num_threads)
        process = context.Process(target=_work, args=arguments)
        process.start()
        running[process.sentinel] = process, job, steps
        return True

    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                job = waiting.popleft()
                start_next(job, iter(job.open_steps))
            for sentinel in wait(list(running)):
                process, job, steps = running.pop(sentinel)
                process.join()
                if process.exitcode != 0 or not start_next(job, steps):
                    yield job, process.exitcode
    finally:  # something is running only if we were interrupted
        _interrupt([process for process, *_ in running.values()])


def _interrupt(processes: Sequence[Any]) -> None:
    """Lets runs save their state and end."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _work(command: Sequence[str], log: Path, num_threads: int) -> None:
    """A command of ``mentor-pyg`` as a process of its own, logged to a file."""
    from mentor_pyg.cli import main  # which imports this module in turn

    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is passed on once, by _interrupt
    with open(log, "a", encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    torch.set_num_threads(num_threads)
    sys.exit(main(command))
