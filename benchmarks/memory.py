"""Peak memory of one task in a fresh process, beyond what it starts from.

python benchmarks/memory.py step ours        # a training step of preset released
python benchmarks/memory.py info_nce dense --rows 19445

Prints one number, in GB. Features, graphs and parameters are there before the count
starts; gradients, the optimiser's state and everything in between are counted.
"""

import argparse

import torch
from machine import memory_gb, peak_memory_gb, reset_peak_memory
from reference import ReleasedStep, dense_info_nce

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.nn import info_nce
from mentor_pyg.runs.build import build_model, prepare_graphs
from mentor_pyg.runs.config import load_config
from mentor_pyg.training.sampler import BPRSampler


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=["step", "info_nce"])
    parser.add_argument("way", choices=["ours", "dense"])
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--rows", type=int, default=19445, help="of InfoNCE")
    args = parser.parse_args()
    task = step(args) if args.task == "step" else contrast(args)
    small = torch.randn(64, 64, requires_grad=True)
    (small @ small).sum().backward()  # what the first product of all brings along
    before = memory_gb()
    reset_peak_memory()
    task()
    print(round(peak_memory_gb() - before, 3))


def step(args: argparse.Namespace):
    config = load_config("released", precision=args.precision)
    data = prepare_graphs(config, SyntheticDataset()[0], torch.device("cpu"))
    model = build_model(config, data).train()
    dense = ReleasedStep(model, data)
    batch = next(iter(BPRSampler(data, config.train.batch_size)))
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16")
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def run() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            with autocast:
                ours = args.way == "ours"
                losses = model.losses(data, batch) if ours else dense.losses(batch)
            torch.stack(list(losses.values())).sum().backward()
            optimizer.step()

    return run


def contrast(args: argparse.Namespace):
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[args.precision]
    views = [torch.randn(args.rows, 128).to(dtype).requires_grad_() for _ in range(2)]
    function = info_nce if args.way == "ours" else dense_info_nce
    return lambda: function(*views, 0.2).backward()


if __name__ == "__main__":
    main()
