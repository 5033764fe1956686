import pytest
import torch

from mentor_pyg.datasets.source import open_source
from mentor_pyg.runs import run as runs
from mentor_pyg.runs.config import load_config
from mentor_pyg.serving import Recommender
from mentor_pyg.typing import INTERACTS, ITEM

SETTINGS = ["graph.k=5", "train.lr=1e-2", "train.batch_size=128"]


@pytest.fixture
def train(tmp_path):
    """A function that trains on a folder and returns the folder of the run."""

    def train(folder, *changes, preset="paper", epochs=2):
        if preset == "paper":
            changes = (*SETTINGS, *changes)
        config = load_config(preset, changes, epochs=epochs)
        out = tmp_path / "run"
        runs.train(config, open_source(folder), out, torch.device("cpu"), progress=False)
        return out

    return train


@pytest.fixture
def rec(toy_folder, train):
    """MENTOR on the tiny dataset, whose ids are row numbers."""
    return Recommender.load(train(toy_folder), progress=False)


@pytest.fixture
def with_labels(toy_folder):
    """The folder ``toy`` with labels for ids: users u0, u1, ..., items i0, i1, ..."""
    table = toy_folder / "toy.inter"
    header, *lines = table.read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    table.write_text("\n".join([header, *(f"u{u}\ti{i}\t{x}" for u, i, x in rows)]) + "\n")
    for node, count in (("user", 60), ("item", 40)):
        ids = "".join(f"{node[0]}{row}\n" for row in range(count))
        (toy_folder / f"{node}_ids.txt").write_text(ids)
    return toy_folder


@pytest.fixture
def new_features(tiny):
    """Features of n new items like those of the data, by modality."""

    def new_features(n, seed=0):
        generator = torch.Generator().manual_seed(seed)
        widths = {"visual": 12, "textual": 8}
        return {m: torch.randn(n, d, generator=generator).numpy() for m, d in widths.items()}

    return new_features


def seen_by_user(data):
    seen = [set() for _ in range(60)]
    for user, item in data[INTERACTS].edge_index.t().tolist():
        seen[user].add(item)
    return seen


@pytest.fixture
def naive(rec):
    """A loop over users and items: the list of a user's row, as rows and scores."""
    seen = seen_by_user(rec.data)

    def naive(user, k, exclude_seen=True, allowed=None):
        scores = (rec.item_emb @ rec.user_emb[user]).tolist()
        rows = range(rec.data[ITEM].num_nodes) if allowed is None else allowed
        rows = [i for i in rows if not (exclude_seen and i in seen[user])]
        best = sorted(rows, key=lambda i: -scores[i])[:k]
        return [(i, pytest.approx(scores[i], abs=1e-5)) for i in best]

    return naive
