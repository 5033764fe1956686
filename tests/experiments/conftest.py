"""A plan of two models, and its runs."""

import pytest
import yaml

QUICK = ["train.epochs=2", "train.lr=1e-2", "train.batch_size=128"]


@pytest.fixture
def write_plan(tmp_path, toy_folder):
    def write(**content):
        plan = {
            "datasets": {"toy": str(toy_folder)},
            "seeds": [0, 1],
            "set": QUICK,
            "models": [
                "LightGCN",
                {"name": "flat", "preset": "lightgcn", "set": ["options.num_layers=1"]},
            ],
        }
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan | content))
        return path

    return write
