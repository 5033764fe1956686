"""Prints the lowest versions that pyproject.toml allows, one requirement a line.

torch is left out: its builds depend on the machine, so the caller names one.
"""

from pathlib import Path

import tomllib

pyproject = Path(__file__).parents[1] / "pyproject.toml"
for requirement in tomllib.loads(pyproject.read_text("utf-8"))["project"]["dependencies"]:
    name, _, version = requirement.partition(">=")
    if name != "torch":
        print(f"{name}=={version.split(',')[0]}")
