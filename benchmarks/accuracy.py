"""Trains everything that README and the documentation report, and records it in docs/results.

    python benchmarks/accuracy.py --data data --out runs/results --parallel 2
    python benchmarks/tables.py          # then fills the tables of the documents

Plans run one after the other; a plan that was interrupted continues where it stopped. The
checkout must be clean, and all runs of a plan are of one commit, which the records name.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from machine import describe

from mentor_pyg import InputError
from mentor_pyg._util.files import write_text
from mentor_pyg.analysis import Findings
from mentor_pyg.evaluation import Difference
from mentor_pyg.experiments import Comparison, Plan, compare, read_plan
from mentor_pyg.experiments.comparison import Result
from mentor_pyg.experiments.published import published_figures
from mentor_pyg.runs.config import load_config

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "docs" / "results"

PLANS = {
    "same_loss": ["tiktok", "instruments", "baby", "sports"],
    "mentor_parts": ["tiktok", "instruments"],
    "tiktok": ["tiktok"],
    "instruments": ["instruments"],
    "no_content": ["baby", "sports"],
    "mentor_ablation": ["tiktok"],
    "mmssl_ablation": ["tiktok"],
}
"""Plans of the package with the datasets that each runs on."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", default="data", help="folder with the datasets' folders")
    parser.add_argument("--out", default="runs/results", help="folder of the runs")
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    parser.add_argument("--plans", default=",".join(PLANS), help="plans, e.g. tiktok,text")
    args = parser.parse_args(arguments)
    names = args.plans.split(",")
    for name in names:
        if name not in PLANS:
            raise InputError(f"--plans: is '{name}'; expected some of {', '.join(PLANS)}")
    commit = clean_commit(ROOT)
    plans = [opened(name, Path(args.data)) for name in names]  # all checks before any work
    for name, plan in zip(names, plans):
        out = Path(args.out) / name
        check_commit(out, commit)
        for comparison in compare(plan, out, args.parallel):
            several = len(comparison.results) > 1
            findings = comparison.significance() if several else None
            path = RECORDS / f"{name}-{comparison.dataset}.json"
            write_text(path, json.dumps(record(comparison, findings, commit), indent=1) + "\n")
            print(path)


def clean_commit(root: Path) -> str:
    """The commit of a checkout without changes.

    Raises:
        InputError: If files were changed, so that no commit describes the code.
    """
    changed = _git(root, "status", "--porcelain")
    if changed:
        first = changed.splitlines()[0]
        raise InputError(f"{root}: has changes ({first}); expected a clean checkout")
    return _git(root, "rev-parse", "HEAD")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode != 0:
        raise InputError(f"git {arguments[0]}: {done.stderr.strip()}; expected a git checkout")
    return done.stdout.strip()


def opened(name: str, data: Path) -> Plan:
    folders = {dataset: data / dataset for dataset in PLANS[name]}
    for folder in folders.values():
        if not folder.is_dir():
            raise InputError(f"{folder}: not found; expected a dataset (see docs/datasets.md)")
    plan = read_plan(name, {dataset: str(folder) for dataset, folder in folders.items()})
    return replace(plan, datasets={key: plan.datasets[key] for key in folders})


def check_commit(out: Path, commit: str) -> None:
    """Refuses to mix runs of two commits; remembers that of the first."""
    path = out / "commit.txt"
    if not path.exists():
        write_text(path, commit + "\n")
    elif (found := path.read_text().strip()) != commit:
        raise InputError(
            f"{path}: the runs are of commit {found[:10]}; expected {commit[:10]}, "
            "that checkout again, or another --out"
        )


def record(comparison: Comparison, findings: Findings | None, commit: str) -> dict[str, Any]:
    """What a document may say about a comparison."""
    return {
        "dataset": comparison.dataset,
        "commit": commit,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "machine": describe(),
        "seeds": list(comparison.plan.seeds),
        "reference": comparison.reference.variant.name,
        "popularity": comparison.results[0].runs[0]["popularity"],
        "models": {r.variant.name: _model(r, comparison, findings) for r in comparison.results},
    }


def _model(result: Result, comparison: Comparison, findings: Findings | None) -> dict[str, Any]:
    name, metrics = result.variant.name, comparison.metrics
    differences = {} if findings is None else findings.differences.get(name, {})
    published = published_figures(comparison.dataset, result.model, None)
    return {
        "model": result.model,
        "preset": result.variant.preset,
        "changes": list(result.variant.changes),
        "settings": dict(result.variant.settings),
        "content": load_config(result.variant.preset).needs_content,
        "runs": len(result.runs),
        "val": {m: _spread(result, "val", m) for m in metrics},
        "test": {m: _spread(result, "test", m) for m in metrics},
        "p": {m: differences[m].p_holm for m in metrics if _is_tested(differences.get(m))},
        "epochs": result.mean("epochs_run"),
        "seconds": result.seconds,
        "memory_mb": result.memory,
        "published": {p.paper: p.metrics for p in published},
    }


def _is_tested(difference: Difference | None) -> bool:
    """Whether the models were compared, and not only these runs."""
    return difference is not None and difference.over_seeds


def _spread(result: Result, split: str, metric: str) -> dict[str, float | None]:
    cell = result.cell(split, metric)
    return {"mean": cell.value, "std": cell.spread}


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
