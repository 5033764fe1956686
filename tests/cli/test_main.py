"""The command as such: help, output, exit codes."""

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import mentor_pyg
from mentor_pyg.cli import Output, commands
from mentor_pyg.cli import main as cli
from mentor_pyg.cli.main import main
from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs.config import load_config, preset_names
from mentor_pyg.runs.run import train


def exit_code(argv):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    return ended.value.code


def test_help_names_every_command(capsys):
    assert exit_code(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n    {name}" in shown for name in commands)


@pytest.mark.parametrize("name", commands)
def test_help_of_a_command_teaches_by_examples(name, capsys):
    assert exit_code([name, "--help"]) == 0
    shown = capsys.readouterr().out
    shown = shown.replace("\\\n", " ")
    examples = re.findall(f"^ *mentor-pyg ({name}.*)", shown, re.MULTILINE)
    assert examples
    for example in examples:
        cli.make_parser().parse_args(shlex.split(example, comments=True))
    assert "--json" in shown
    assert "--quiet" in shown


def test_version_and_unknown_commands(capsys):
    assert exit_code(["--version"]) == 0
    assert capsys.readouterr().out.strip() == metadata.version("mentor_pyg")
    assert exit_code([]) == 2
    assert exit_code(["fly"]) == 2


def test_as_a_module():
    command = [sys.executable, "-W", "ignore", "-m", "mentor_pyg", "info", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["presets"] == preset_names()


NO_PATHS = {
    *("confidence", "device", "duplicates", "features", "feature_ids", "groups", "heat_map"),
    *("item_column", "item_id_column", "items_of_new_user", "ks", "metric", "metrics", "name"),
    *("new_scale", "rating_column", "seeds", "set", "similar_to", "text_columns", "time_column"),
    *("title", "user", "user_bounds", "user_column"),
}
"""Options whose values are texts, but no paths; `--data NAME=DIR` and `--features` have some."""


@pytest.mark.parametrize("name", commands)
def test_every_path_may_begin_at_home(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    parsers = next(a.choices for a in cli.make_parser()._actions if a.choices)
    for action in parsers[name]._actions:
        is_text = action.nargs != 0 and not action.choices and action.dest not in NO_PATHS
        if is_text and action.type not in (int, float) and action.metavar != "NAME=DIR":
            assert str(action.type("~/x")) == "/home/me/x", action.dest
            assert str(action.type("x~")) == "x~"


def test_home_in_pairs_of_names_and_paths(toy_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text("models: [LightGCN]\ndatasets: {toy: ~/nowhere}\n")
    for args in (["--data=toy=~/nowhere"], []):
        assert main(["compare", "~/plan.yaml", "--out=~/out", *args]) == 2
        assert f"error: {tmp_path}/nowhere: not found" in capsys.readouterr().err
    assert not (tmp_path / "~").exists()


def test_a_home_that_nobody_knows(monkeypatch, capsys):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert exit_code(["train", "--out=~/runs"]) == 2
    assert main(["compare", "baselines", "--out=runs", "--data=toy=~/runs"]) == 2
    message = "~/runs: there is no home folder; expected a path without ~"
    assert capsys.readouterr().err.count(message) == 2


def test_an_empty_path_is_no_folder(capsys):
    assert exit_code(["prepare", "log.csv", "--out", ""]) == 2
    assert "--out: is ''; expected a path" in capsys.readouterr().err


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["mentor_pyg.cli.arguments.info", "mentor_pyg.cli.info"])
def test_an_interrupt_during_imports_is_quiet(sent, module):
    """The module that is slow here is what PyTorch is at other times."""
    code = f"""
import importlib, os, signal, sys
from mentor_pyg.cli import main as cli
right_import = importlib.import_module
def slow_import(name):
    if name == "{module}":
        os.kill(os.getpid(), signal.{sent})
    return right_import(name)
importlib.import_module = slow_import
sys.exit(cli.main(["info"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


SLOW = [
    *("torch", "torch_geometric", "numpy", "scipy", "pandas", "pydantic", "tqdm", "filelock"),
    *("optuna", "matplotlib", "sklearn"),
]


def test_help_and_version_import_nothing_that_takes_long():
    """Each parser is asked in one process, and so are `--version` and a mistyped option."""
    arguments = [["--version"], ["--help"], ["train", "--sett", "x"], ["fly"]]
    code = f"""
import contextlib, io, sys
import mentor_pyg, mentor_pyg.__main__
from mentor_pyg.cli.main import main
for arguments in {[*arguments, *([name, "--help"] for name in commands)]}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            main(arguments)
print([name for name in {SLOW} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_changelog_has_the_version():
    root = Path(__file__).parents[2]
    (version,) = re.findall('^version = "(.*)"', (root / "pyproject.toml").read_text(), re.M)
    assert re.search(
        rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(), re.M
    )


def test_a_checkout_that_is_not_installed_has_no_number(tmp_path):
    shutil.copytree(Path(mentor_pyg.__file__).parent, tmp_path / "elsewhere" / "mentor_pyg")
    code = (
        "import sys; sys.path[:] = sys.argv[1:]; from mentor_pyg import __version__ as v; print(v)"
    )
    standard = [path for path in sys.path if path and "site-packages" not in path]
    paths = [str(tmp_path / "elsewhere"), *standard]
    command = [sys.executable, "-S", "-c", code, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "0+unknown\n"


def test_everything_can_be_imported_on_windows():
    """Where there are no modules of POSIX, and the system doesn't tell the memory."""
    code = """
import sys, warnings
warnings.simplefilter("ignore")
import filelock, torch, torch_geometric  # as they are for Windows
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
from mentor_pyg.cli import main as cli
from mentor_pyg._util import environment
from mentor_pyg.cli import commands
for name in commands:
    cli.importlib.import_module(f"mentor_pyg.cli.{name}")
assert environment.peak_memory_mb(torch.device("cpu")) is None
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_train_prints_json_and_nothing_else(toy_folder, tmp_path, capsys):
    args = ["--preset", "lightgcn", "--epochs", "2", "--out", str(tmp_path / "out")]
    assert main(["train", "--data", str(toy_folder), *args, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert err == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_terminal_without_unicode(monkeypatch, as_json):
    stream = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(stream, encoding="ascii"))
    cli._print(Output("0.5 ± 0.1", {"name": "±"}), as_json)
    printed = stream.getvalue().decode()
    assert json.loads(printed) == {"name": "±"} if as_json else printed == "0.5 \\xb1 0.1\n"


def test_info_of_the_installation(capsys):
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert "MENTOR" in shown
    assert "torch_geometric" in shown


def test_info_of_a_dataset(toy_folder, capsys):
    assert main(["info", str(toy_folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["users"] == 60
    assert main(["info", str(toy_folder)]) == 0
    assert "12-d features" in capsys.readouterr().out


def test_info_of_a_run_finished_or_not(toy_folder, tmp_path, capsys):
    out = tmp_path / "out"
    source = open_source(toy_folder)
    metrics = train(load_config("lightgcn", epochs=2), source, out, "cpu", progress=False)
    assert main(["info", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == metrics
    (out / "metrics.json").unlink()
    assert main(["info", str(out)]) == 0
    assert f"mentor-pyg train --resume {out}" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"test": {}}'])
def test_info_of_a_damaged_run(tmp_path, capsys, content):
    (tmp_path / "metrics.json").write_text(content)
    assert main(["info", str(tmp_path)]) == 2
    assert re.search(r"metrics\.json: .*; expected", capsys.readouterr().err)


def test_info_of_nothing(tmp_path, capsys):
    assert main(["info", str(tmp_path / "none")]) == 2
    assert "not found" in capsys.readouterr().err


def test_a_full_disk_behind_the_output(monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["info"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: standard output: can't be written (No space left on device); ")
    assert err.count("\n") == 1
