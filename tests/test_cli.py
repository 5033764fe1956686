"""The command as such: help, output, exit codes."""

import io
import json
import re
import shlex
import subprocess
import sys

import pytest

from mentor_pyg import __version__, cli
from mentor_pyg.cli import main
from mentor_pyg.commands import Output, commands
from mentor_pyg.config import load_config, preset_names
from mentor_pyg.run import train_run
from mentor_pyg.source import open_source


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
    assert capsys.readouterr().out.strip() == __version__
    assert exit_code([]) == 2
    assert exit_code(["fly"]) == 2


def test_as_a_module():
    command = [sys.executable, "-W", "ignore", "-m", "mentor_pyg", "info", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["presets"] == preset_names()


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
    metrics = train_run(load_config("lightgcn", epochs=2), source, out, "cpu", progress=False)
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
