"""How time and memory grow from a graph of Baby's size to one a hundred times as large.

python benchmarks/scaling.py                       # ten minutes on two cores
python benchmarks/scaling.py --factors 1 2 5 --out /tmp/sweep

Every task runs in a process of its own. Writes scaling.json and scaling.png to --out.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from machine import describe, memory_gb, peak_memory_gb, reset_peak_memory

from mentor_pyg._util.files import atomic_path, write_text
from mentor_pyg.evaluation.metrics import SeenItems, top_k
from mentor_pyg.nn import info_nce
from mentor_pyg.sparse.adjacency import Adjacency
from mentor_pyg.training.sampler import NegativeSampler
from mentor_pyg.transforms import cosine_knn

USERS, ITEMS, PAIRS, CHANNELS = 19445, 7050, 118548, 64
TASKS = {
    "hop, forward and backward": 100,
    "a negative for every pair": 100,
    "top 20 of 10,000 users": 100,
    "InfoNCE of all users, float32": 5,
    "InfoNCE of all users, bfloat16": 5,
    "kNN graph of the items": 5,
}
"""Each with the largest factor: what grows with the square stops earlier."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50, 100])
    parser.add_argument("--out", default=str(Path(__file__).parent / "results"))
    parser.add_argument("--task", choices=list(TASKS), help="measure this one here and now")
    return parser.parse_args()


def make(task: str, factor: int):
    """The inputs of a task, and a function to measure."""
    torch.manual_seed(0)
    users, items = factor * USERS, factor * ITEMS
    if task.startswith("InfoNCE"):
        dtype = torch.bfloat16 if "bfloat16" in task else torch.float32
        views = [torch.randn(users, CHANNELS).to(dtype).requires_grad_() for _ in range(2)]
        return lambda: info_nce(*views, 0.2).backward()
    if task.startswith("kNN"):
        x = torch.randn(items, 384)
        return lambda: cosine_knn(x, 10)
    pairs = torch.stack([torch.randint(n, (factor * PAIRS,)) for n in (users, items)]).unique(dim=1)
    if task.startswith("top"):
        embeddings = torch.randn(users, CHANNELS), torch.randn(items, CHANNELS)
        chosen, seen = torch.randperm(users)[:10_000], SeenItems(pairs, users)
        return lambda: top_k(*embeddings, chosen, 20, seen)
    if task.startswith("a negative"):
        sampler = NegativeSampler(pairs, users, items)
        return lambda: sampler(pairs[0])
    adj = Adjacency.from_edge_index(pairs.flip(0), torch.ones(pairs.size(1)), (items, users))
    user, item = (torch.randn(n, CHANNELS, requires_grad=True) for n in (users, items))
    return lambda: ((adj @ item).sum() + (adj.t() @ user).sum()).backward()


def measure(task: str, factor: int) -> dict[str, float]:
    function = make(task, factor)
    before = memory_gb()
    reset_peak_memory()
    times = []
    while len(times) < 3 and sum(times) < 20:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return {"seconds": min(times), "gb": max(0.0, peak_memory_gb() - before)}


def plot(results: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for axis, key, label in zip(axes, ("seconds", "gb"), ("time [s]", "peak memory added [GB]")):
        for task, points in results["tasks"].items():
            factors = [int(factor) for factor in points]
            axis.plot(factors, [p[key] for p in points.values()], "o-", label=task)
        axis.set(xscale="log", yscale="log", xlabel="times Amazon Baby", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")


def main() -> None:
    args = parse_args()
    if args.task:
        print(json.dumps(measure(args.task, args.factors[0])))
        return
    results: dict = {"machine": describe(), "channels": CHANNELS, "tasks": {}}
    for task, largest in TASKS.items():
        points = results["tasks"][task] = {}
        for factor in (f for f in args.factors if f <= largest):
            command = [sys.executable, "-W", "ignore", __file__, "--task", task]
            command += ["--factors", str(factor)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            points[factor] = json.loads(done.stdout)
            print(f"{task} x{factor}: {points[factor]}", flush=True)
    out = Path(args.out)
    write_text(out / "scaling.json", json.dumps(results, indent=2) + "\n")
    plot(results, out / "scaling.png")


if __name__ == "__main__":
    main()
