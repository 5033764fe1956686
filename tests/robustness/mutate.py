"""Puts faults into a module, one at a time, and prints those that its tests don't find.

python tests/robustness/mutate.py mentor_pyg/nn/loss.py tests/nn/test_loss.py --mutants 50
"""

import argparse
import ast
import gc
import importlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

PAIRS = "Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn, Add Sub, Mult Div, BitAnd BitOr, And Or"
OTHER: dict[type, type] = {ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult}
for pair in PAIRS.split(", "):
    a, b = (getattr(ast, name) for name in pair.split())
    OTHER |= {a: b, b: a}
SILENT = ast.JoinedStr, ast.Import, ast.ImportFrom
NAMES = "annotation", "returns", "decorator_list", "bases"
REMOVED = ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Return, ast.Continue, ast.Break
# The test that found the last fault runs first: it often finds the next one too.
OPTIONS = "-x", "-q", "--tb=no", "-p", "no:xdist", "--ff"
OPTIONS += "-W", "ignore::pytest.PytestAssertRewriteWarning"  # about hypothesis in PRELOADED
# Modules that every test would import again, a second each time:
PRELOADED = "torch", "torch_geometric", "scipy.stats", "pydantic.type_adapter", "pdb"
PRELOADED += ("hypothesis.internal.conjecture.engine",)


def places(node: ast.AST) -> Iterator[tuple[Any, Any, ast.AST]]:
    """What is within a node: what holds it, under which key, and itself."""
    for name, value in ast.iter_fields(node):
        is_list = isinstance(value, list)
        for key, child in enumerate(value) if is_list else [(name, value)]:
            if isinstance(child, ast.AST) and not isinstance(child, SILENT) and name not in NAMES:
                yield value if is_list else vars(node), key, child
                if not isinstance(child, ast.Raise):  # messages stay as they are
                    yield from places(child)


def faults(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in a node's place."""

    def other(**fields: Any) -> ast.AST:
        return type(node)(**{**vars(node), **fields})

    value = getattr(node, "value", None)
    is_docstring = isinstance(node, ast.Expr) and isinstance(value, ast.Constant)
    if isinstance(node, REMOVED) and not is_docstring:
        yield ast.Pass()
    if isinstance(node, ast.Constant) and isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(node, ast.Constant) and isinstance(value, int | float):
        yield from (ast.Constant(value + 1), ast.Constant(value - 1))
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OTHER:
        yield other(op=OTHER[type(node.op)]())
    if isinstance(node, ast.Compare):
        yield other(ops=[OTHER[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield other(test=ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Call) and len(node.args) > 1:
        yield other(args=[node.args[1], node.args[0], *node.args[2:]])
    if isinstance(node, ast.Call) and node.keywords and node.keywords[0].arg != "device":
        yield other(keywords=node.keywords[1:])


def mutants(path: Path) -> Iterator[tuple[str, str]]:
    """What is wrong in each faulty version of a module, and its source."""
    tree = ast.parse(path.read_text("utf-8"))
    for holder, key, node in list(places(tree)):
        for fault in faults(node):
            holder[key] = ast.fix_missing_locations(ast.copy_location(fault, node))
            before, after = (ast.unparse(x).split("\n")[0] for x in (node, fault))
            yield f"{path}:{node.lineno}: {before}  ->  {after}", ast.unparse(tree)
            holder[key] = node


def fails(path: Path, source: str, tests: list[str], seconds: int, cache: str) -> bool:
    """Whether the tests fail, or don't end, in a process where the module has this source."""
    child = os.fork()
    if not child:
        signal.alarm(seconds)
        for stream in range(3):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        read, faulty = SourceFileLoader.get_code, ".".join(path.with_suffix("").parts)

        def get_code(loader: SourceFileLoader, name: str) -> Any:
            return compile(source, str(path), "exec") if name == faulty else read(loader, name)

        SourceFileLoader.get_code = get_code
        os._exit(int(pytest.main([*OPTIONS, "-o", f"cache_dir={cache}", *tests])))
    return os.waitpid(child, 0)[1] != 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--mutants", type=int, default=50, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    sys.path.insert(0, os.getcwd())
    found = list(mutants(args.module))
    drawn = random.Random(args.seed).sample(range(len(found)), min(args.mutants, len(found)))
    with tempfile.TemporaryDirectory() as cache:
        start = time.monotonic()
        if fails(args.module, args.module.read_text("utf-8"), args.tests, 600, cache):
            parser.error(f"{' '.join(args.tests)}: fail without a fault; expected passing tests")
        seconds = 10 + 5 * int(time.monotonic() - start)
        missed = 0
        for place in sorted(drawn):
            what, source = found[place]
            if not fails(args.module, source, args.tests, seconds, cache):
                missed += 1
                print(what, flush=True)
    print(f"{args.module}: {len(drawn) - missed} of {len(drawn)} found")
    sys.exit(missed > 0)
