"""Runs a plan in processes of their own, and goes on where it stopped."""

import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from mentor_pyg._util.locks import end_with_parent, sole_writer
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.errors import InputError
from mentor_pyg.experiments.folders import (
    best_preset,
    check_folders,
    model_folder,
    run_folder,
    search_folder,
)
from mentor_pyg.experiments.plan import Plan, Variant
from mentor_pyg.options import checked
from mentor_pyg.runs.files import LAST, METRICS

COMMANDS = ("mentor_pyg.cli.train", "mentor_pyg.cli.tune")

LOG = "log.txt"

Command: TypeAlias = tuple[str, ...]

logger = logging.getLogger("mentor_pyg")


class Run(NamedTuple):
    """A command and the file that is there once it is finished."""

    command: Command
    done: Path


@dataclass(frozen=True)
class Job:
    """What has to be done in order, for one model on one dataset.

    Attributes:
        folder: Where its log goes.
        runs: Its runs.
        search: Command of the search before them, if there is one. It goes on where it
            stopped, and makes sure that it is still the same search.
    """

    folder: Path
    runs: tuple[Run, ...]
    search: Command | None = None

    @property
    def open_steps(self) -> list[Command]:
        """Commands for what isn't finished yet."""
        steps = [run.command for run in self.runs if not run.done.exists()]
        return [self.search, *steps] if self.search and steps else steps


def jobs_of(plan: Plan, out: Path) -> list[Job]:
    """What there is to do, seed by seed, so that every model has results early."""
    pairs = [(name, variant) for name in plan.datasets for variant in plan.variants]
    if not plan.trials:
        return [
            Job(run_folder(out, name, variant, seed), (_train(plan, out, name, variant, seed),))
            for seed in plan.seeds
            for name, variant in pairs
        ]
    return [
        Job(
            model_folder(out, name, variant),
            tuple(_train(plan, out, name, variant, seed) for seed in plan.seeds),
            _search(plan, out, name, variant),
        )
        for name, variant in pairs
    ]


def _search(plan: Plan, out: Path, dataset: str, variant: Variant) -> Command:
    command = ["tune", "--data", plan.datasets[dataset], "--preset", variant.preset]
    command += ["--trials", str(plan.trials), "--sampler", "random"]
    command += ["--seeds", str(plan.seeds[0]), "--search-only"]
    if variant.space is not None:
        command += ["--space", variant.space]
    command += ["--out", str(search_folder(out, dataset, variant)), "--quiet"]
    return (*command, *_changes(variant))


def _train(plan: Plan, out: Path, dataset: str, variant: Variant, seed: int) -> Run:
    """A run; ``--force`` replaces what one left that was killed before its first state."""
    folder = run_folder(out, dataset, variant, seed)
    command = ["train", "--data", plan.datasets[dataset], "--quiet"]
    new = ["--out", str(folder), "--seed", str(seed), "--force"]
    if (folder / LAST).exists():
        command += ["--resume", str(folder)]
    elif plan.trials:
        preset = str(best_preset(out, dataset, variant))
        command += [*new, "--preset", preset]
    else:
        command += [*new, "--preset", variant.preset]
        command += _changes(variant)
    return Run(tuple(command), folder / METRICS)


def _changes(variant: Variant) -> list[str]:
    return [word for change in variant.changes for word in ("--set", change)]


@checked
def run_plan(plan: Plan, out: Path, parallel: int = 1, progress: bool = True) -> None:
    """Runs whatever of a plan isn't finished yet.

    Every run is a process with its share of PyTorch's threads, which ends if this one does,
    and its log is ``log.txt`` in its folder. One process at a time may write to ``out``.
    Results of finished runs stay as they are if they are of the plan's settings and data; to
    run one again, remove its folder. Ctrl-C lets the running ones save their state.

    Args:
        plan: What to run.
        out: Folder of all results.
        parallel: Processes at the same time.
        progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: If a dataset isn't there.
        InputError: If something under ``out`` is of other settings or data, or another
            process writes there, before any run; or if a run fails, after the others.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise InputError("compare: this system can't fork processes; expected Linux or macOS")
    with sole_writer(out):
        _run_plan(plan, out, parallel, progress)


def _run_plan(plan: Plan, out: Path, parallel: int, progress: bool) -> None:
    check_folders(plan, out)
    jobs = jobs_of(plan, out)
    open_jobs = [job for job in jobs if job.open_steps]
    logger.info(f"{len(jobs) - len(open_jobs)} of {len(jobs)} jobs are done")
    finished = _run_all(open_jobs, parallel)
    failed = []
    for job, code in progress_bar(finished, "runs", progress, total=len(open_jobs)):
        if code != 0:
            failed.append(job.folder)
            logger.warning(f"failed, see {job.folder / LOG}")
    if failed:
        log = failed[0] / LOG
        raise InputError(
            f"{log}: tells of a failure ({len(failed)} in all): {_last_line(log)}; "
            "expected every run to finish"
        )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "nothing")


def _run_all(jobs: Sequence[Job], parallel: int) -> Iterator[tuple[Job, int]]:
    """Runs jobs as processes, and yields each with its exit code as it ends.

    The processes are forked from a server that has imported everything once. They are
    started and waited for in one thread: :mod:`multiprocessing` loses exit codes when
    two threads ask for them.
    """
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mentor_pyg.cli.main", *COMMANDS])
    _start_forkserver()
    num_threads = max(1, torch.get_num_threads() // parallel)  # as OMP_NUM_THREADS says

    waiting = deque(jobs)
    running: dict[Any, tuple[Any, Job, Iterator[Command]]] = {}

    def start_next(job: Job, steps: Iterator[Command]) -> bool:
        step = next(steps, None)
        if step is None:
            return False
        job.folder.mkdir(parents=True, exist_ok=True)
        arguments = (step, job.folder / LOG, num_threads)
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


def _start_forkserver() -> None:
    """Starts it where Ctrl-C doesn't reach it, which would end its imports in a traceback."""
    from multiprocessing import forkserver  # which Windows lacks

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _interrupt(processes: Sequence[Any]) -> None:
    """Lets runs save their state and end."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _work(command: Sequence[str], log: Path, num_threads: int) -> None:
    """A command of ``mentor-pyg`` as a process of its own, logged to a file."""
    from mentor_pyg.cli.main import main  # which imports this module in turn

    os.setsid()  # Ctrl-C is passed on once, by _interrupt
    end_with_parent()
    with open(log, "a", encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    torch.set_num_threads(num_threads)
    sys.exit(main(command))
