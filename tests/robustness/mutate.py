"""Counts the faults that tests find: each is put into a module, and its tests must fail.

  python tests/robustness/mutate.py mentor_pyg/nn/loss.py tests/nn/test_loss.py
  python tests/robustness/mutate.py --mutants 200 --seed 1 mentor_pyg/nn/loss.py tests/nn

A fault is a comparison, an operator, a number, a condition, an argument or a statement that is
another, or isn't there. It prints those that no test noticed: either a test is missing, or the
fault changes nothing. Messages aren't changed.
"""

import argparse
import ast
import gc
import importlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And, ast.MatMult: ast.Add,
}  # fmt: skip
SILENT = ast.JoinedStr, ast.Import, ast.ImportFrom
NAMES = "annotation", "returns", "decorator_list", "bases"
OPTIONS = "-x", "-q", "--tb=no", "-p", "no:xdist", "-p", "no:cacheprovider"
REMOVED = ast.Assign, ast.AugAssign, ast.Raise, ast.Return, ast.Continue, ast.Break


def places(node: ast.AST) -> Iterator[tuple[Any, Any, ast.AST]]:
    """Where a node stands: what holds it, under which key, and itself."""
    for name, value in ast.iter_fields(node):
        held = enumerate(value) if isinstance(value, list) else [(name, value)]
        for key, child in held:
            if not isinstance(child, ast.AST) or isinstance(child, SILENT) or name in NAMES:
                continue
            yield value if isinstance(value, list) else vars(node), key, child
            if not isinstance(child, ast.Raise):
                yield from places(child)


def faults(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in a node's place."""
    is_text = isinstance(getattr(node, "value", None), ast.Constant)
    if isinstance(node, REMOVED) or (isinstance(node, ast.Expr) and not is_text):
        yield ast.Pass()
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OTHER:
        yield changed(node, op=OTHER[type(node.op)]())
    if isinstance(node, ast.Compare):
        yield changed(node, ops=[OTHER[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield changed(node, test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Call) and len(node.args) > 1:
        yield changed(node, args=[node.args[1], node.args[0], *node.args[2:]])
    if isinstance(node, ast.Call) and node.keywords:
        yield changed(node, keywords=node.keywords[1:])


def changed(node: ast.AST, **fields: Any) -> ast.AST:
    return type(node)(**{**vars(node), **fields})


def mutants(path: Path) -> list[tuple[str, str]]:
    """Every faulty version of a module, with what is wrong in it."""
    tree, found = ast.parse(path.read_text("utf-8")), []
    for holder, key, node in list(places(tree)):
        for fault in faults(node):
            ast.copy_location(fault, node)
            holder[key] = fault
            source = ast.unparse(ast.fix_missing_locations(deepcopy(tree)))
            holder[key] = node
            before, after = (ast.unparse(x).split("\n")[0] for x in (node, fault))
            found.append((f"{path}:{node.lineno}: {before}  ->  {after}", source))
    return found


def fails(path: Path, source: str, tests: list[str], seconds: float) -> bool:
    """Whether the tests fail, or don't end, in a process where the module has this source."""
    child = os.fork()
    if not child:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        name = ".".join(path.with_suffix("").parts)

        class Faulty(SourceFileLoader):
            def get_code(self, fullname: str) -> Any:
                return compile(source, str(path), "exec", dont_inherit=True)

        class Finder:
            @staticmethod
            def find_spec(fullname: str, folders: Any = None, target: Any = None) -> Any:
                found = PathFinder.find_spec(fullname, folders) if fullname == name else None
                if found is not None:
                    found.loader = Faulty(name, str(path.resolve()))
                return found

        sys.meta_path.insert(0, Finder)
        os._exit(int(pytest.main([*OPTIONS, *tests])))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status != 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--mutants", type=int, default=50, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in ("torch", "torch_geometric", "scipy.stats", "pydantic.type_adapter", "pdb"):
        importlib.import_module(name)  # once for all
    gc.freeze()
    sys.path.insert(0, os.getcwd())
    start = time.monotonic()
    if fails(args.module, args.module.read_text("utf-8"), args.tests, 600):
        parser.error(f"{' '.join(args.tests)}: fail without a fault; expected passing tests")
    seconds = 10 + 5 * (time.monotonic() - start)
    found = mutants(args.module)
    drawn = random.Random(args.seed).sample(found, min(args.mutants, len(found)))
    missed = [what for what, source in drawn if not fails(args.module, source, args.tests, seconds)]
    print(*missed, f"{args.module}: {len(drawn) - len(missed)} of {len(drawn)} found", sep="\n")
    return len(missed) > 0


if __name__ == "__main__":
    sys.exit(main())
