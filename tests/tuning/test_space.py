import math

import numpy as np
import pytest

from mentor_pyg import InputError
from mentor_pyg.nn import models
from mentor_pyg.runs.config import load_config
from mentor_pyg.tuning.space import Range, as_changes, read_space, space_names


@pytest.fixture
def space(tmp_path):
    """A function that writes a space to a file and reads it."""

    def space(text):
        path = tmp_path / "space.yaml"
        path.write_text(text)
        return read_space(str(path))

    return space


def test_the_default_space_is_the_grid_of_the_paper():
    mentor = read_space("mentor")
    assert mentor.size == 3 * 7 * 5 * 3 * 8
    mentor.check("paper")
    best = {"mask_weight": 1.5, "mask_dropout": 0.5, "contrast_weight": 1e-3, "temperature": 0.2}
    for name, value in best.items():  # of Baby, in Section 4.5
        assert value in mentor.parameters[f"options.{name}"]


def test_every_model_has_a_space():
    assert {name.lower() for name in models.classes} | {"default"} == set(space_names())


@pytest.mark.parametrize("name", space_names())
def test_every_space_of_the_package_fits_the_preset_of_its_name(name):
    read_space(name).check({"mentor": "paper"}.get(name, name))


def test_numbers_are_numbers_however_they_are_written(space):
    parameters = space("a: [1e-3, 1.0e-2, 3, x]\nb: {low: 1e-4, high: 1, log: true}").parameters
    assert parameters["a"] == [0.001, 0.01, 3, "x"]
    assert parameters["b"] == Range(0.0001, 1.0, log=True)
    assert isinstance(parameters["b"].high, float)


def test_ranges_end_where_steps_do(space):
    parameters = space("a: {low: 5, high: 16, step: 5}\nb: {low: 0.1, high: 0.75, step: 0.1}")
    whole, fraction = parameters.parameters.values()
    assert (whole, fraction) == (Range(5, 15, step=5), Range(0.1, 0.7, step=0.1))
    assert (whole.size, fraction.size) == (3, 7)


def drawn(values, count=300):
    rng = np.random.default_rng(0)
    return {values.draw(rng) for _ in range(count)}


def test_draws_reach_every_value_and_no_other(space):
    assert drawn(Range(5, 15, step=5)) == {5, 10, 15}
    assert drawn(Range(0.1, 0.7, step=0.1)) == {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}
    assert drawn(Range(1, 4, log=True)) == {1, 2, 3, 4}
    assert space("k: {low: 2, high: 4}").parameters["k"] == Range(2, 4, step=1)


def test_log_ranges_draw_equal_ratios_equally_often():
    rng = np.random.default_rng(0)
    draws = np.array([Range(1e-4, 1e-2, log=True).draw(rng) for _ in range(2000)])
    assert 1e-4 <= draws.min() < draws.max() <= 1e-2
    assert abs(np.mean(draws < 1e-3) - 0.5) < 0.05
    even = np.array([Range(0.0, 1.0).draw(rng) for _ in range(2000)])
    assert abs(np.mean(even < 0.1) - 0.1) < 0.03


def test_a_point_becomes_settings_of_any_kind(space):
    text = "graph.merge: [null, equal, {visual: 1.0}]\noptions.align_levels: [[1, 2], [3]]\n"
    mixed = space(text + "train.lr: {low: 1e-4, high: 1e-2, log: true}")
    assert math.isinf(mixed.size)
    assert space(text).size == 6
    mixed.check("released")
    rng = np.random.default_rng(0)
    merges = []
    for _ in range(20):
        settings = mixed.settings(mixed.draw(rng))
        config = load_config("released", as_changes(settings))
        assert config.graph["merge"] == settings["graph.merge"]
        assert list(config.options["align_levels"]) == settings["options.align_levels"]
        assert config.train.lr == settings["train.lr"]
        merges.append(settings["graph.merge"])
    assert all(merge in merges for merge in (None, "equal", {"visual": 1.0}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "holds None"),
        ("- 1", r"holds \[1\]"),
        ("a: [", "isn't YAML"),
        ("1: [2]", "1 is no setting"),
        ("train.lr: 0.1", "train.lr is 0.1"),
        ("train.lr: []", "train.lr is an empty list"),
        ("train.lr: [0.1, 1e-1]", "train.lr lists 0.1 twice"),
        ("train.lr: [.nan]", r"train.lr is \[nan\]"),
        ("train.lr: {low: 1}", r"train.lr has \['low'\]"),
        ("train.lr: {low: 1, high: 2, lag: true}", "'lag'"),
        ("train.lr: {low: 2, high: 1}", "from 2 to 1; expected low below high"),
        ("train.lr: {low: a, high: 1}", "from 'a' to 1"),
        ("train.lr: {low: true, high: 2}", "from True to 2"),
        ("train.lr: {low: 0, high: .inf}", "from 0 to inf"),
        ("train.lr: {low: 0, high: 1.0, log: true}", "log with low 0"),
        ("train.lr: {low: 1, high: 2, log: true, step: 1}", "no step"),
        ("train.lr: {low: 1, high: 2, log: 1}", "log is 1"),
        (
            f"train.lr: {{low: 1, high: 1{400 * '0'}}}",
            r"from 1 to 10.*\.\.\..*; expected low below",
        ),
        ("train.lr: {low: -1.7e+308, high: 1.7e+308}", "expected a finite width"),
        ("train.lr: {low: 0, high: 1e300, step: 1e-10}", "step is 1e-10; expected fewer than"),
        ("train.lr: {low: 1, high: 10000000000000000}", "step is 1; expected fewer than"),
        (
            f"train.lr: {{low: 1, high: 2, {999 * 'a'}: 1}}",
            r"has \['a.{54}\.\.\.; expected low, high",
        ),
        (f"train.lr: [{999 * 'a'}, {999 * 'a'}]", r"lists \"a{56}\.\.\. twice; expected"),
        ("train.lr: {low: 0, high: 1, step: 0}", "step is 0"),
        ("train.lr: {low: 0, high: 1, step: 2}", "step is 2"),
        ("train.lr: {low: 0, high: 1, step: x}", "step is 'x'"),
    ],
)
def test_bad_files_are_told_in_a_line(space, text, found):
    with pytest.raises(InputError, match=found) as error:
        space(text)
    assert "space.yaml: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("options.mask_wait: [1]", "options.mask_wait: unknown option"),
        ("trian.lr: [1]", "unknown key 'trian'"),
        ("graph.k: [5, 0.5]", "graph.k: is 0.5; expected an integer"),
        ("graph.k: {low: 5.0, high: 10}", "graph.k: is 5.0; expected an integer"),
        ("train.lr: [1e-3, high]", "train.lr: is 'high'; expected a number"),
        ("train.lr: {low: -1, high: 1}", "train.lr: is -1"),
        ("train.seed: [0, 1]", "train.seed decides"),
        ("train.monitor: [recall@10]", "train.monitor decides"),
    ],
)
def test_settings_that_a_preset_does_not_take(space, text, found):
    with pytest.raises(InputError, match=found):
        space(text).check("paper")


def test_missing_files_and_unknown_names(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml: not found"):
        read_space(str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match=r"'mentro' is unknown; expected one of .*mentor"):
        read_space("mentro")
    (tmp_path / "latin.yaml").write_bytes(b"a: [\xe9]")
    with pytest.raises(InputError, match="byte 4 isn't UTF-8"):
        read_space(str(tmp_path / "latin.yaml"))
