"""Models of other packages; docs/howto/plugin.md is a whole package of one."""

import importlib
import json
import shutil
import sys

import pytest

from mentor_pyg import InputError, Recommender
from mentor_pyg.cli.main import main
from mentor_pyg.nn import models
from mentor_pyg.runs.config import RunConfig, load_config
from mentor_pyg.runs.registry import find_model, model_versions, plugins

MODULE = """
import torch
from mentor_pyg import BaseRecommender
from mentor_pyg.nn.models import LightGCN, SolvedRecommender

class Mine(LightGCN):
    def __init__(self, num_users, num_items, num_layers: int = 1):
        super().__init__(num_users, num_items, 8, num_layers)

class Outer:
    Inner = Mine

class Half(torch.nn.Module):
    def losses(self, data, batch): ...

class Abstract(BaseRecommender):
    def forward(self, data): ...

class Unsolved(SolvedRecommender):
    def forward(self, data): ...

def function(): ...
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Writes a package of one module, and the entry points that it is installed with; its folder.

    The module is forgotten again afterwards.
    """
    names = []

    def install(name="mine_pkg", entries=(), code=MODULE, dist=None):
        dist = dist or name.replace("_", "-")
        folder = tmp_path / "site" / dist
        about = folder / f"{dist.replace('-', '_')}-1.5.dist-info"
        about.mkdir(parents=True)
        (folder / f"{name}.py").write_text(code)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.5\n")
        lines = "\n".join(entries)
        (about / "entry_points.txt").write_text(f"[mentor_pyg.models]\n{lines}\n")
        (about / "top_level.txt").write_text(name)
        monkeypatch.syspath_prepend(folder)
        importlib.invalidate_caches()
        names.append(name)
        return folder

    yield install
    for name in names:
        sys.modules.pop(name, None)


def test_the_library_s_own_models_come_first(install):
    install(entries=["LightGCN = mine_pkg:Mine"])
    assert all(find_model(name, "x") is getattr(models, name) for name in models.classes)
    assert model_versions("LightGCN") == {}


@pytest.mark.parametrize("name", ["Mine", "My model", "mine_pkg:Mine", "mine_pkg:Outer.Inner"])
def test_plug_ins_and_classes_of_modules(install, name):
    install(entries=["Mine = mine_pkg:Mine", "My model = mine_pkg:Outer.Inner"])
    config = RunConfig("x", name, {"num_layers": 2})
    assert config.model_class is importlib.import_module("mine_pkg").Mine
    assert not config.needs_content
    assert model_versions(name) == {"mine-pkg": "1.5"}
    assert load_config("lightgcn", [f"model={name}", "options={num_layers: 3}"]).model == name
    with pytest.raises(InputError, match=r"options\.num_layers: is 'a'; expected an integer"):
        RunConfig("x", name, {"num_layers": "a"})
    with pytest.raises(InputError, match=r"options\.dropout: unknown option; expected one of num"):
        RunConfig("x", name, {"dropout": 0.1})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "is None; expected one of MENTOR, .*, Mine, .*or module:Class$"),
        (["MENTOR"], r"is \['MENTOR'\]; expected one of"),
        ("Lightgcn", "is 'Lightgcn'; expected one of MENTOR"),
        ("mine_pkg", "is 'mine_pkg'; expected one of MENTOR"),
        ("none_pkg.sub:Mine", "but there is no module none_pkg; expected an importable one"),
        ("mine_pkg.sub:Mine", r"but there is no module mine_pkg\.sub; expected an|can't be impor"),
        ("mine_pkg:Nine", "but mine_pkg has no Nine; expected one of LightGCN, Mine$"),
        ("mine_pkg:Mine.Nine", r"but mine_pkg has no Mine\.Nine; expected"),
        ("json:Mine", "but json has no Mine; expected a model there"),
        (
            "mine_pkg:Half",
            r"but Half lacks the base class mentor_pyg.BaseRecommender, 'forward'; e",
        ),
        ("mine_pkg:Abstract", "but Abstract lacks 'losses'; expected a BaseRecommender with"),
        ("mine_pkg:Unsolved", "but Unsolved lacks 'solve'; expected a BaseRecommender with"),
        ("mine_pkg:BaseRecommender", "but BaseRecommender lacks 'forward', 'losses'; expected"),
        (
            "mine_pkg:function",
            r"but function lacks the base class mentor_pyg\.BaseRecommender, 'fo",
        ),
        (
            "mine_pkg:torch",
            r"but torch lacks the base class mentor_pyg\.BaseRecommender, 'forward'",
        ),
        ("os.path:join(1)", r"expected module:Class, such as my_package\.models:MyModel"),
        (":Mine", "expected module:Class, such as"),
        ("mine_pkg:", "expected module:Class, such as"),
        ("Wrong", "is 'Wrong', which is mine_pkg of mine-pkg 1.5; expected module:Class"),
        ("Gone", "which is gone_pkg:X of mine-pkg 1.5, but there is no module gone_pkg"),
        (
            "Twice",
            "which is mine_pkg:Mine of mine-pkg 1.5 and other_pkg:Mine of other-pkg 1.5; exp",
        ),
        (
            "broken_pkg:X",
            r"but broken_pkg can't be imported \(ValueError: two\); expected an importable",
        ),
        (
            "needy_pkg:X",
            r"but needy_pkg can't be imported \(ModuleNotFoundError: No module named 'n",
        ),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(install, name, message):
    entries = ["Mine = mine_pkg:Mine", "Wrong = mine_pkg", "Gone = gone_pkg:X"]
    install(entries=[*entries, "Twice = mine_pkg:Mine"])
    install("other_pkg", entries=["Twice = other_pkg:Mine"])
    install("broken_pkg", code="raise ValueError('two\\nlines')")
    install("needy_pkg", code="import nobody_has_this")
    with pytest.raises(InputError, match=rf"^x: model .*{message}") as error:
        find_model(name, "x")
    assert "\n" not in str(error.value)


def test_the_same_entry_of_two_packages_is_no_clash(install):
    install(entries=["Mine = mine_pkg:Mine"])
    install("other_pkg", entries=["Mine = mine_pkg:Mine"])
    assert find_model("Mine", "x") is importlib.import_module("mine_pkg").Mine
    assert list(plugins()) == ["Mine"]


def test_plug_ins_are_listed(install, capsys):
    install(entries=["Mine = mine_pkg:Mine", "Gone = gone_pkg:X"])
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert "Mine: mine_pkg:Mine of mine-pkg 1.5\n" in text
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["plugins"]
    assert found == {
        "Gone": ["gone_pkg:X of mine-pkg 1.5"],
        "Mine": ["mine_pkg:Mine of mine-pkg 1.5"],
    }


@pytest.mark.parametrize("name", ["Mine", "mine_pkg:Mine"])
def test_runs_of_such_a_model(install, name, toy_folder, tmp_path, capsys):
    folder, out = install(entries=["Mine = mine_pkg:Mine"]), tmp_path / "out"
    preset = tmp_path / "mine.yaml"
    preset.write_text(f"model: '{name}'\ntrain: {{epochs: 1, lr: 0.01}}\n")
    train = ["train", "--data", str(toy_folder), "--preset", str(preset), "--out", str(out)]
    assert main([*train, "--quiet"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["model"], metrics["versions"]["mine-pkg"]) == (name, "1.5")
    commands = [["train", "--resume", str(out)], ["evaluate", str(out)]]
    commands += [["recommend", str(out), "--user", "0"], ["info", str(out)]]
    commands += [["report", str(out), "--out", str(tmp_path / "page.html")]]
    assert [main([*command, "--quiet"]) for command in commands] == [0] * 5
    assert len(Recommender.load(out, progress=False).recommend([0], k=3).items) == 3
    shutil.rmtree(folder)
    sys.modules.pop("mine_pkg")
    importlib.invalidate_caches()
    missing = {
        "Mine": f"{out}/FILE: model is 'Mine'; expected mine-pkg 1.5 to be installed, with",
        "mine_pkg:Mine": f"{out}/FILE: model is 'mine_pkg:Mine', but there is no module mine_pkg",
    }[name]
    capsys.readouterr()
    for command, file in zip(commands[:3], ("last.pt", "best.safetensors", "best.safetensors")):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert missing.replace("FILE", file) in err
        assert err.count("\n") == 1
    assert main(commands[3]) == 0  # of a finished run, whose results are there
