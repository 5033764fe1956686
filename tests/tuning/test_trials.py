import csv
import io
import math

import numpy as np

from mentor_pyg.tuning.trials import Trial, best_grid, best_trial, trial_line, trials_csv


def trial(number, value, state="complete", reason="", **settings):
    return Trial(number, state, settings, value, reason=reason)


TRIALS = [
    trial(0, 0.1, p=0.5, f=1, other="a"),
    trial(1, 0.3, p=0.5, f=1, other="b"),
    trial(2, 0.2, p=0.5, f=2, other="b"),
    trial(3, 0.3, p=0.1, f=2, other="b"),
    trial(4, 0.9, "pruned", p=0.1, f=1, other="b"),
    trial(5, None, "failed", "nan, at once", p=0.1, f=10, other="b"),
]


def test_the_best_is_complete_and_the_first_of_equals():
    assert best_trial(TRIALS) is TRIALS[1]
    assert best_trial(TRIALS[4:]) is None


def test_heat_map_against_a_loop():
    found = best_grid(TRIALS, "p", "f")
    assert (found.columns, found.rows) == ([0.1, 0.5], [1, 2, 10])
    assert found.values.shape == (3, 2)
    for row, f in enumerate(found.rows):
        for column, p in enumerate(found.columns):
            complete = [t for t in TRIALS if t.state == "complete"]
            cell = [t.value for t in complete if t.settings["p"] == p and t.settings["f"] == f]
            assert np.array_equal(found.values[row, column], max(cell, default=math.nan), True)


def test_heat_map_orders_values_of_any_kind():
    values = [10, None, "x", 2.5, True, {"a": 1}]
    trials = [trial(i, 0.1, p=value, f=1) for i, value in enumerate(values)]
    found = best_grid(trials, "p", "f").columns
    assert [repr(v) for v in found] == ["2.5", "10", "None", "True", "'x'", "{'a': 1}"]


def test_heat_map_as_csv():
    rows = list(csv.reader(io.StringIO(best_grid(TRIALS, "p", "f").to_csv())))
    assert rows == [
        ["f \\ p", "0.1", "0.5"],
        ["1", "", "0.3"],
        ["2", "0.3", "0.2"],
        ["10", "", ""],
    ]


def test_table_of_trials():
    rows = list(csv.DictReader(io.StringIO(trials_csv(TRIALS, "recall@20"))))
    assert [row["trial"] for row in rows] == list("012345")
    assert [row["recall@20"] for row in rows] == ["0.1", "0.3", "0.2", "0.3", "0.9", ""]
    assert (rows[0]["p"], rows[0]["other"]) == ("0.5", "a")
    assert (rows[5]["state"], rows[5]["reason"]) == ("failed", "nan, at once")
    assert trials_csv([], "recall@20").count("\n") == 1


def test_lines_of_the_log():
    assert trial_line(TRIALS[1], "recall@20", TRIALS[1]) == (
        "trial    1  recall@20 0.3000 *  p=0.5  f=1  other=b"
    )
    assert "0.2000  p=" in trial_line(TRIALS[2], "recall@20", TRIALS[1])
    assert "pruned after epoch 0" in trial_line(TRIALS[4], "recall@20", None)
    assert "failed (nan, at once)" in trial_line(TRIALS[5], "recall@20", None)
