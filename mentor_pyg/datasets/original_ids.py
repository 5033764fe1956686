"""Original IDs that are strings, as a tensor-like attribute of nodes."""

import re
import reprlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

OF_ROWS = frozenset(
    {
        *("__getitem__", "index_select", "masked_select", "narrow", "cat", "flip"),
        *("clone", "detach", "contiguous", "view", "reshape", "requires_grad_"),
        *("to", "cpu", "cuda", "pin_memory", "share_memory_"),
    }
)
"""Operations that select, repeat or move rows without changing their content."""

IN_PLACE = re.compile(r"__i\w+__|[a-z]\w*_")
"""Names of operations that would modify entries."""


class OriginalIds(Tensor):
    """Strings [N], one for each node of a type: ``ids[row]`` is the ID of ``row``.

    It is a tensor so that PyG's loaders, ``data.subgraph``, ``data.to``, batches etc. select
    its rows along with the other attributes of nodes. In Python it behaves like an immutable
    sequence of strings: it has a length, can be iterated, and equals a list of the same IDs.
    :func:`numpy.asarray` and :meth:`tolist` return all strings. :func:`torch.load` accepts it
    with ``weights_only``.

    Integer IDs are stored as a plain tensor instead. The only argument, ``labels``, holds the
    IDs in the order of rows.

    Raises:
        TypeError: By operations that compute with the entries.
    """

    # Entries of the tensor are positions in these strings, which slices share.
    _labels: np.ndarray

    @staticmethod
    def __new__(cls, labels: Sequence[str]) -> "OriginalIds":
        texts = np.empty(len(labels), dtype=object)
        texts[:] = labels
        return _attach(torch.arange(len(texts)), texts)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        kwargs.pop("out", None)  # PyG's workers pass shared memory
        name = getattr(func, "__name__", str(func))
        if name == "cat":
            return _concatenate(*args, **kwargs)
        if name == "equal":
            return OriginalIds.__eq__(*args) is True
        if name not in OF_ROWS and IN_PLACE.fullmatch(name):
            raise TypeError(f"original ids can't be changed, but '{name}' would")
        ids = next(x for x in (*args, *kwargs.values()) if isinstance(x, OriginalIds))
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        if not isinstance(result, Tensor) or name == "new":
            return result
        if name in OF_ROWS and result.dtype == torch.int64:
            return _attach(result, ids._labels)
        raise TypeError(f"original ids are texts, for which '{name}' has no meaning")

    def __getitem__(self, index: Any) -> Any:
        """The string of one row, or the IDs of several."""
        chosen = super().__getitem__(index)
        return chosen if chosen.dim() else self._labels[int(_positions(chosen))]

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("original ids can't be changed; expected a new OriginalIds")

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def __contains__(self, label: Any) -> bool:
        return label in self.tolist()

    def __eq__(self, other: Any) -> bool:  # type: ignore[override]
        if not isinstance(other, Sequence | OriginalIds) or isinstance(other, str):
            return NotImplemented
        return self.tolist() == list(other)

    __hash__ = Tensor.__hash__

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The strings as an object array."""
        return self._labels[_positions(self).cpu().numpy()]

    def tolist(self) -> list[str]:
        """The strings as a list."""
        return self.numpy().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{type(self).__name__}({reprlib.repr(self.tolist())})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "OriginalIds":
        return self.clone()  # type: ignore[return-value]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        texts = self.tolist()
        content = np.frombuffer("".join(texts).encode(errors="surrogatepass"), dtype=np.uint8)
        lengths = torch.tensor([len(text) for text in texts], dtype=torch.int64)
        return _unpack, (torch.from_numpy(content.copy()), lengths)


def _attach(positions: Tensor, labels: np.ndarray) -> OriginalIds:
    ids = positions.as_subclass(OriginalIds)
    ids._labels = labels
    return ids


def _positions(ids: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return ids.as_subclass(Tensor)


def _concatenate(tensors: Sequence[Tensor], dim: int = 0) -> OriginalIds:
    if not all(isinstance(ids, OriginalIds) for ids in tensors):
        raise TypeError("original ids are texts; expected no tensors of numbers beside them")
    positions, labels, first = [], [], 0
    for ids in tensors:
        assert isinstance(ids, OriginalIds)
        positions.append(_positions(ids) + first)
        labels.append(ids._labels)
        first += len(ids._labels)
    return _attach(torch.cat(positions, dim=dim), np.concatenate(labels))


def _unpack(content: Tensor, lengths: Tensor) -> OriginalIds:
    text = content.numpy().tobytes().decode(errors="surrogatepass")
    ends = lengths.cumsum(0).tolist()
    return OriginalIds([text[start:end] for start, end in zip([0, *ends], ends)])


torch.serialization.add_safe_globals([_unpack])
