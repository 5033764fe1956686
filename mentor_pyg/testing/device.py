"""A fake GPU that computes on the CPU, for device tests without hardware."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda", 0)
META = torch.device("meta")
CPU = torch.device("cpu")

COPIES = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}
"""Operations that move tensors between devices."""

FROM_VALUES = (torch.tensor, torch.as_tensor, torch.asarray)
"""Functions that create tensors without a dispatched operation."""


class FakeCudaTensor(Tensor):
    """A tensor that claims to be on a GPU; its values are in ``held``, on the CPU.

    For PyTorch's core it is on :obj:`META`, the only other device that autograd supports
    without hardware.
    """

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "FakeCudaTensor":
        self = Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=META,
        )
        self.held = held
        return self

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def tolist(self) -> Any:
        return self.held.tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"FakeCudaTensor({self.held!r})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})


class FakeCuda(TorchFunctionMode):
    """Context in which a device ``"cuda"`` exists, whatever the hardware.

    Its operations run on the CPU. Mixing tensors of both devices raises a
    :class:`RuntimeError`, as on a GPU, even where PyTorch would silently move an index.
    0-dimensional tensors may be on the CPU.
    """

    def __init__(self) -> None:
        super().__init__()
        self._dispatch = _DispatchMode()

    def __enter__(self) -> "FakeCuda":
        self._dispatch.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._dispatch.__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replaces the device by the one that PyTorch's core knows."""
        if func is Tensor.data.__set__ and isinstance(args[0], FakeCudaTensor):  # type: ignore[attr-defined]
            args[0].held.data = args[1].held
            return None
        if func is Tensor.cuda:
            func, args, kwargs = Tensor.to, (args[0], META), {}
        if func in FROM_VALUES and _is_cuda((kwargs or {}).get("device")):
            return func(*args, **(kwargs | {"device": CPU})).to(META)
        args, kwargs = tree_map(lambda x: META if _is_cuda(x) else x, (args, kwargs or {}))
        return func(*args, **kwargs)


class _DispatchMode(TorchDispatchMode):
    # With a mode of this kind, PyTorch does not initialise CUDA when it reads the device name.
    # Python functions and backward passes run outside the mode above.
    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Computes an operation on the CPU, and wraps results that belong on the GPU."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    ours = [x for x in tensors if isinstance(x, FakeCudaTensor)]
    left = [x for x in tensors if not isinstance(x, FakeCudaTensor) and x.dim() > 0]
    if ours and left and func not in COPIES:
        raise RuntimeError(
            f"{func}: expected all tensors on the same device (got one of shape "
            f"{list(ours[0].shape)} on {CUDA} and one of shape {list(left[0].shape)} on cpu)"
        )
    device = kwargs.get("device")
    if device is not None:
        kwargs = kwargs | {"device": CPU}
    out = func(*tree_map(_unwrap, args), **tree_map(_unwrap, kwargs))
    if not (device != CPU if device is not None else ours):
        return out
    changed = {id(x.held): x for x in ours}  # in place
    return tree_map(lambda x: changed[id(x)] if id(x) in changed else _wrap(x), out)


def _is_cuda(x: Any) -> bool:
    is_named = isinstance(x, str) and x.split(":")[0] == "cuda"
    return is_named or (isinstance(x, torch.device) and x.type == "cuda")


def _wrap(x: Any) -> Any:
    return FakeCudaTensor(x) if isinstance(x, Tensor) else x


def _unwrap(x: Any) -> Any:
    return x.held if isinstance(x, FakeCudaTensor) else x
