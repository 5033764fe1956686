import sqlite3
import sys
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from mentor_pyg import InputError
from mentor_pyg.training.config import FitResult
from mentor_pyg.tuning.space import Range, SearchSpace

pytest.importorskip("optuna")

from mentor_pyg.tuning.study import FEW_TRIALS, TRIALS, Study

MONITOR = "recall@20"
SMALL = SearchSpace("small", {"a": [1, 1.0, True], "b": Range(0.1, 0.2, step=0.1)})
LINE = SearchSpace("line", {"x": Range(0.0, 1.0)})

pytestmark = pytest.mark.usefixtures("quick_commits")


class Scripted:
    """Scores settings by a function, which epochs approach; keeps what was asked."""

    def __init__(self, score, epochs=4):
        self.score, self.epochs, self.asked = score, epochs, []

    def __call__(self, settings, callback):
        self.asked.append(settings)
        result = FitResult()
        for epoch in range(1, self.epochs + 1):
            value = self.score(settings) * epoch / self.epochs
            result.history.append({"epoch": epoch, "seconds": 1.0, MONITOR: value})
            result.best_epoch, result.val = epoch, {MONITOR: value}
            callback.on_epoch_end(SimpleNamespace(result=result))
        return result


@pytest.fixture
def study(tmp_path):
    """A function that opens the study of one file, which is closed before if it is open."""
    opened = []

    def study(space=LINE, **options):
        for each in opened:
            each.close()
        opened.append(Study(tmp_path / "study.db", space, MONITOR, **options))
        return opened[-1]

    yield study
    for each in opened:
        each.close()


def run(study, objective, count=None):
    return study.run(objective, count, progress=False)


def by_x(settings):
    return settings["x"]


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_every_point_is_tried_once_and_then_the_search_ends(study, sampler):
    objective = Scripted(lambda settings: settings["b"])
    trials = run(study(SMALL, sampler=sampler), objective, 100)
    assert len(trials) == len(objective.asked) == SMALL.size == 6
    points = {(repr(s["a"]), s["b"]) for s in objective.asked}
    assert points == {(a, b) for a in ("1", "1.0", "True") for b in (0.1, 0.2)}
    assert [t.number for t in trials] == list(range(6))


def test_a_grid_is_tried_whole_if_nobody_says_otherwise(study, monkeypatch):
    monkeypatch.setattr("mentor_pyg.tuning.study.TRIALS", 2)
    space = SearchSpace("line", {"x": Range(1, 4, step=1)})
    trials = run(study(space, sampler="grid"), Scripted(by_x))
    assert sorted(t.settings["x"] for t in trials) == [1, 2, 3, 4]


def test_other_searches_have_thirty_trials_if_nobody_says_otherwise(study, monkeypatch):
    assert TRIALS == 30
    monkeypatch.setattr("mentor_pyg.tuning.study.TRIALS", 2)
    assert len(run(study(), Scripted(by_x))) == 2


def test_a_grid_needs_steps(study):
    with pytest.raises(InputError, match="line: has a range of fractions without a step"):
        study(LINE, sampler="grid")
    with pytest.raises(InputError, match=r"Study\.sampler: is 'gird'; expected one of 'tpe'"):
        study(LINE, sampler="gird")


def test_trials_hold_what_came_of_them(study):
    trial = run(study(), Scripted(by_x), 1)[0]
    assert (trial.state, trial.best_epoch, trial.epochs_run) == ("complete", 4, 4)
    assert (trial.value, trial.seconds, trial.reason) == (trial.settings["x"], 4.0, "")


def test_tpe_finds_the_top_of_a_hill(study):
    trials = run(study(), Scripted(lambda s: 1 - abs(s["x"] - 0.3)), 20)
    late = [abs(t.settings["x"] - 0.3) for t in trials[15:]]
    assert sum(late) / len(late) < 0.1  # 0.29 by chance


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_an_interrupted_search_ends_like_one_that_was_not(study, tmp_path, sampler):
    class Interrupted(Scripted):
        def __call__(self, settings, callback):
            if len(self.asked) in (1, 11):
                self.asked.append(settings)
                raise KeyboardInterrupt
            return super().__call__(settings, callback)

    objective = Interrupted(by_x)
    for done in (1, 10):
        with pytest.raises(KeyboardInterrupt):
            run(study(sampler=sampler), objective, 12)
        assert len(study(sampler=sampler).trials()) == done
    trials = run(study(sampler=sampler), objective, 12)
    assert len(objective.asked) == 12 + 2
    with Study(tmp_path / "other.db", LINE, MONITOR, sampler=sampler) as other:
        assert run(other, Scripted(by_x), 12) == trials
        assert run(other, Scripted(by_x), 12) == trials  # nor is there one more


def test_a_trial_killed_between_its_outcome_and_its_end_counts(study):
    first = study()
    first._tell = lambda number, outcome: None  # as if the process were gone
    trial = run(first, Scripted(by_x), 1)[0]
    again = study()
    assert again.trials() == [trial]
    assert [t.state.name for t in again.study.get_trials()] == ["COMPLETE"]


def test_a_point_that_waits_after_a_kill_is_taken_up(study):
    first = study(sampler="random")
    first.study.ask = lambda distributions: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        run(first, Scripted(by_x), 2)
    again = study(sampler="random")
    assert [t.state.name for t in again.study.get_trials()] == ["WAITING"]
    run(again, Scripted(by_x), 2)
    assert [t.state.name for t in again.study.get_trials()] == ["COMPLETE", "COMPLETE"]


def test_the_seed_decides(study, tmp_path):
    first = run(study(sampler="random", seed=1), Scripted(by_x), 3)
    for seed, is_equal in ((1, True), (2, False)):
        with Study(tmp_path / f"{seed}.db", LINE, MONITOR, sampler="random", seed=seed) as other:
            assert (run(other, Scripted(by_x), 3) == first) is is_equal


def one_after_another(*scores):
    """An objective whose trials have these scores."""
    rest = iter(scores)

    def objective(settings, callback):
        score = next(rest)
        return Scripted(lambda _: score)(settings, callback)

    return objective


def test_bad_trials_are_pruned_after_the_epochs_they_are_given(study):
    objective = one_after_another(0.8, 0.8, 0.8, 0.8, 0.8, 0.9, 0.1)
    *kept, bad = run(study(sampler="random", prune_after=3), objective, 7)
    assert {t.state for t in kept} == {"complete"}
    assert (bad.state, bad.epochs_run, bad.value) == ("pruned", 3, pytest.approx(0.1 * 3 / 4))


def test_without_pruning_none_is_given_up(study):
    objective = one_after_another(0.8, 0.8, 0.8, 0.8, 0.8, 0.9, 0.1)
    trials = run(study(sampler="random", prune_after=None), objective, 7)
    assert {t.state for t in trials} == {"complete"}


@pytest.mark.parametrize(
    "error", [InputError("epoch 1: loss\nis nan"), torch.OutOfMemoryError("x")]
)
def test_a_failing_trial_counts_and_the_search_goes_on(study, caplog, error):
    def fails_first(settings, callback):
        if not objective.asked:
            objective.asked.append(settings)
            raise error
        return objective(settings, callback)

    objective = Scripted(by_x)
    caplog.set_level("INFO", "mentor_pyg")
    trials = run(study(), fails_first, 2)
    assert [t.state for t in trials] == ["failed", "complete"]
    reason = str(error).splitlines()[0]
    assert (trials[0].value, trials[0].reason) == (None, reason)
    assert f"trial    0  failed ({reason})  x=" in caplog.text
    assert run(study(), objective, 2) == trials


def test_other_errors_end_the_search(study):
    with pytest.raises(ZeroDivisionError):
        run(study(), Scripted(lambda settings: 1 / 0), 2)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"space": SMALL}, r"space.x = .*this search has None|space.a = None"),
        ({"identity": {"data": "b"}}, "begun with data = 'a', this search has 'b'"),
        ({"sampler": "random"}, "sampler = 'tpe', this search has 'random'"),
        ({"seed": 1}, "seed = 0, this search has 1"),
        ({"prune_after": None}, "prune_after = 5, this search has None"),
    ],
)
def test_another_search_is_refused_with_the_difference(study, changes, found):
    study(identity={"data": "a"})
    with pytest.raises(InputError, match=found):
        study(**{"identity": {"data": "a"}, **changes})


def test_another_metric_is_refused(study, tmp_path):
    study().close()
    with pytest.raises(InputError, match=r"monitor = 'recall@20', this search has 'ndcg@20'"):
        Study(tmp_path / "study.db", LINE, "ndcg@20")


def test_a_study_is_open_once(study, tmp_path, monkeypatch):
    search = study()
    with pytest.raises(InputError, match=r"study.db: is open in another study"):
        Study(tmp_path / "study.db", LINE, MONITOR)
    search.close()
    monkeypatch.setattr("mentor_pyg._util.locks.GRACE", 0)
    other = FileLock(tmp_path / ".lock")  # as in another process
    with other, pytest.raises(InputError, match="is being written by another process"):
        study()
    assert len(run(study(), Scripted(by_x), 1)) == 1


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%41b", "a{b}", "a b;c", "ä'\"&=1"])
def test_folders_whose_names_mean_something_in_addresses(tmp_path, name):
    folder = tmp_path / name
    with Study(folder / "study.db", LINE, MONITOR) as search:
        run(search, Scripted(by_x), 1)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["study.db"]


def test_a_file_that_is_no_study(tmp_path):
    path = tmp_path / "study.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(InputError, match=r"study.db: can't be opened \(.*not a database"):
        Study(path, LINE, MONITOR)


def test_without_optuna_the_extra_is_named(study, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"expected `pip install 'mentor_pyg\[tune\]'`"):
        study()
    assert not (tmp_path / "study.db").exists()


def test_importance_needs_trials_and_finds_what_matters(study):
    space = SearchSpace("two", {"x": Range(0.0, 1.0), "y": Range(0.0, 1.0)})
    search = study(space, sampler="random")
    run(search, Scripted(by_x), FEW_TRIALS - 1)
    assert search.importance() == {}
    run(search, Scripted(by_x), 2 * FEW_TRIALS)
    importance = search.importance()
    assert importance["x"] > 0.8
    assert sum(importance.values()) == pytest.approx(1)


def test_importance_of_equal_trials_is_not_told(study):
    search = study(sampler="random")
    run(search, Scripted(lambda settings: 0.5), FEW_TRIALS)
    assert search.importance() == {}


def test_the_file_is_closed(study, tmp_path):
    with Study(tmp_path / "closed.db", LINE, MONITOR) as search:
        run(search, Scripted(by_x), 1)
    with sqlite3.connect(tmp_path / "closed.db", timeout=0) as connection:
        assert connection.execute("select count(*) from trials").fetchone() == (1,)
    connection.close()


def test_a_full_disk_ends_a_search_which_goes_on_later(study, tmp_path, small_disk):
    search = study(sampler="random")
    full = small_disk((tmp_path / "study.db").stat().st_size)
    with full, pytest.raises(InputError, match=r"study\.db: can't be written \(.*\); expected"):
        run(search, Scripted(by_x), 500)
    kept = search.trials()
    search.close()
    assert run(study(sampler="random"), Scripted(by_x), len(kept) + 1)[:-1] == kept
