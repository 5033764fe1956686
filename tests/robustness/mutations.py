"""Random damage to the content of files, made from a generator alone.

Files that have a structure (JSON, YAML, arrays, saved tensors, Parquet, gzip) are damaged in two
ways: as bytes, which mostly breaks the file, and within what they hold, which leaves a valid file
with content that nobody expects.
"""

import gzip
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml

from mentor_pyg.runs.weights import load_weights, save_weights

TOKENS = [
    *(b"nan", b"NaN", b"inf", b"-Infinity", b"1e400", b"-1", b"0", b"3", b"1.0", b"01", b"1_0"),
    *(b"9" * 19, b"9" * 400, b"9" * 5000, b"-0", b"0x10", "٣".encode(), b"2001-99-99", b"1e-3"),
    *(b"", b" ", b"\t", b",", b"\n", b"\r", b"\r\n", b"\n\n\n", b'"', b"'", b"\\", b'""', b'"\n'),
    *(b"\x00", b"\x1b[2J", b"\x85", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xa8"),
    *(
        b"\xff\xfe",
        b"\x1f\x8b",
        b"=1+1",
        b"../../x",
        b"null",
        b"true",
        b"~",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(
        b"[" * 3000,
        b"{'a':" * 300,
        b"a" * 70_000,
        b"&a ",
        b"*a",
        b"!!python/name:os.system ",
        b"<<: ",
    ),
    *(b": ", b"- ", b"---\n", b"? ", b"!!binary ", b"!!set ", b"userID", b"x_label", b"extends: "),
    *(
        b"{'a': 1, 'a': 2}",
        b"(" * 200,
        b"-" * 500,
        b"lambda: 0",
        b"\\ud800",
        b"<b>",
        b"<!--",
        b"&#0;",
    ),
]

VALUES = [
    *(None, True, False, -1, 0, 1, 3, 2**31, 2**63, -(2**63), 10**400, 0.5, 1e-300, 1e308),
    *(
        float("nan"),
        float("inf"),
        "",
        "nan",
        "1e-3",
        "\x1b[2J",
        "x" * 5000,
        "../x",
        "recall@10",
        "a\x00b.yaml",
        "\ud800",
    ),
    *([], [[]], [1, 1], {}, {"a": 1}, {"": None}, [None], ["x"], "2001-01-01", "\x85", "=1+1"),
]

KEYS = ("", "a", "epoch", "model", "low", "recall@20", "\x00", "0")


def damage(content: bytes, name: str, others: list[bytes], rng: Random) -> bytes:
    """A damaged copy of a file's content.

    Args:
        content: What the file holds.
        name: Its name, whose ending tells its form.
        others: What other files of this name hold, of which pieces may be taken.
        rng: Decides everything.
    """
    codec = CODECS.get(Path(name).suffix)
    if codec and rng.random() < 0.7:
        with suppress(Exception):  # of values that can't be saved, so that bytes are damaged
            return codec(content, rng)
    for _ in range(1 + min(int(rng.expovariate(1)), 6)):
        content = rng.choice(BYTE_MUTATIONS)(content, rng, others)
    return content


def _flip(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8)) if content else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _insert(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    removed = rng.choice((0, 0, 1, 4))
    return content[:at] + rng.choice(TOKENS) + content[at + removed :]


def _cut(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.randrange(40) :]


def _field(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    """A token in place of a field of a line, or of another part between blanks."""
    separator = rng.choice((b"\t", b",", b" ", b'"', b"\n", b": "))
    parts = content.split(separator)
    parts[rng.randrange(len(parts))] = rng.choice(TOKENS)
    return separator.join(parts)


def _lines(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    """Swaps or repeats lines."""
    lines = content.splitlines(keepends=True) or [b""]
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines[a], lines[b] = lines[b], lines[a]
    else:
        lines[a:a] = [lines[b]] * rng.choice((1, 2, 50))
    return b"".join(lines)


def _splice(content: bytes, rng: Random, others: list[bytes]) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


BYTE_MUTATIONS = (_flip, _truncate, _insert, _insert, _cut, _field, _field, _lines, _splice)


def _change(value: Any, rng: Random) -> Any:
    """A copy of a value with something in it replaced, removed or repeated."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        changed, key = dict(value), rng.choice(list(value))
        how = rng.random()
        if how < 0.7:
            changed[key] = _change(value[key], rng)
        elif how < 0.85:
            del changed[key]
        else:
            changed[rng.choice(KEYS)] = changed.pop(key) if how < 0.9 else rng.choice(VALUES)
        return changed
    if isinstance(value, list | tuple) and value and rng.random() < 0.9:
        items, at = list(value), rng.randrange(len(value))
        how = rng.random()
        items[at : at + 1] = [_change(items[at], rng)] if how < 0.7 else [items[at]] * int(how * 3)
        return items
    if isinstance(value, torch.Tensor) and rng.random() < 0.8:
        return _change_tensor(value, rng)
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice((-value, value + 1, value * 10**6, float(value), str(value)))
    return rng.choice(VALUES)


def _change_tensor(x: torch.Tensor, rng: Random) -> torch.Tensor:
    dtypes = (torch.float16, torch.float64, torch.int64, torch.bool, torch.uint8, torch.complex64)
    changes: list[Callable[[], torch.Tensor]] = [
        lambda: x.to(rng.choice(dtypes)),
        lambda: x[..., :0] if x.dim() else x[None],
        lambda: x.flatten()[: rng.randrange(9)],
        lambda: x[None],
        lambda: torch.cat([x.flatten(), x.flatten()]),
        lambda: torch.full_like(x, rng.choice((0, 1, 200))),
        lambda: x.double() * rng.choice((float("nan"), 1e300, -1.0)),
        lambda: x.clone().flatten()[:1].expand(10**6),
        lambda: x.to_sparse() if x.dim() else x,
    ]
    return rng.choice(changes)()


def _json(content: bytes, rng: Random) -> bytes:
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 2))):
        value = _change(value, rng)
    return json.dumps(value, indent=rng.choice((None, 2))).encode()


def _yaml(content: bytes, rng: Random) -> bytes:
    value = yaml.safe_load(content)
    for _ in range(rng.choice((1, 1, 2))):
        value = _change(value, rng)
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()


def _tensors(content: bytes, rng: Random) -> bytes:
    value = torch.load(io.BytesIO(content), weights_only=True)
    for _ in range(rng.choice((1, 1, 2))):
        value = _change(value, rng)
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _weights(content: bytes, rng: Random) -> bytes:
    """With the right digest, so that it isn't what is refused."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(content)
        state, about = load_weights(path)
        if rng.random() < 0.5:
            about = _change(about, rng)
        else:
            state = {n: x for n, x in _change(state, rng).items() if isinstance(x, torch.Tensor)}
        save_weights(path, state, about)
        return path.read_bytes()


def _array(content: bytes, rng: Random) -> bytes:
    x = np.load(io.BytesIO(content))
    kinds = ("<f2", ">f8", "<i8", "?", "S3", "<U2", "M8[s]", "<c8", "<f4", "f,i4", "V7", "<f16")
    changes: list[Callable[[], np.ndarray]] = [
        lambda: x.astype(rng.choice(kinds[:9])),
        lambda: np.zeros(x.shape, rng.choice(kinds)),
        lambda: x[: rng.randrange(len(x) + 1)],
        lambda: x[..., None],
        lambda: np.asfortranarray(x)[:, :0] if x.ndim > 1 else x[:0],
        lambda: np.concatenate([x, x]),
        lambda: np.float64(rng.choice((np.nan, np.inf, 1e300, 1e-320, -0.0))) * np.ones(x.shape),
        lambda: np.zeros(()),
        lambda: np.asfortranarray(x),
    ]
    file = io.BytesIO()
    np.save(file, rng.choice(changes)())
    return file.getvalue()


def _gzip(content: bytes, rng: Random) -> bytes:
    text = gzip.decompress(content)
    if rng.random() < 0.03:  # packed very well
        piece = rng.choice((b"\x00", b"\n", b"a", text[-50:]))
        return gzip.compress(text + piece * (2**22 // len(piece)), 1, mtime=0)
    return gzip.compress(damage(text, "", [text], rng), 1, mtime=0)


def _parquet(content: bytes, rng: Random) -> bytes:
    import pyarrow as arrow
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(content))
    name = rng.choice(table.column_names)
    values = table.column(name).to_pylist()
    types = (arrow.int64(), arrow.float64(), arrow.string(), arrow.binary(), arrow.bool_())
    types += (arrow.list_(arrow.string()), arrow.timestamp("ns"), arrow.decimal128(30, 3))
    types += (arrow.date32(), arrow.duration("s"), arrow.time64("us"), arrow.large_string())
    kind, changed = rng.choice(types), [_change(value, rng) for value in values]
    try:
        column = arrow.array(values if rng.random() < 0.5 else changed, kind)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError):
        column = arrow.nulls(len(values), kind)
    if rng.random() < 0.2:
        table = table.append_column(rng.choice(table.column_names), column)
    else:
        place = table.column_names.index(name)
        table = table.set_column(place, rng.choice((name, name, "other")), column)
    file = io.BytesIO()
    parquet.write_table(table, file, compression=rng.choice(("none", "snappy", "gzip")))
    return file.getvalue()


CODECS: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": _json,
    ".yaml": _yaml,
    ".pt": _tensors,
    ".safetensors": _weights,
    ".npy": _array,
    ".gz": _gzip,
    ".parquet": _parquet,
}
