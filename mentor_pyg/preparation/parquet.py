"""Streams the wanted columns of Parquet files as the plain values that CSV and JSON have."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from mentor_pyg._util.extras import optional
from mentor_pyg._util.progress import progress_bar
from mentor_pyg.datasets.delimited import positions
from mentor_pyg.errors import InputError, reason

ROWS_AT_ONCE = 2**10
"""Few, since a file may be packed so well that a row has megabytes."""


def read_parquet(
    path: Path, columns: Sequence[str], progress: bool
) -> Generator[tuple[int, Sequence[Any]], None, None]:
    """The rows of a file, from 1: text, numbers, None, or lists and dicts of these.

    Timestamps and dates become texts in the form of ISO 8601 with all digits of their
    fractions, decimals become whole numbers or texts. Text that isn't UTF-8 stays bytes.

    Raises:
        InputError: If pyarrow isn't installed, or the file can't be used.
    """
    arrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    wanted = list(dict.fromkeys(columns))
    try:
        with parquet.ParquetFile(path) as file:
            positions(path, wanted, file.schema_arrow.names)
            bar = progress_bar(None, path.name, progress, total=file.metadata.num_rows)
            with bar:
                number = 0
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
                    values = {name: _plain(arrow, batch.column(name)) for name in wanted}
                    for row in zip(*(values[name] for name in columns)):
                        number += 1
                        yield number, row
                    bar.update(batch.num_rows)
    except InputError:
        raise
    # Of pyarrow itself, and of what it can't turn into values of Python:
    except (arrow.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        raise InputError(
            f"{path}: can't be read ({reason(error)}); expected a complete Parquet file, "
            "and columns of plain values"
        ) from None


def _plain(arrow: Any, column: Any) -> list[Any]:
    """The values of a column."""
    types = arrow.types
    if isinstance(column.type, arrow.BaseExtensionType):
        column = column.storage
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if types.is_timestamp(kind):
        # Without the zone, by which pyarrow would write local times, they are in UTC:
        texts = column.cast(arrow.timestamp(kind.unit)).cast(arrow.string()).to_pylist()
        zone = "Z" if kind.tz else ""
        return [None if text is None else text + zone for text in texts]
    if types.is_date(kind):
        return column.cast(arrow.string()).to_pylist()
    if types.is_decimal(kind):
        return [_decimal(value) for value in column.to_pylist()]
    if types.is_float16(kind):
        column = column.cast(arrow.float32())
    if types.is_string(kind) or types.is_large_string(kind):
        column = column.cast(arrow.large_binary())
        kind = column.type
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return [_text(value) for value in column.to_pylist()]
    return column.to_pylist()


def _decimal(value: Any) -> int | str | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else f"{value:f}"


def _text(value: bytes | None) -> str | bytes | None:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value
