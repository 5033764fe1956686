import copy
import importlib
import inspect
import math
import pickle
import pkgutil
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

import mentor_pyg
from mentor_pyg import InputError, TrainConfig
from mentor_pyg.errors import brief, shown
from mentor_pyg.nn import models
from mentor_pyg.options import (
    Count,
    EvenCount,
    Lengths,
    NonNegative,
    Positive,
    Probability,
    Seed,
    Share,
    Widths,
    _options,
    check_options,
    checked,
    different,
)
from mentor_pyg.transforms import CompactFeatures, ContentVariant, ItemKNN, UserCooccurrence

if TYPE_CHECKING:
    from pathlib import Path


@checked
class Layer:
    """A class with an option of every kind."""

    def __init__(
        self,
        x: Tensor | None = None,
        *,
        path: "Path | None" = None,
        count: Count = 1,
        even: EvenCount = 2,
        limit: Count | None = None,
        p: Probability = 0.5,
        share: Share = 1.0,
        tau: Positive = 0.2,
        weight: NonNegative = 0.0,
        slope: float = 0.1,
        seed: Seed = 0,
        flag: bool = True,
        name: str = "",
        readout: Literal["sum", "mean"] = "sum",
        levels: Annotated[Sequence[Literal[1, 2, 3]], different] = (1,),
        ks: Lengths = (10, 20),
        bounds: list[int] | None = None,
        pair: tuple[int, int] = (1, 2),
        widths: Widths | None = None,
        merge: Mapping[str, NonNegative] | Literal["equal"] | None = None,
        scale: Positive | Literal["fair"] = "fair",
    ) -> None:
        self.options = {k: v for k, v in locals().items() if k != "self"}


GOOD = [
    ("count", np.int64(3), 3),
    ("count", torch.tensor(3), 3),
    ("limit", None, None),
    ("limit", 2**63 - 1, 2**63 - 1),
    ("p", 0, 0.0),
    ("share", 1, 1.0),
    ("tau", np.float32(0.5), 0.5),
    ("slope", -3, -3.0),
    ("seed", 2**32 - 1, 2**32 - 1),
    ("flag", np.True_, True),
    ("name", "1e-3", "1e-3"),
    ("levels", [3, 1], (3, 1)),
    ("ks", np.array([5, 1]), (5, 1)),
    ("ks", range(1, 3), (1, 2)),
    ("bounds", [1, 2], [1, 2]),
    ("pair", [3, 4], (3, 4)),
    ("widths", {"visual": np.int32(8)}, {"visual": 8}),
    ("merge", "equal", "equal"),
    ("merge", {"a": 1}, {"a": 1.0}),
    ("scale", 2, 2.0),
]

BAD = [
    ("count", 0, "at least 1"),
    ("count", 2.0, "an integer, at least 1"),
    ("count", True, "an integer, at least 1"),
    ("count", "3", "an integer, at least 1"),
    ("count", 2**63, "at least 1 and less than 2^63"),
    pytest.param("count", 10**5000, "at least 1 and less than 2^63", id="huge"),
    ("even", 3, "even and at least 2"),
    ("limit", 0, "at least 1 or N"),
    ("limit", "all", "an integer, at least 1, or N"),
    ("p", 1.5, "at least 0 and less than 1"),
    ("p", math.nan, "at least 0 and less than 1"),
    ("p", "half", "a number, at least 0 and less than 1"),
    ("share", 1.5, "at least 0 and at most 1"),
    ("tau", 0, "more than 0 and finite"),
    ("tau", math.inf, "more than 0 and finite"),
    ("weight", -1, "at least 0 and finite"),
    ("weight", 10**400, "a number, at least 0 and finite"),
    ("slope", -math.inf, "a finite number"),
    ("slope", None, "a number"),
    ("seed", -1, "0 to 2^32 - 1"),
    ("seed", 2**40, "0 to 2^32 - 1"),
    ("flag", 1, "true or false"),
    ("flag", "no", "true or false"),
    ("name", 3, "a text"),
    ("readout", "Sum", "one of 'sum', 'mean'"),
    ("readout", None, "one of 'sum', 'mean'"),
    ("readout", ["sum"], "one of 'sum', 'mean'"),
    ("levels", [1, 1], "a list of any of 1, 2, 3"),
    ("levels", [1, 9], "a list of any of 1, 2, 3"),
    ("levels", 12, "a list of any of 1, 2, 3"),
    ("levels", "12", "a list of any of 1, 2, 3"),
    ("ks", [], "a list of different integers, each at least 1"),
    ("ks", [0], "a list of different integers, each at least 1"),
    ("ks", [5, 5], "a list of different integers, each at least 1"),
    ("ks", {"5": 5}, "a list of different integers, each at least 1"),
    ("bounds", [1.5], "a list of integers or N"),
    ("pair", [1, 2, 3], "a list of integers"),
    ("widths", {}, "at least one modality of item features, with its number of columns, or N"),
    ("widths", {"visual": 0}, "at least one modality of item features"),
    (
        "merge",
        "same",
        "a mapping of texts to numbers, each at least 0 and finite, or 'equal', or N",
    ),
    ("merge", {"a": -1}, "a mapping of texts to numbers, each at least 0 and finite"),
    ("merge", {1: 1}, "a mapping of texts to numbers"),
    ("scale", -1, "more than 0 and finite, or 'fair'"),
    ("scale", torch.ones(2), "a number, more than 0 and finite, or 'fair'"),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_values_become_what_the_annotation_says(name, value, expected):
    for found in (Layer(**{name: value}).options, check_options(Layer, {name: value}, "options")):
        assert found[name] == expected
        assert type(found[name]) is type(expected)


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_bad_values_are_one_line_from_python_and_from_yaml(name, value, expected):
    calls = {
        ("Layer", "None"): lambda: Layer(**{name: value}),
        ("options", "null"): lambda: check_options(Layer, {name: value}, "options"),
    }
    for (where, nothing), call in calls.items():
        with pytest.raises(InputError) as error:
            call()
        ending = f"; expected {expected.replace('or N', f'or {nothing}')}"
        assert str(error.value).startswith(f"{where}.{name}: is ")
        assert ending in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tau", "1e-3", 1e-3),
        ("merge", {"a": "2E3"}, {"a": 2000.0}),
        ("scale", "5e-1", 0.5),
        ("name", "1e-3", "1e-3"),
    ],
)
def test_numbers_that_yaml_takes_for_texts(name, value, expected):
    assert check_options(Layer, {name: value}, "options") == {name: expected}


@pytest.mark.parametrize("value", ["1e-3", "inf", "nan", "1_0", "0x1", " 1"])
def test_other_texts_are_no_numbers(value):
    with pytest.raises(InputError, match=r"^Layer\.tau: is '.*'; expected a number"):
        Layer(tau=value)
    if value != "1e-3":
        with pytest.raises(InputError, match=r"^options\.tau: is '.*'; expected a number"):
            check_options(Layer, {"tau": value}, "options")


@pytest.mark.parametrize("options", [[], 3, "tau", None, {3: 1}, {"x": 1, "speed": 2}])
def test_options_are_a_mapping_of_known_names(options):
    with pytest.raises(InputError, match=r"^options.*; expected (a mapping|one of x, path, count)"):
        check_options(Layer, options, "options")


def test_arguments_that_are_no_options_pass_as_they_are():
    x = torch.ones(2)
    assert Layer(x, path="anything").options["x"] is x
    with pytest.raises(TypeError, match=r"Layer\.__init__\(\) got an unexpected .* 'speed'"):
        Layer(speed=3)


def test_functions_dataclasses_and_base_classes():
    @checked
    def ratio(p: Probability) -> float:
        return p

    @checked
    @dataclass(frozen=True)
    class Settings:
        p: Probability = 0.5

    class Base:
        def __init_subclass__(cls) -> None:
            checked(cls)

    class Mine(Base):
        def __init__(self, p: Probability = 0.5) -> None:
            self.p = p

    class Heir(Mine):
        pass

    for call, name in [(ratio, "ratio"), (Settings, "Settings"), (Mine, "Mine"), (Heir, "Mine")]:
        call(p=0.1)
        with pytest.raises(InputError, match=rf"^{name}\.p: is 2; expected at least 0 and less"):
            call(p=2)
    assert ratio(0) == 0.0


def test_signatures_copies_and_pickles_stay():
    parameters = inspect.signature(models.MENTOR).parameters
    assert list(parameters)[:3] == ["num_users", "num_items", "in_channels"]
    assert parameters["fusion"].annotation == Literal["global", "user"]
    assert models.MENTOR.__init__.__qualname__ == "MENTOR.__init__"
    model = models.LightGCN(3, 4, hidden_channels=2)
    assert torch.equal(copy.deepcopy(model).embedding.user, model.embedding.user)
    for thing in (model, TrainConfig(epochs=3), ItemKNN(k=3)):
        assert type(pickle.loads(pickle.dumps(thing))) is type(thing)


# The package ############################################################


def classes():
    """Every class of the package that takes arguments."""
    for info in pkgutil.walk_packages(mentor_pyg.__path__, "mentor_pyg."):
        if not info.name.endswith("__main__"):
            for thing in vars(importlib.import_module(info.name)).values():
                if isinstance(thing, type) and thing.__module__ == info.name:
                    yield thing


def literals(hint):
    """The literals within an annotation."""
    if typing.get_origin(hint) is Literal:
        return [hint]
    return [x for arg in typing.get_args(hint) for x in literals(arg)]


EMPTY = repr(inspect.Parameter.empty)
CHECKED = [c for c in classes() if hasattr(c.__init__, "__wrapped__")]


def test_every_literal_of_a_constructor_is_checked():
    found = 0
    for cls in classes():
        for parameter in inspect.signature(cls.__init__).parameters.values():
            if literals(parameter.annotation):
                assert cls in CHECKED, cls
                assert parameter.name in _options(cls.__init__), (cls, parameter)
                found += 1
    assert found > 20


def test_layers_models_and_transforms_are_checked():
    names = {cls.__name__ for cls in CHECKED}
    assert set(models.classes) < names
    for cls in classes():
        if cls.__module__.startswith("mentor_pyg.nn.") and "__init__" in vars(cls):
            assert cls in CHECKED or len(inspect.signature(cls).parameters) == 0
            hints = typing.get_type_hints(inspect.unwrap(cls.__init__))
            plain = {k for k, hint in hints.items() if hint in (int, float, bool, str)}
            assert plain <= _options(cls.__init__).keys()


def test_defaults_are_within_their_own_ranges():
    for cls in CHECKED:
        for name, parameter in inspect.signature(cls.__init__).parameters.items():
            option = _options(cls.__init__).get(name)
            if option is not None and repr(parameter.default) not in ("<factory>", EMPTY):
                option.check(parameter.default, f"{cls}.{name}")


SIZES = {"num_users": 3, "num_items": 4, "in_channels": {"visual": 2}}


@pytest.mark.parametrize(
    ("target", "options", "expected"),
    [
        (models.MENTOR, {"fusion": "Global"}, "one of 'global', 'user'"),
        (models.MENTOR, {"contrast_rows": "batches"}, "one of 'batch', 'full'"),
        (
            models.MENTOR,
            {"align_levels": [1, 1, 9]},
            "a list of different levels out of 1, 2, 3, 4",
        ),
        (models.MENTOR, {"align_levels": [1, 1]}, "a list of different levels out of 1, 2, 3, 4"),
        (models.MENTOR, {"missing": "visual"}, "a list of texts"),
        (models.MENTOR, {"mask_weight": -1}, "at least 0"),
        (models.MENTOR, {"mask_gradient": 1}, "true or false"),
        (models.MENTOR, {"hidden_channels": 8.0}, "an integer"),
        (models.MENTOR, {"in_channels": {}}, "at least one modality"),
        (models.MENTOR, {"in_channels": ["visual"]}, "at least one modality"),
        (models.MENTOR, {"num_users": None}, "an integer"),
        (models.MENTOR, {"num_users": 0}, "at least 1"),
        (
            models.MMSSL,
            {"augmentation": "Adversarial"},
            "one of 'adversarial', 'autoencoder'",
        ),
        (models.MMSSL, {"critic_limit": 0}, "at least 1 or None"),
        (models.NCL, {"structure_hops": 3}, "even and at least 2"),
        (models.CLCRec, {"content_share": 1.1}, "at least 0 and at most 1"),
        (models.LayerGCN, {"num_layers": 0}, "at least 1"),
        (ItemKNN, {"weights": "cos"}, "one of 'cosine', 'binary'"),
        (ItemKNN, {"normalize": "column"}, "one of 'row', 'symmetric', 'none'"),
        (ItemKNN, {"k": 0}, "at least 1"),
        (ItemKNN, {"cache": "no"}, "true or false"),
        (CompactFeatures, {"channels": 2.5}, "an integer, at least 1, or None"),
        (ContentVariant, {"modalities": "visual"}, "a list of texts"),
        (ContentVariant, {"noise": {"visual": math.nan}}, "a mapping of texts to numbers"),
        (UserCooccurrence, {"k": True}, "an integer"),
    ],
)
def test_options_of_the_package(target, options, expected):
    (name,) = options
    given = SIZES if issubclass(target, torch.nn.Module) else {}
    given = {k: v for k, v in given.items() if k in inspect.signature(target).parameters}
    with pytest.raises(InputError) as error:
        target(**(given | options))
    assert str(error.value).startswith(f"{target.__name__}.{name}: is ")
    assert f"; expected {expected}" in str(error.value)


# Values in messages #####################################################


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        ["x" * 10**6] * 100,
        list(range(10**6)),
        {i: i for i in range(10**5)},
        nested(10**5),
        10**5000,
        torch.zeros(100, 100),
        "a\nb\rc",
    ],
    ids=["text", "texts", "list", "mapping", "nested", "integer", "tensor", "lines"],
)
def test_values_are_shown_on_one_short_line(value):
    assert 0 < len(shown(value)) <= 60
    assert len(shown(value).splitlines()) == 1


def test_short_values_are_shown_as_they_are():
    values = [None, True, 0.001, "a'b", [1, "x"], {"a": 1}, (1,)]
    assert [shown(value) for value in values] == [repr(value) for value in values]
    assert brief("a\n b" + "c" * 100, 10) == "a bcccc..."
