"""Imports go one way: a room uses the rooms above it in the table of CONTRIBUTING.md."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import mentor_pyg

PACKAGE = Path(mentor_pyg.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
FRONT = ("__init__.py", "__main__.py")
"""What offers names of all rooms, and the version."""


def rooms():
    """The floor of every room, from the top of the table down, by its path in the package."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    return {room: n for n, row in enumerate(rows) for room in re.findall("`(.*?)`", row)}


def floor_of(path):
    """The floor of a file or folder: that of the innermost room which it lies in."""
    found = [room for room in rooms() if f"{path}/".startswith(room) or path == room]
    return rooms()[max(found, key=len)] if found else None


def imports(tree, package):
    """Names of the package's modules that a module imports, but for type checkers alone."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    if isinstance(tree, ast.ImportFrom):
        base = package[: len(package) + 1 - tree.level] if tree.level else []
        base = [*base, *(tree.module or "").split(".")] if tree.module else base
        yield from (".".join([*base, alias.name]) for alias in tree.names)
    for part in ast.iter_child_nodes(tree):
        yield from imports(part, package)


def place(name):
    """The file or folder of an imported module or name, from the package's folder."""
    parts = name.split(".")[1:]
    while parts:
        path = PACKAGE.joinpath(*parts)
        if path.is_dir() or path.with_suffix(".py").exists():
            return "/".join(parts) + ("" if path.is_dir() else ".py")
        parts.pop()
    return None


@pytest.mark.parametrize("module", [str(m.relative_to(PACKAGE)) for m in MODULES])
def test_a_module_uses_the_rooms_above_its_own(module):
    if module in FRONT:
        return
    floor = floor_of(module)
    assert floor is not None, "in no room of the table"
    package = ["mentor_pyg", *Path(module).parent.parts]
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
    for name in imports(tree, package):
        used = place(name) if name.partition(".")[0] == "mentor_pyg" else None
        assert used is None or floor_of(used) <= floor, f"{name} lies below"


def test_every_room_of_the_table_is_there():
    assert all((PACKAGE / room).exists() for room in rooms())
    assert len(rooms()) > 20


PACKAGES = [m.name for m in pkgutil.walk_packages(mentor_pyg.__path__, "mentor_pyg.") if m.ispkg]


@pytest.mark.parametrize("package", ["mentor_pyg", *PACKAGES])
def test_no_public_name_hides_a_module(package):
    """Else ``import mentor_pyg.room.name`` would be one thing or the other."""
    found = importlib.import_module(package)
    modules = {module.name for module in pkgutil.iter_modules(found.__path__)}
    assert not modules & set(getattr(found, "__all__", []))
