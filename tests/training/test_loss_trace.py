"""Losses of a few epochs against recorded ones, so that no change for speed's sake
changes what is computed. Nothing random is left in the losses, only in the sampler.

After a change that is meant to change them: python tests/test_loss_trace.py
"""

import json
from pathlib import Path

import pytest
import torch

from mentor_pyg import fit
from mentor_pyg._util.files import write_text
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.runs.build import build_model, prepare_graphs
from mentor_pyg.runs.config import load_config

PATH = Path(__file__).parent.parent / "assets" / "loss_trace.json"
CHANGES = ["train.lr=0.01", "train.batch_size=128", "train.epochs=4", "graph.k=5"]
CHANGES += ["options.noise_eps=0.0", "options.mask_dropout=0.0", "options.contrast_weight=0.1"]
RUNS = {
    "paper": CHANGES,
    "released": CHANGES,
    "lightgcn": CHANGES[:3],
}


def trace(preset: str) -> list[dict[str, float]]:
    config = load_config(preset, RUNS[preset])
    data = prepare_graphs(config, SyntheticDataset.tiny()[0], torch.device("cpu"))
    result = fit(build_model(config, data), data, config.train, progress=False)
    return [{k: v for k, v in row.items() if k != "seconds"} for row in result.history]


@pytest.mark.parametrize("preset", RUNS)
def test_losses_are_those_recorded(preset):
    for row, expected in zip(trace(preset), json.loads(PATH.read_text())[preset], strict=True):
        losses = {k: v for k, v in expected.items() if "@" not in k}
        assert {k: row[k] for k in losses} == pytest.approx(losses, rel=1e-4)
        # A tie may fall either way on another processor:
        assert row.get("recall@20") == pytest.approx(expected.get("recall@20"), abs=0.03)


if __name__ == "__main__":
    write_text(PATH, json.dumps({preset: trace(preset) for preset in RUNS}, indent=1) + "\n")
