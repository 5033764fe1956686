"""Peak memory beyond features, graphs and parameters, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "memory.py"


def peak_gb(*arguments: str) -> float:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.fixture
def compare(request):
    """Peaks of ours and of the dense way, both of which go into the report."""
    if request.config.getoption("quick"):
        pytest.skip("takes most of a minute")
    benchmark = request.getfixturevalue("benchmark")

    def run(*arguments: str) -> tuple[float, float]:
        def both():
            return [peak_gb(arguments[0], way, *arguments[1:]) for way in ("ours", "dense")]

        benchmark.group = "peak memory (the times are those of two whole processes)"
        ours, dense = benchmark.pedantic(both, rounds=1)
        benchmark.extra_info |= {"ours_gb": ours, "dense_gb": dense}
        return ours, dense

    return run


def test_step(compare):
    ours, dense = compare("step")
    assert ours < 0.8
    assert ours < dense / 5


def test_info_nce(compare):
    ours, dense = compare("info_nce")
    assert ours < 0.2
    assert ours < dense / 8
