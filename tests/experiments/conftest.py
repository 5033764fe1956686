"""A plan of two models, and its runs."""

import pytest
import yaml

QUICK = ["train.epochs=2", "train.lr=1e-2", "train.batch_size=128"]


@pytest.fixture(scope="session")
def two_models():
    """The content of a plan but for its datasets."""
    flat = {"name": "flat", "preset": "lightgcn", "set": ["options.num_layers=1"]}
    return {"seeds": [0, 1], "set": QUICK, "models": ["LightGCN", flat]}


@pytest.fixture
def write_plan(tmp_path, toy_folder, two_models):
    def write(**content):
        plan = {"datasets": {"toy": str(toy_folder)}, **two_models}
        path = tmp_path / "plan.yaml"
        path.write_text(yaml.safe_dump(plan | content))
        return path

    return write
