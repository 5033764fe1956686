"""Trains MENTOR with preset ``paper`` for an epoch on a million users, 200,000 items and
20 million pairs, and evaluates 10,000 users.

python benchmarks/million.py --out benchmarks/results/million.json

Every step propagates over the whole graph. Neighbour sampling would gather two hops of
each user and item of a batch, which for a batch of any use is most of the graph, and
without the products over sorted rows that make a hop quick; so fewer and larger steps
are the quicker way. The contrast is limited to some thousand rows of a batch, since it
grows with their square.
"""

import argparse
import copy
import json
import time

import torch
from machine import describe, peak_memory_gb

from mentor_pyg._util.files import write_text
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.evaluation.metrics import Evaluator, encode
from mentor_pyg.runs.build import build_model, prepare_graphs
from mentor_pyg.runs.config import load_config
from mentor_pyg.training.trainer import Trainer
from mentor_pyg.typing import INTERACTS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--pairs", type=int, default=20_000_000)
    parser.add_argument("--channels", type=int, default=64, help="width of both modalities")
    parser.add_argument("--batch-size", type=int, default=2**20)
    parser.add_argument("--contrast-limit", type=int, default=2**14)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--evaluated", type=int, default=10_000, help="users to evaluate")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--out", default="benchmarks/results/million.json")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    changes = [f"options.contrast_limit={args.contrast_limit}", "graph.backend=torch"]
    config = load_config(
        "paper", changes, batch_size=args.batch_size, precision=args.precision, lr=args.lr
    )
    seconds: dict[str, float] = {}
    clock = Clock(seconds)

    with clock("data"):
        channels = {"visual": args.channels, "textual": args.channels}
        dataset = SyntheticDataset(args.users, args.items, args.pairs, channels, num_topics=2000)
    with clock("graphs"):
        data = prepare_graphs(config, dataset[0], torch.device("cpu"))
    with clock("model"):
        model = build_model(config, data)
        trainer = Trainer(model, data, config.train)
        evaluator = Evaluator(few_users(data, args.evaluated), "test")
    before = evaluator(*encode(model, data))
    with clock("epoch"):
        losses = trainer.train_epoch()
    with clock("encode"):
        embeddings = encode(model, data)
    with clock("evaluate"):
        after = evaluator(*embeddings)

    result = {
        "arguments": vars(args),
        "machine": describe(),
        "steps": len(trainer.sampler),
        "seconds": seconds,
        "peak_memory_gb": round(peak_memory_gb(), 2),
        "losses": losses,
        "recall@20": {"untrained": before["recall@20"], "one epoch": after["recall@20"]},
    }
    text = json.dumps(result, indent=2) + "\n"
    write_text(args.out, text)
    print(text)


class Clock:
    """``with clock("name"):`` writes down how long the block takes."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds

    def __call__(self, name: str) -> "Clock":
        self.name = name
        return self

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_) -> None:
        self.seconds[self.name] = round(time.perf_counter() - self.start, 2)
        print(f"{self.name}: {self.seconds[self.name]} s", flush=True)


def few_users(data, count: int):
    """``data`` with the test pairs of some users alone."""
    few = copy.copy(data)
    pairs = data[INTERACTS].test_edge_label_index
    users = pairs[0].unique()
    chosen = users[torch.randperm(len(users))[:count]]
    few[INTERACTS].test_edge_label_index = pairs[:, torch.isin(pairs[0], chosen)]
    return few


if __name__ == "__main__":
    main()
