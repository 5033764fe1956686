"""What a preparation did."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PreparationReport:
    """Sizes of the dataset that was made; ``str()`` gives a table.

    Attributes:
        name: Name of the dataset.
        users: Number of users U.
        items: Number of items I.
        pairs: Number of pairs by split.
        dropped: Pairs left out as repeated, low-rated or outside of the k-core.
        skipped: Rows, records and files that couldn't be used, by reason.
        examples: Where the first of them is, by reason.
        coverage: Share of items that have content, by stem of the files.
        widths: Width D_m of the features, by stem of the files.
        settings: How it was made.
    """

    name: str
    users: int
    items: int
    pairs: dict[str, int]
    dropped: dict[str, int]
    skipped: dict[str, int]
    examples: dict[str, str]
    coverage: dict[str, float]
    widths: dict[str, int]
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        sparsity = 1 - sum(self.pairs.values()) / (self.users * self.items)
        lines = [
            f"users       {self.users:,}",
            f"items       {self.items:,}",
            f"pairs       {_counts(self.pairs)}; sparsity {sparsity:.2%}",
            f"dropped     {_counts(self.dropped)}",
            f"skipped     {_counts(self.skipped)}",
        ]
        lines += [f"            {reason}: e.g. {where}" for reason, where in self.examples.items()]
        lines += [
            f"{stem:<11} {self.widths[stem]}-d features of {share:.1%} of the items"
            for stem, share in self.coverage.items()
        ]
        return "\n".join(lines)


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items()) or "none"
