"""A table of a benchmark run in Markdown: ours, reference, ratio.

pytest benchmarks --benchmark-json benchmarks/results/cpu.json
python benchmarks/report.py benchmarks/results/cpu.json
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path


def rows(results: dict) -> Iterator[tuple[str, ...]]:
    """What is measured, our way, its median, the reference, its median, the ratio."""
    groups: dict[str, list[dict]] = {}
    for entry in results["benchmarks"]:
        groups.setdefault(entry["group"], []).append(entry)
    for group, entries in groups.items():
        if "ours_gb" in entries[0]["extra_info"]:
            yield from memory_rows(entries)
            continue
        ways = {e["params"]["way"]: e["stats"]["median"] for e in entries}
        others = {way: t for way, t in ways.items() if not way.startswith("ours")}
        for way in sorted(ways.keys() - others.keys()):
            if not others:
                yield group, way, show(ways[way]), "", "", ""
            for other, seconds in others.items():
                ratio = f"{seconds / ways[way]:.1f}"
                yield group, way, show(ways[way]), other, show(seconds), ratio


def memory_rows(entries: list[dict]) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        ours, dense = (entry["extra_info"][f"{way}_gb"] for way in ("ours", "dense"))
        what = f"peak memory, {entry['name'].removeprefix('test_')}"
        yield what, "ours", f"{ours:.2f} GB", "dense", f"{dense:.2f} GB", f"{dense / ours:.1f}"


def show(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    print("| what | way | median | reference | median | ratio |")
    print("|---|---|---|---|---|---|")
    for row in rows(results):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
