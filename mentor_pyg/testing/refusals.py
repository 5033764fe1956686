"""Contracts on inputs that a model must reject with a one-line message."""

import math
import typing
from copy import copy
from typing import Any

import torch
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.options import parameters
from mentor_pyg.testing.subject import Subject, all_losses, contract, expect
from mentor_pyg.typing import ITEM, modalities


@contract
def check_wrong_features(subject: Subject) -> None:
    """Features and masks that lack a row, and features that are not finite, are rejected."""
    if not _uses_features(subject):
        return
    for name in modalities(subject.raw):
        x = subject.data[ITEM][f"x_{name}"]
        broken = x.clone()
        broken[1, 0] = float("nan")
        for key, value, what in (
            (f"x_{name}", x[:-1], "features with a row too few"),
            (f"x_{name}", broken, "features of NaN"),
            (f"mask_{name}", torch.ones(len(x) - 1, dtype=torch.bool), "a mask too short"),
        ):
            data = copy(subject.data)
            data[ITEM][key] = value
            _expect_refusal(subject, data, f"'{key}'", f"{what}, '{key}'")


@contract
def check_missing_graphs(subject: Subject) -> None:
    """The error for data without a required graph names the transform that adds it."""
    bare = copy(subject.raw)
    try:
        all_losses(subject.cls.from_data(bare, **subject.options), bare, subject.batch())
    except InputError as error:
        expect_one_line(error, "expected", "data without graphs")
    except Exception as error:
        raise AssertionError(
            f"expected an InputError that names the missing transform (got {error!r})"
        ) from error


@contract
def check_options(subject: Subject) -> None:
    """Options reject NaN and values outside of their annotated ranges."""
    for name, parameter in parameters(subject.cls).items():
        if parameter.default is parameter.empty:
            continue  # taken from the data
        nan = [math.nan] if isinstance(parameter.default, float) else []
        for value in _outside(parameter.annotation) + nan:
            what = f"'{name}' of {value}"
            try:
                subject.cls.from_data(subject.data, **{**subject.options, name: value})
            except ValueError as error:
                expect_one_line(error, name, what)
            else:
                raise AssertionError(f"expected {what} to be refused by a ValueError")


def _expect_refusal(subject: Subject, data: HeteroData, word: str, what: str) -> None:
    try:
        subject.cls.from_data(data, **subject.options)
    except InputError as error:
        expect_one_line(error, word, what)
    else:
        raise AssertionError(f"expected 'from_data' to refuse {what} by an InputError")


def expect_one_line(error: Exception, word: str, what: str) -> None:
    text = str(error)
    expect(
        "\n" not in text and word in text,
        f"expected a one-line message about {what} with {word} in it (got {text!r})",
    )


def _uses_features(subject: Subject) -> bool:
    raw = copy(subject.data)
    for key in [key for key in raw[ITEM] if key.startswith(("x_", "mask_"))]:
        del raw[ITEM][key]
    try:
        subject.cls.from_data(raw, **subject.options)(raw)
    except Exception:
        return True
    return False


def _outside(hint: Any) -> list[float]:
    """Numbers that an annotation such as ``Annotated[int, Ge(1)]`` excludes."""
    found = []
    for bound in getattr(hint, "__metadata__", ()):
        for limit, step in (("ge", -1), ("gt", 0), ("le", 1), ("lt", 0)):
            if hasattr(bound, limit):
                found.append(getattr(bound, limit) + step)
    return found + [value for choice in typing.get_args(hint) for value in _outside(choice)]
