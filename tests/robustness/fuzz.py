"""Feeds damaged files to every reader of the package, for as long as one likes.

    python tests/robustness/fuzz.py --reader inter --inputs 10000 --seed 0
    python tests/robustness/fuzz.py --reader all --inputs 100000

Reported is every input after which a reader raises anything but an InputError or a
FileNotFoundError, gives a warning, takes more than 5 s of processor time, needs more memory than
ten times its files plus 500 MB, or ends the process. Such inputs are saved, and the exit code
is 1. Input n of a reader depends on the seed alone. Linux and macOS; each reader runs in a process
of its own. Mutations are made here, not by atheris: it needs Clang and has no wheels for all
versions of Python, and most of what is read here is parsed by extensions, whose coverage it
wouldn't see.
"""

import argparse
import json
import logging
import mmap
import os
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from traceback import extract_tb
from types import FrameType

sys.path.insert(0, str(Path(__file__).parent))

from mutations import damage
from readers import READERS, Files

from mentor_pyg._util.files import write_text
from mentor_pyg.errors import InputError

SECONDS, WALL_SECONDS = 5.0, 120.0
BYTES_PER_BYTE, BYTES = 10, 500_000_000
MAX_MESSAGE = 3000
"""Characters of a message, which a terminal should hold."""

BAD_CORPUS = 3
"""Exit code of a process whose reader refuses files without any damage."""


class Slow(BaseException):
    """Out of time; no ``except Exception`` holds it back."""


@dataclass(frozen=True)
class Finding:
    """What a reader did to one input that it shouldn't."""

    reader: str
    number: int
    what: str
    where: str = ""


def make_input(name: str, number: int, seed: int) -> Files:
    """The files of an input: a folder of the corpus in which one or two are damaged."""
    reader, rng = READERS[name], Random(f"{seed}/{name}/{number}")
    folders = reader.corpus()
    files = dict(rng.choice(folders))
    damaged = [file for file in files if file not in reader.fixed]
    for file in rng.sample(damaged, k=min(len(damaged), rng.choice((1, 1, 1, 2)))):
        others = [folder[file] for folder in folders if file in folder]
        files[file] = damage(files[file], file, others, rng)
    return files


def check(name: str, number: int, files: Files) -> tuple[bool, Finding | None]:
    """Whether a reader accepts these files, and what is wrong with what it did."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "in")
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        os.environ["MENTOR_PYG_CACHE"] = f"{root}/cache"
        start = time.process_time()
        try:
            with warnings.catch_warnings(), _limited():
                warnings.simplefilter("error")
                warnings.filterwarnings("ignore", "Sparse (CSR|invariant)")  # as commands do
                READERS[name].read(folder)
            is_accepted, what, where = True, "", ""
        except (InputError, FileNotFoundError) as error:
            is_accepted, what, where = False, "", f"{_place(error)}: {str(error)[:200]}"
            if len(str(error)) > MAX_MESSAGE:
                what = f"a message of {len(str(error))} characters: {str(error)[:300]!r}"
        except Slow:
            is_accepted, what, where = False, "too slow", ""
        except Exception as error:
            is_accepted, where = False, _place(error)
            what = f"{type(error).__name__}: {str(error)[:300]!r}"
        seconds = time.process_time() - start
    if not what and seconds > SECONDS:
        what = f"took {seconds:.1f} s"
    return is_accepted, Finding(name, number, what, where) if what else None


def _place(error: BaseException) -> str:
    """The last line of the package that an exception came through."""
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if "mentor_pyg" in frame.filename] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}"


@contextmanager
def _limited() -> Iterator[None]:
    def stop(signum: int, frame: FrameType | None) -> None:
        raise Slow

    timers = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    before = {number: signal.signal(number, stop) for number in timers}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)  # of waiting for something, for good
    try:
        yield
    finally:
        for number, timer in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def _peak() -> int:
    """The most memory that this process has had, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def fuzz(name: str, first: int, last: int, seed: int) -> tuple[Counter[str], list[Finding]]:
    """Runs inputs first, ..., last - 1 of a reader, in processes that may die."""
    counts, findings = Counter[str](), []
    READERS[name].corpus()
    shared = mmap.mmap(-1, 8)
    while first < last:
        shared[:8] = struct.pack("q", first)
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            try:
                _work(name, first, last, seed, shared, write_end)
            finally:
                os._exit(1)
        os.close(write_end)
        with open(read_end) as file:
            results = [json.loads(line) for line in file if line.endswith("\n")]
        _, status = os.waitpid(child, 0)
        for result in results:
            counts["accepted" if result["accepted"] else "refused"] += 1
            findings += [Finding(**result["finding"])] if result["finding"] else []
        first = struct.unpack("q", shared[:8])[0]
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == BAD_CORPUS:
            sys.exit(f"{name}: doesn't accept its own corpus")
        if status:
            ended = f"the process ended with status {status}"
            counts["refused"] += 1
            findings.append(Finding(name, first, ended))
            first += 1
    return counts, findings


def _work(name: str, first: int, last: int, seed: int, shared: mmap.mmap, out: int) -> None:
    """In a child: runs inputs until the end, or until one has taken too much memory."""
    for files in READERS[name].corpus():
        accepted, finding = check(name, -1, files)
        if not accepted or finding:
            print(f"{sorted(files)}: {finding}", file=sys.stderr, flush=True)
            os._exit(BAD_CORPUS)
    address_space = resource.getrlimit(resource.RLIMIT_AS)[1]
    if sys.platform == "linux":  # so that a bomb can't take all memory there is
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 8 * BYTES, address_space))
    level, is_small = _peak(), True
    with open(out, "w", buffering=1) as file:
        while first < last and is_small:
            # What never returns to Python is ended by the system:
            limit = int(time.process_time() + 6 * SECONDS)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
            files = make_input(name, first, seed)
            accepted, finding = check(name, first, files)
            grown = _peak() - level
            if grown > BYTES + BYTES_PER_BYTE * sum(map(len, files.values())):
                is_small = False
                finding = finding or Finding(name, first, f"took {grown / 1e6:.0f} MB")
            result = {"accepted": accepted, "finding": asdict(finding) if finding else None}
            file.write(json.dumps(result) + "\n")
            first += 1
            shared[:8] = struct.pack("q", first)
    os._exit(0)


def shares(names: list[str], inputs: int) -> dict[str, int]:
    """How many of the inputs each reader gets."""
    total = sum(READERS[name].share for name in names)
    return {name: -int(-inputs * READERS[name].share // total) for name in names}


def save(finding: Finding, seed: int, out: Path) -> Path:
    """Writes an input to a folder of its own."""
    folder = out / f"{finding.reader}-{seed}-{finding.number}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, content in make_input(finding.reader, finding.number, seed).items():
        (folder / file).write_bytes(content)
    write_text(folder / "FINDING.txt", f"{finding.what}\n{finding.where}\n")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--reader", default="all", help=f"all, or some of {','.join(READERS)}")
    parser.add_argument("--inputs", type=int, default=10_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="for bad inputs")
    args = parser.parse_args()
    names = list(READERS) if args.reader == "all" else args.reader.split(",")
    logging.disable()
    bad = 0
    for name, inputs in shares(names, args.inputs).items():
        start = time.monotonic()
        counts, findings = fuzz(name, 0, inputs, args.seed)
        bad += len(findings)
        print(
            f"{name:<20} {inputs:>7} inputs  {counts['accepted']:>6} accepted "
            f"{counts['refused']:>7} refused {len(findings):>5} bad "
            f"{time.monotonic() - start:>7.0f} s",
            flush=True,
        )
        seen: Counter[str] = Counter()
        for finding in findings:
            kind = re.sub(r"\d+", "N", finding.what.partition(":")[0])
            seen[kind := f"{kind} ({finding.where.partition(': ')[0]})"] += 1
            if seen[kind] <= 2:
                folder = save(finding, args.seed, args.out)
                print(f"  {finding.what[:200]!r} ({finding.where[:100]}): {folder}", flush=True)
        for kind, count in seen.items():
            print(f"  {count} x {kind}", flush=True)
    print(f"{bad} bad inputs")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
