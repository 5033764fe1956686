"""What a run depends on beside its data and settings: the device, versions, memory."""

import platform
import sys
from types import ModuleType

import torch
import torch_geometric

import mentor_pyg
from mentor_pyg.errors import InputError, reason

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None


def choose_device(name: str) -> torch.device:
    """:obj:`"auto"` takes CUDA where there is a GPU.

    Raises:
        InputError: If the device doesn't exist here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        probe = torch.zeros((), device=name)
        probe.item()  # fails on "meta"
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {reason(error)}; expected auto, cpu or cuda") from None
    return probe.device


def versions() -> dict[str, str]:
    """Versions of what the numbers may depend on."""
    return {
        "mentor_pyg": mentor_pyg.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torch_geometric": torch_geometric.__version__,
    }


def peak_memory_mb(device: torch.device) -> float | None:
    """Largest memory so far: of the GPU if one is used, else of the process.

    None where the system doesn't tell, as Windows.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if resource is None:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
