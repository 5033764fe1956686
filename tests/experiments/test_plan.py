"""Plans as they are read: what they mean, and what is refused."""

import re
from datetime import date
from pathlib import Path

import pytest

from mentor_pyg import InputError
from mentor_pyg.experiments import Plan, Variant, plan_names, read_plan

SET = ("train.epochs=2", "train.lr=1e-2", "train.batch_size=128")


def test_plan_fills_in_what_is_left_out(write_plan):
    plan = read_plan(write_plan())
    assert [e.name for e in plan.variants] == ["LightGCN", "flat"]
    assert plan.variants[0].preset == "lightgcn"
    assert plan.variants[1].changes == (*SET, "options.num_layers=1")
    assert (plan.seeds, plan.trials, plan.metrics) == ((0, 1), 0, ("recall@20", "ndcg@20"))


def test_settings_from_outside_come_before_a_models_own(write_plan):
    plan = read_plan(write_plan(set=["train.lr=0.1"]), changes=["train.lr=0.2"])
    ours, flat = plan.variants
    assert ours.config().train.lr == 0.2
    assert flat.changes == ("train.lr=0.1", "train.lr=0.2", "options.num_layers=1")


def test_sweep_takes_every_combination(write_plan):
    sweep = {"options.num_layers": [1, 2], "train.lr": [0.1, 0.01, 0.001]}
    plan = read_plan(write_plan(models=["LightGCN"], sweep=sweep))
    assert len(plan.variants) == 6
    assert plan.variants[1].name == "LightGCN num_layers=1, lr=0.01"
    assert plan.variants[1].changes == (*SET, "options.num_layers=1", "train.lr=0.01")
    assert plan.variants[1].settings == {"options.num_layers": 1, "train.lr": 0.01}
    assert len({variant.slug for variant in plan.variants}) == 6


@pytest.mark.parametrize("name", plan_names())
def test_plans_of_the_package_are_sound(name, toy_folder):
    assert read_plan(name, {"toy": str(toy_folder)}).variants


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": []}, "unknown key 'model'"),
        ({"datasets": {}}, "datasets: there are none"),
        ({"datasets": ["data/toys"]}, "datasets are ['data/toys']; expected folders by name"),
        ({"datasets": "data/toys"}, "datasets are 'data/toys'"),
        ({"datasets": {"toy": 5}}, "datasets are {'toy': 5}"),
        ({"datasets": {"../../esc": "data/toys"}}, "datasets: name '../../esc'; expected letters"),
        ({"datasets": {"..": "data/toys"}}, "datasets: name '..'"),
        ({"datasets": {7: "data/toys"}}, "datasets: name 7"),
        ({"datasets": {"toy": "a", "Toy": "b"}}, "names 'Toy' and 'toy' are one on file"),
        (
            {"datasets": {"toy": "a", "toy.JSON": "b"}},
            "'toy.JSON' ends like a file of results",
        ),
        ({"datasets": {"x" * 101: "a"}}, "expected at most 100 characters"),
        ({"models": 5}, "models are 5; expected a list"),
        ({"models": "LightGCN"}, "models are 'LightGCN'; expected a list"),
        (
            {"models": [{"name": "LightGCN", "space": 5}]},
            "'LightGCN', space: is 5; expected",
        ),
        ({"trials": "abc"}, "trials: is 'abc'; expected an integer"),
        ({"trials": -3}, "trials: is -3; expected at least 0"),
        ({"trials": True}, "trials: is True; expected an integer"),
        ({"metrics": 5}, "metrics: is 5; expected a list of texts"),
        ({"metrics": "recall@20"}, "metrics: is 'recall@20'; expected a list"),
        ({"metrics": ["recall@30"]}, "metrics name 'recall@30', which 'LightGCN' doesn't measure"),
        ({"metrics": ["auc@20"]}, "metrics name 'auc@20'"),
        ({"reference": ["LightGCN"]}, "reference: is ['LightGCN']; expected a text"),
        ({"sweep": [1, 2]}, "sweep is [1, 2]; expected lists of values by setting"),
        ({"sweep": {"options.num_layers": 2}}, "options.num_layers is 2; expected a list"),
        ({"sweep": {5: [1]}}, "sweep: 5 is no setting"),
        ({"sweep": {"options.num_layers": [date(2020, 1, 1)]}}, "expected finite numbers"),
        ({"seeds": [0, 0]}, "seeds: 0 is repeated"),
        ({"seeds": [2**32]}, "seeds: 4294967296; expected whole numbers from 0 to 2^32 - 1"),
        ({"seeds": [0, -1]}, "seeds: -1; expected whole numbers"),
        ({"seeds": 5}, "seeds are 5"),
        ({"trials": 3, "models": [{"name": "LightGCN", "space": "x"}]}, "space 'x' is unknown"),
        ({"models": []}, "models are []"),
        ({"models": ["Nonesuch"]}, "has no preset 'nonesuch'"),
        ({"models": [3]}, "model 3; expected a name"),
        ({"models": [{"name": "LightGCN", "sets": []}]}, "unknown key 'sets'"),
        ({"models": ["LightGCN", "LightGCN"]}, "'LightGCN' is there twice"),
        (
            {"models": [{"name": n, "preset": "lightgcn"} for n in ("no/graph", "No graph")]},
            "models: 'no/graph' and 'No graph' would share a folder, No-graph; expected names that",
        ),
        ({"seeds": "0"}, "seeds are '0'"),
        ({"seeds": []}, "seeds are []"),
        ({"set": "train.lr=1"}, "set: is 'train.lr=1'"),
        ({"set": ["train.speed=1"]}, "train.speed: unknown option"),
        ({"reference": "MENTOR"}, "reference 'MENTOR' isn't among the models"),
    ],
)
def test_bad_plans(write_plan, content, message):
    with pytest.raises(InputError) as error:
        read_plan(write_plan(**content))
    assert message in str(error.value)
    assert "plan.yaml: " in str(error.value)


def test_names_stay_within_the_folder_of_the_results():
    """Also those of a plan that is made in Python."""
    with pytest.raises(InputError, match=r"datasets: name '\.\./x'; expected letters"):
        Plan({"../x": "data"}, ())
    with pytest.raises(InputError, match="'a' is there twice"):
        Plan({"x": "data"}, (Variant("a", "lightgcn"), Variant("a", "mfbpr")))
    for name in ("../../x", "/etc", "..", "a\\b", "é" * 300, "x" * 300):
        slug = Variant(name, "lightgcn").slug
        assert re.fullmatch(r"[A-Za-z0-9=+][A-Za-z0-9.=+-]*", slug), name
        assert len(slug) < 150
    assert Variant("x" * 300, "lightgcn").slug != Variant("x" * 301, "lightgcn").slug


def test_files_and_folders_are_named_from_the_folder_of_the_plan(write_plan, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("extends: lightgcn\ntrain: {epochs: 7}\n")
    (tmp_path / "space.yaml").write_text("train.lr: [0.1, 0.2]\n")
    models = [{"name": "mine", "preset": "mine.yaml", "space": "space.yaml"}]
    datasets = {"toys": "data/toys", "made": "synthetic", "baby": "baby", "far": "/data/far"}
    path = write_plan(models=models, datasets=datasets, trials=1, set=[])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in (path, "../plan.yaml"):
        plan = read_plan(name)
        assert plan.variants[0].config().train.epochs == 7
        assert len(plan.search(plan.variants[0]).space.parameters["train.lr"]) == 2
        assert Path(plan.datasets["toys"]).resolve() == tmp_path / "data" / "toys"
        known = {name: plan.datasets[name] for name in ("made", "baby", "far")}
        assert known == {"made": "synthetic", "baby": "baby", "far": "/data/far"}
    assert read_plan(path, {"toys": "data/toys"}).datasets == {"toys": "data/toys"}
    (tmp_path / "baby").mkdir()
    assert read_plan(path).datasets["baby"] == str(tmp_path / "baby")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": (0, 0)}, r"Plan\.seeds: is .*; expected a list of different whole numbers"),
        ({"seeds": ()}, r"Plan\.seeds: is "),
        ({"seeds": (-1,)}, r"Plan\.seeds: is "),
        ({"trials": -1}, r"Plan\.trials: is -1; expected at least 0"),
        ({"metrics": "recall@20"}, r"Plan\.metrics: is 'recall@20'; expected a list of texts"),
    ],
)
def test_plans_in_python_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        Plan({"x": "data"}, (Variant("a", "lightgcn"),), **options)


def test_plans_that_are_no_yaml_or_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="not found"):
        read_plan(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="plan 'none' is unknown"):
        read_plan("none")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="holds \\[1\\]"):
        read_plan(tmp_path / "list.yaml")


def test_measured_lists_decide_what_tables_may_show(write_plan):
    settings = ["train.ks=[5]", "train.monitor=recall@5"]
    plan = read_plan(write_plan(set=settings, metrics=["ndcg@5", "coverage@5"]))
    assert plan.metrics == ("ndcg@5", "coverage@5")
    with pytest.raises(InputError, match=r"metrics name 'recall@20', .* expected one of recall@5"):
        read_plan(write_plan(set=settings))
