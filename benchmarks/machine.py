"""What the figures were measured on, and how much memory was used."""

import os
import platform
from pathlib import Path

import torch
import torch_geometric

import mentor_pyg


def describe() -> dict:
    """Processor, cores, memory and versions."""
    described = {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torch_geometric": torch_geometric.__version__,
        "mentor_pyg": mentor_pyg.__version__,
    }
    if torch.cuda.is_available():
        described["gpu"] = torch.cuda.get_device_name()
    return described


def memory_gb() -> float:
    """Memory of this process now."""
    return _status("VmRSS")


def peak_memory_gb() -> float:
    """Largest memory of this process since its start or :func:`reset_peak_memory`."""
    return _status("VmHWM")


def reset_peak_memory() -> None:
    """Lets the peak start from what is used now."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> float:
    return int(_field("/proc/self/status", name).split()[0]) / 2**20


def _field(path: str, name: str) -> str:
    """The first field of a name in a file of "name: value" lines; "" if there is none."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith(name)), "")
