"""Sizes, data and machine of the benchmarks."""

import os
import platform
import sys
from pathlib import Path

import pytest
import torch
import torch_geometric

sys.path.insert(0, str(Path(__file__).parent))

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.runs.build import build_model, prepare_graphs
from mentor_pyg.runs.config import RunConfig, load_config
from mentor_pyg.training.sampler import BPRSampler

SIZES = {
    "baby": {"num_users": 19445, "num_items": 7050, "num_pairs": 160792},
    "sports": {"num_users": 35598, "num_items": 18357, "num_pairs": 296337},
}


def pytest_addoption(parser):
    parser.addoption(
        "--quick", action="store_true", help="size Baby alone, one round of what takes long"
    )


def pytest_configure(config):
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("pytest-benchmark isn't installed; expected the extra bench")


def pytest_generate_tests(metafunc):
    if "size" in metafunc.fixturenames:
        sizes = ["baby"] if metafunc.config.getoption("quick") else list(SIZES)
        metafunc.parametrize("size", sizes, scope="session")
    if "device" in metafunc.fixturenames:
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        metafunc.parametrize("device", devices, scope="session")


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["threads"] = torch.get_num_threads()
    machine_info["cores"] = os.cpu_count()
    machine_info["versions"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
    }
    if torch.cuda.is_available():
        machine_info["gpu"] = torch.cuda.get_device_name()


@pytest.fixture(scope="session")
def dataset(size):
    return SyntheticDataset(**SIZES[size])


class Setting:
    """A model of a preset with the data that it needs and a batch."""

    def __init__(self, dataset, device: str, preset: str, *changes: str, **train) -> None:
        torch.manual_seed(0)
        self.config: RunConfig = load_config(preset, changes, **train)
        self.data = prepare_graphs(self.config, dataset[0], torch.device(device))
        self.model = build_model(self.config, self.data).to(device).train()
        self.sampler = BPRSampler(self.data, self.config.train.batch_size)
        self.batch = next(iter(self.sampler))
        bf16 = self.config.train.precision == "bf16"
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=bf16)

    def losses(self):
        with self.autocast:
            return self.model.losses(self.data, self.batch)


@pytest.fixture
def setting(dataset, device):
    """Makes a :class:`Setting` of the size and device at hand."""
    return lambda *args, **kwargs: Setting(dataset, device, *args, **kwargs)


@pytest.fixture
def measure(benchmark, device, request):
    """Measures a function after one warm-up and returns its last result."""
    quick = request.config.getoption("quick")

    def run(function, group: str, rounds: int = 5, warmup: int = 1):
        def finished():
            result = function()
            if device == "cuda":
                torch.cuda.synchronize()
            return result

        benchmark.group = group
        rounds = max(1, rounds // 5) if quick else rounds
        return benchmark.pedantic(finished, rounds=rounds, warmup_rounds=warmup)

    return run
