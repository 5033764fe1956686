"""What a model has to refuse, in one line."""

from copy import copy

import torch
from torch_geometric.data import HeteroData

from mentor_pyg.errors import InputError
from mentor_pyg.testing.subject import Subject, all_losses, contract, expect
from mentor_pyg.typing import ITEM, modalities


@contract
def check_wrong_features(subject: Subject) -> None:
    """Features and masks with a row too few, and features that aren't finite."""
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
    """Data without the graphs that a model needs, which the message names the transform of."""
    bare = copy(subject.raw)
    try:
        all_losses(subject.cls.from_data(bare, **subject.options), bare, subject.batch())
    except InputError as error:
        expect_one_line(error, "expected", "data without graphs")
    except Exception as error:
        raise AssertionError(
            f"expected an InputError that names the missing transform (got {error!r})"
        ) from error


def _expect_refusal(subject: Subject, data: HeteroData, word: str, what: str) -> None:
    try:
        subject.cls.from_data(data, **subject.options)
    except InputError as error:
        expect_one_line(error, word, what)
    else:
        raise AssertionError(f"expected 'from_data' to refuse {what} by an InputError")


def expect_one_line(error: Exception, word: str, what: str) -> None:
    """A message of one line that has a word."""
    text = str(error)
    expect(
        "\n" not in text and word in text,
        f"expected a message of one line about {what} with {word} in it (got {text!r})",
    )


def _uses_features(subject: Subject) -> bool:
    """Whether a model can't do without them."""
    raw = copy(subject.data)
    for key in [key for key in raw[ITEM] if key.startswith(("x_", "mask_"))]:
        del raw[ITEM][key]
    try:
        subject.cls.from_data(raw, **subject.options).encode(raw)
    except Exception:
        return True
    return False
