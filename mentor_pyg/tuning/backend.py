"""Optuna, and the terms of a search in its words."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mentor_pyg._util.extras import optional
from mentor_pyg.errors import InputError, reason
from mentor_pyg.tuning.space import Parameter, Range


def import_optuna() -> Any:
    """Optuna without its log.

    Raises:
        InputError: If it isn't installed.
    """
    optuna = optional("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_storage(optuna: Any, path: Path) -> Any:
    """The SQLite file of a study.

    Raises:
        InputError: If it is something else.
    """
    from sqlalchemy.exc import DatabaseError

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, check_same_thread=False)  # SQLAlchemy's pool sees to that

    try:
        # The path isn't put into the address, where ?, #, % and braces mean something.
        return optuna.storages.RDBStorage("sqlite:///study.db", {"creator": connect})
    except (DatabaseError, RuntimeError) as error:  # the latter for the file of another version
        raise InputError(
            f"{path}: can't be opened ({reason(error)}); expected a study that Optuna wrote"
        ) from None


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Reports that a study's file can't be written, as on a full disk.

    Raises:
        InputError: If it can't.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DatabaseError

    try:
        yield
    except (StorageInternalError, DatabaseError) as error:
        raise InputError(
            f"{path}: can't be written ({reason(error.__cause__ or error)}); "
            "expected a disk that works and has room for it"
        ) from None


@contextmanager
def opened_once(path: Path) -> Iterator[None]:
    """Keeps a second study of this process, which the lock lets in, out of a file."""
    if path in _open_files:
        raise InputError(f"{path}: is open in another study; expected that to be closed before")
    _open_files.add(path)
    try:
        yield
    finally:
        _open_files.remove(path)


_open_files: set[Path] = set()


def close_storage(storage: Any) -> None:
    """Closes the SQLite file of a study."""
    storage.remove_session()
    storage.engine.dispose()


def median_pruner(optuna: Any, prune_after: int | None) -> Any:
    """What gives up trials below the median; see :class:`~mentor_pyg.tuning.Study`."""
    if prune_after is None:
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_warmup_steps=prune_after)


def distribution(optuna: Any, values: Parameter) -> Any:
    """Where a setting is sampled; listed values as JSON texts."""
    distributions = optuna.distributions
    if not isinstance(values, Range):
        return distributions.CategoricalDistribution([json.dumps(value) for value in values])
    if values.is_whole:
        return distributions.IntDistribution(values.low, values.high, values.log, values.step or 1)
    return distributions.FloatDistribution(values.low, values.high, values.log, values.step)
