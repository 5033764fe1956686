"""Figures that papers give, to be shown beside our own."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Published:
    """A model's figures on a dataset in a paper.

    Attributes:
        paper: The paper and its table.
        url: Its address.
        metrics: Values by metric.
    """

    paper: str
    url: str
    metrics: dict[str, float]


@cache
def _content() -> list[dict[str, Any]]:
    path = resources.files("mentor_pyg") / "experiments" / "published.yaml"
    return yaml.safe_load(path.read_text("utf-8"))


def published_figures(dataset: str, model: str, ablation: str | None = None) -> list[Published]:
    """What papers say of a model on a dataset; nothing if none does.

    Args:
        dataset: Name of a dataset, e.g. :obj:`"baby"`.
        model: Name of a model's class, e.g. :obj:`"LightGCN"`.
        ablation: What it is without, as in the plan of its ablation, e.g.
            :obj:`"w/o masking"`.
    """
    found = []
    for table in _content():
        if table.get("ablation_of") != (None if ablation is None else model):
            continue
        values = table["datasets"].get(dataset, {}).get(ablation or model)
        if values is not None:
            metrics = dict(zip(table["metrics"], values, strict=True))
            found.append(Published(table["paper"], table["url"], metrics))
    return found
