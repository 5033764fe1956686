"""Fills the tables of README and the documentation from the records in docs/results.

    python benchmarks/tables.py             # writes the documents
    python benchmarks/tables.py --check     # names those that differ from the records

A table stands between two comments, and only this program writes there:

    <!-- figures: tiktok-tiktok columns=content,test,val models=MENTOR,SGL -->
    <!-- end of figures -->

The first word is the name of a record, without ``.json``.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mentor_pyg import InputError
from mentor_pyg._util.files import write_text

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"<!-- figures: (.+?) -->\n.*?<!-- end of figures -->", re.DOTALL)
RECALL, NDCG = "recall@20", "ndcg@20"

Column = tuple[str, Callable[[dict[str, Any]], str]]


def _spread(split: str, metric: str) -> Callable[[dict[str, Any]], str]:
    def show(model: dict[str, Any]) -> str:
        found = model[split][metric]
        spread = "" if found["std"] is None else f" ± {found['std']:.4f}"
        return f"{found['mean']:.4f}{spread}"

    return show


def _p(model: dict[str, Any]) -> str:
    p = model["p"].get(RECALL)
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _published(model: dict[str, Any]) -> str:
    shown = [f"{m[RECALL]:.4f} / {m[NDCG]:.4f}" for m in model["published"].values() if NDCG in m]
    return "; ".join(shown) or "-"


def _to_published(model: dict[str, Any]) -> str:
    ratios = [model["test"][RECALL]["mean"] / m[RECALL] for m in model["published"].values()]
    return "; ".join(f"{ratio - 1:+.1%}" for ratio in ratios) or "-"


COLUMNS: dict[str, list[Column]] = {
    "content": [("content", lambda m: "yes" if m["content"] else "-")],
    "test": [("test Recall@20", _spread("test", RECALL)), ("test NDCG@20", _spread("test", NDCG))],
    "val": [("validation Recall@20", _spread("val", RECALL))],
    "p": [("p", _p)],
    "published": [("published", _published)],
    "to_published": [("Recall@20 to the published one", _to_published)],
    "time": [
        ("epochs", lambda m: f"{m['epochs']:.0f}"),
        ("training", lambda m: f"{m['seconds']:.0f} s"),
    ],
}


def table(record: dict[str, Any], columns: Sequence[str], models: Sequence[str] = ()) -> str:
    """A Markdown table of a record, by descending test Recall@20. Bold marks the highest mean."""
    found = record["models"]
    chosen = sorted(models or found, key=lambda name: -found[name]["test"][RECALL]["mean"])
    shown = [("model", lambda m: m["name"]), *(c for name in columns for c in COLUMNS[name])]
    rows = [[show(found[name] | {"name": name}) for _, show in shown] for name in chosen]
    for place, (title, _) in enumerate(shown):
        if title.startswith(("test", "validation")) and len(rows) > 1:
            best = max(rows, key=lambda row: float(row[place].split()[0]))
            best[place] = f"**{best[place]}**"
    if not models:
        popular = record["popularity"]
        values = {"test Recall@20": popular[RECALL], "test NDCG@20": popular[NDCG]}
        rest = [f"{values[title]:.4f}" if title in values else "" for title, _ in shown[1:]]
        rows.append(["*ranking by popularity*", *rest])
    head = [title for title, _ in shown]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def about(record: dict[str, Any]) -> str:
    """A line with all that a reader needs to repeat the figures."""
    machine, seeds = record["machine"], record["seeds"]
    count = f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
    versions = f"torch {machine['torch']}, torch-geometric {machine['torch_geometric']}"
    return (
        f"*Commit `{record['commit'][:10]}`, {record['date']}, {count}, {machine['processor']} "
        f"({machine['cores']} cores), Python {machine['python']}, {versions}.*"
    )


def filled(text: str, where: object, folder: Path = ROOT / "docs" / "results") -> str:
    """A document's text with its tables made anew."""

    def fill(match: re.Match[str]) -> str:
        name, *settings = match[1].split()
        path = folder / f"{name}.json"
        if not path.is_file():
            raise InputError(f"{where}: shows figures of {path.name}; expected {path}")
        given = dict(setting.split("=", 1) for setting in settings)
        columns, models = (given.get(k, "").split(",") for k in ("columns", "models"))
        for column in columns:
            if column not in COLUMNS:
                raise InputError(f"{where}: column '{column}'; expected some of {list(COLUMNS)}")
        record = json.loads(path.read_text("utf-8"))
        parts = [table(record, columns, list(filter(None, models)))]
        parts += [about(record)] if given.get("about") != "no" else []
        body = "\n\n".join(parts)
        return f"<!-- figures: {match[1]} -->\n\n{body}\n\n<!-- end of figures -->"

    return BLOCK.sub(fill, text)


def stale() -> list[Path]:
    """Documents whose tables differ from the records."""
    texts = {path: path.read_text("utf-8") for path in DOCUMENTS}
    return [path for path, text in texts.items() if filled(text, path) != text]


def main() -> None:
    found = stale()
    for path in found:
        if "--check" not in sys.argv:
            write_text(path, filled(path.read_text("utf-8"), path))
        print(path.relative_to(ROOT))
    if found and "--check" in sys.argv:
        sys.exit("error: these documents differ from docs/results; run benchmarks/tables.py")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
