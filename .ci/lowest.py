"""Prints the lowest versions that pyproject.toml allows, one requirement a line.

torch is left out: its builds depend on the machine, so the caller names one. TOML is read by a
pattern, since Python 3.10 has no reader of it.
"""

import re
from pathlib import Path

text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
dependencies = text.partition("\ndependencies = [")[2].partition("\n]")[0]
for name, version in re.findall(r'^ *"([\w-]+)>=([\d.]+)', dependencies, re.MULTILINE):
    if name != "torch":
        print(f"{name}=={version}")
