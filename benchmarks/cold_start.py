"""Hides a share of the items, and of the users, from training altogether, adds them to the
trained model by their features, or by their items, and measures how well they are ranked.

python benchmarks/cold_start.py --data data/tiktok --preset default --epochs 15

New items are embedded from their features alone (Recommender.add_items) and ranked for
all trained users among all items, old and new. They are halved at random: whatever is
chosen is chosen on the first half, "validation". New users are folded in from the items
of their training pairs (Recommender.recommend_new_users) and evaluated on their held-out
pairs among all trained items.
"""

import argparse
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import describe
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg._util.files import write_text
from mentor_pyg.choices import SPLITS
from mentor_pyg.datasets.source import open_source
from mentor_pyg.evaluation.metrics import Evaluator, popularity
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import train
from mentor_pyg.serving import Recommender
from mentor_pyg.typing import INTERACTS, ITEM, USER, modalities

FACTORS = (0.9, 1.0, 1.1, 1.25, 1.5)
"""Scales of new items to look at beside 1, as multiples of the fair one."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="folder in the MMRec layout")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--set", action="append", default=[], help="setting, as of train")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.1, help="share of the items to hide")
    parser.add_argument("--user-share", type=float, default=0.1, help="share of the users to hide")
    parser.add_argument(
        "--work", help="folder for the reduced dataset and the run, which is used if it is there"
    )
    parser.add_argument("--out", help="file for the figures, in JSON")
    return parser.parse_args()


@dataclass(frozen=True)
class Hidden:
    """Which items and users training doesn't see: bool [I] and [U]."""

    item: Tensor
    user: Tensor

    @classmethod
    def draw(cls, data: HeteroData, args: argparse.Namespace) -> "Hidden":
        generator = torch.Generator().manual_seed(args.seed)
        draws = [torch.rand(data[node].num_nodes, generator=generator) for node in (ITEM, USER)]
        return cls(draws[0] < args.share, draws[1] < args.user_share)


def pairs_by_split(data: HeteroData) -> list[Tensor]:
    store = data[INTERACTS]
    return [store.edge_index, store.val_edge_label_index, store.test_edge_label_index]


def write_reduced(data: HeteroData, hidden: Hidden, folder: Path) -> Path:
    """The dataset without the hidden rows, in the MMRec layout; ids stay as they were."""
    folder.mkdir(parents=True, exist_ok=True)
    users, items = ([str(int(i)) for i in (~h).nonzero()] for h in (hidden.user, hidden.item))
    write_text(folder / "user_ids.txt", "\n".join(users) + "\n")
    write_text(folder / "item_ids.txt", "\n".join(items) + "\n")
    lines = ["userID\titemID\tx_label"]
    for label, pairs in enumerate(pairs_by_split(data)):
        shown = ~hidden.user[pairs[0]] & ~hidden.item[pairs[1]]
        lines += [f"{user}\t{item}\t{label}" for user, item in pairs[:, shown].t().tolist()]
    write_text(folder / "reduced.inter", "\n".join(lines) + "\n")
    for modality in modalities(data):
        for kind, suffix in (("x", "feat"), ("mask", "mask")):
            rows = data[ITEM].get(f"{kind}_{modality}")
            if rows is not None:
                np.save(folder / f"{modality}_{suffix}.npy", rows[~hidden.item].numpy())
    return folder


class Benchmark:
    """Figures of a trained run on what was hidden from it.

    Rows of the full data are ids of the run, in which new items come after the others.
    """

    def __init__(self, data: HeteroData, hidden: Hidden, recommender: Recommender) -> None:
        self.data, self.hidden, self.recommender = data, hidden, recommender
        self.new = hidden.item.nonzero().squeeze(1)
        store = data[ITEM]
        self.features = {m: store[f"x_{m}"][self.new].numpy() for m in modalities(data)}
        self.masks = {
            m: store[f"mask_{m}"][self.new].numpy() for m in self.features if f"mask_{m}" in store
        }

    def new_items(self, args: argparse.Namespace) -> dict[str, dict]:
        """Figures of the hidden items, halved, and of the others' ranking beside them."""
        generator = torch.Generator().manual_seed(args.seed + 1)
        first = torch.rand(self.hidden.item.numel(), generator=generator) < 0.5
        shown_users = ~self.hidden.user
        train, validation, test = pairs_by_split(self.data)
        every = torch.cat([train, validation, test], dim=1)
        every = every[:, shown_users[every[0]]]
        hidden = every[:, self.hidden.item[every[1]]]
        old = validation[:, shown_users[validation[0]] & ~self.hidden.item[validation[1]]]
        pairs = {
            "new items": hidden,
            "new items, first half": hidden[:, first[hidden[1]]],
            "new items, second half": hidden[:, ~first[hidden[1]]],
            "old items, validation": old,
        }
        fair = self.recommender.fair_item_scale()
        scales = {"1": 1.0} | {f"fair x {factor}": factor * fair for factor in FACTORS}
        figures = {}
        for name, scale in scales.items():
            recommender = self.recommender.add_items(
                labels(self.new), self.features, self.masks, scale
            )
            emb = recommender.user_emb, recommender.item_emb
            figures[f"scale {name}"] = {"scale": round(scale, 3)} | {
                group: self._measure(recommender, p, *emb) for group, p in pairs.items()
            }
            figures[f"scale {name}"]["places"] = self._places(recommender)
        figures["popularity"] = {
            group: self._measure(recommender, p, *popularity(recommender.data))
            for group, p in pairs.items()
        }
        return figures

    def _measure(
        self, recommender: Recommender, pairs: Tensor, user_emb: Tensor, item_emb: Tensor
    ) -> dict[str, float]:
        rows = [recommender.users.rows(labels(pairs[0])), recommender.items.rows(labels(pairs[1]))]
        train = recommender.data[INTERACTS].edge_index
        return measure(user_emb, item_emb, train, torch.stack(rows))

    def _places(self, recommender: Recommender) -> float:
        """The share of all places of the lists that new items take."""
        items = recommender.recommend().items
        return round(float(np.isin(items, labels(self.new)).mean()), 4)

    def new_users(self) -> dict[str, dict[str, float]]:
        """Figures of the hidden users, folded in from their training pairs."""
        shown = [
            p[:, self.hidden.user[p[0]] & ~self.hidden.item[p[1]]]
            for p in pairs_by_split(self.data)
        ]
        recommender = self.recommender
        users = shown[0][0].unique()
        histories = {int(u): labels(shown[0][1, shown[0][0] == u]) for u in users}
        position = torch.full((self.hidden.user.numel(),), -1)
        position[users] = torch.arange(users.numel())
        pairs = [torch.stack([position[p[0]], recommender.items.rows(labels(p[1]))]) for p in shown]
        pairs = [p[:, p[0] >= 0] for p in pairs]
        degree = (
            recommender.data[INTERACTS].edge_index[1].bincount(minlength=len(recommender.items))
        )
        item_emb = recommender.item_emb
        divided = item_emb / (degree + 1.0).sqrt().unsqueeze(1)
        by_degree = recommender.model.fold_in(divided, pairs[0], len(users))
        ways = {
            "mean of items": (recommender.embed_users(histories), item_emb),
            "divided by the roots of degrees": (by_degree, item_emb),
            "popularity": (torch.ones(len(users), 1), degree.unsqueeze(1).float()),
        }
        return {
            f"{name}, {split}": measure(*emb, pairs[0], held_out)
            for name, emb in ways.items()
            for split, held_out in zip(SPLITS[1:], pairs[1:])
        }


def labels(rows: Tensor) -> list[str]:
    return [str(row) for row in rows.tolist()]


def measure(user_emb: Tensor, item_emb: Tensor, train: Tensor, pairs: Tensor) -> dict[str, float]:
    """Recall@20 and NDCG@20 of pairs among all items but those of training."""
    data = HeteroData()
    data[USER].num_nodes, data[ITEM].num_nodes = user_emb.size(0), item_emb.size(0)
    data[INTERACTS].edge_index = train
    data[INTERACTS].test_edge_label_index = pairs
    metrics = Evaluator(data, "test", (20,))(user_emb, item_emb)
    return {name: round(metrics[name], 4) for name in ("recall@20", "ndcg@20")}


def main() -> None:
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    args = parse_args()
    data = open_source(args.data).dataset[0]
    hidden = Hidden.draw(data, args)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(args.work or temporary)
        if not (work / "run" / "metrics.json").exists():
            source = open_source(write_reduced(data, hidden, work / "data"))
            config = load_config(args.preset, args.set, epochs=args.epochs, seed=args.seed)
            train(config, source, work / "run", torch.device("cpu"))
        recommender = Recommender.load(work / "run")
    benchmark = Benchmark(data, hidden, recommender)
    result = {
        "arguments": vars(args),
        "machine": describe(),
        "hidden": {"items": int(hidden.item.sum()), "users": int(hidden.user.sum())},
        "random recall@20": round(20 / data[ITEM].num_nodes, 4),
        "new items": benchmark.new_items(args),
        "new users": benchmark.new_users(),
    }
    text = json.dumps(result, indent=2) + "\n"
    if args.out:
        write_text(args.out, text)
    print(text)


if __name__ == "__main__":
    main()
