"""Runs a plan in processes of their own, and goes on where it stopped."""

import logging
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.locks import end_with_parent, sole_writer
from mentor_pyg._util.programs import run_program, start_log
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.datasets.source import open_source
from mentor_pyg.errors import InputError
from mentor_pyg.experiments.comparison import Comparison, collect
from mentor_pyg.experiments.folders import (
    check_folders,
    model_folder,
    planned_config,
    run_folder,
    search_folder,
)
from mentor_pyg.experiments.plan import Plan, Variant
from mentor_pyg.options import checked
from mentor_pyg.runs.files import LAST, METRICS, read_last
from mentor_pyg.runs.run import run_summary, train
from mentor_pyg.tuning.run import search_summary, tune

LOG = "log.txt"

Step: TypeAlias = Callable[[], object]

logger = logging.getLogger("mentor_pyg")


class Run(NamedTuple):
    """What trains a model under a seed, and the file that is there once that is finished."""

    step: Step
    done: Path


@dataclass(frozen=True)
class Job:
    """What has to be done in order, for one model on one dataset.

    Attributes:
        folder: Where its log goes.
        runs: Its runs.
        search: The search before them, if there is one. It goes on where it stopped, and
            makes sure that it is still the same search.
    """

    folder: Path
    runs: tuple[Run, ...]
    search: Step | None = None

    @property
    def open_steps(self) -> list[Step]:
        """What isn't finished yet."""
        steps = [run.step for run in self.runs if not run.done.exists()]
        return [self.search, *steps] if self.search and steps else steps


def jobs_of(plan: Plan, out: Path) -> list[Job]:
    """What there is to do, seed by seed, so that every model has results early."""

    def run(dataset: str, variant: Variant, seed: int) -> Run:
        step = partial(_train, plan, out, dataset, variant, seed)
        return Run(step, run_folder(out, dataset, variant, seed) / METRICS)

    pairs = [(dataset, variant) for dataset in plan.datasets for variant in plan.variants]
    if not plan.trials:
        return [
            Job(run_folder(out, *pair, seed), (run(*pair, seed),))
            for seed in plan.seeds
            for pair in pairs
        ]
    return [
        Job(
            model_folder(out, *pair),
            tuple(run(*pair, seed) for seed in plan.seeds),
            partial(_search, plan, out, *pair),
        )
        for pair in pairs
    ]


def _search(plan: Plan, out: Path, dataset: str, variant: Variant) -> None:
    source, folder = open_source(plan.datasets[dataset]), search_folder(out, dataset, variant)
    results = tune(plan.search(variant), source, folder, choose_device("auto"), progress=False)
    print(search_summary(results))


def _train(plan: Plan, out: Path, dataset: str, variant: Variant, seed: int) -> None:
    """A run, or the rest of it; what one left that was killed before its first state is
    replaced."""
    source, folder = open_source(plan.datasets[dataset]), run_folder(out, dataset, variant, seed)
    resume = (folder / LAST).exists()
    config = (
        read_last(folder).config if resume else planned_config(plan, out, dataset, variant, seed)
    )
    device = choose_device("auto")
    print(run_summary(train(config, source, folder, device, False, resume, force=True)))


@checked
def compare(plan: Plan, out: Path, parallel: int = 1, progress: bool = True) -> list[Comparison]:
    """Trains whatever of a plan isn't finished yet, and takes all results together.

    Every run is a process with its share of PyTorch's threads, which ends if this one does,
    and its log is ``log.txt`` in its folder. One process at a time may write to ``out``.
    Results of finished runs stay as they are if they are of the plan's settings and data; to
    run one again, remove its folder. Ctrl-C lets the running ones save their state.

    Args:
        plan: What to run.
        out: Folder of all results.
        parallel: Processes at the same time.
        progress: Whether to show a progress bar.

    Returns:
        The results by dataset, as of :func:`collect`.

    Raises:
        FileNotFoundError: If a dataset isn't there.
        InputError: If something under ``out`` is of other settings or data, or another
            process writes there, before any run; or if a run fails, after the others.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise InputError("compare: this system can't fork processes; expected Linux or macOS")
    with sole_writer(out):
        _run_plan(plan, out, parallel, progress)
        return collect(plan, out)


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
    context.set_forkserver_preload([__name__])
    _start_forkserver()
    num_threads = max(1, torch.get_num_threads() // parallel)  # as OMP_NUM_THREADS says

    waiting = deque(jobs)
    running: dict[Any, tuple[Any, Job, Iterator[Step]]] = {}

    def start_next(job: Job, steps: Iterator[Step]) -> bool:
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


def _work(step: Step, log: Path, num_threads: int) -> None:
    """A step in a process of its own, logged to a file."""
    os.setsid()  # Ctrl-C is passed on once, by _interrupt
    end_with_parent()
    with open(log, "a", encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    torch.set_num_threads(num_threads)
    start_log(logging.WARNING)
    sys.exit(run_program(step))
