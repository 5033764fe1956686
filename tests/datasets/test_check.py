import pytest
import torch
from torch_geometric.data import HeteroData

from mentor_pyg import Evaluator, InputError, Recommender, evaluate
from mentor_pyg.datasets import check_data
from mentor_pyg.nn import models
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, USER


def without(data, key):
    del data[INTERACTS][key]
    return data


def with_pairs(data, pairs):
    data[INTERACTS].edge_index = pairs
    return data


def test_a_dataset_of_ours_passes(tiny):
    check_data(tiny, "val", "test")
    check_data(LightGCNNorm()(tiny))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: HeteroData(), "has no nodes 'user'; expected"),
        (lambda data: without(data, "edge_index"), "expected the edges"),
        (lambda data: with_pairs(data, torch.tensor([[0], [40]])), "row 1 .* from 40 to 40"),
        (lambda data: with_pairs(data, torch.tensor([[-1], [0]])), "row 0 .* from -1 to -1"),
        (lambda data: with_pairs(data, torch.empty(2, 0).long()), "no training pairs; expected"),
        (lambda data: with_pairs(data, torch.rand(2, 3)), "dtype torch.float32; expected int64"),
        (lambda data: without(data, "val_edge_label_index"), "has no val pairs; expected"),
    ],
)
def test_each_fault_has_a_line_of_its_own(tiny, change, message):
    data = change(tiny)
    with pytest.raises(InputError, match=f"^data: .*{message}[^\n]*$"):
        check_data(data, "val")


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_names_the_split_that_is_missing(tiny, split):
    data = without(tiny, f"{split}_edge_label_index")
    with pytest.raises(InputError, match=f"has no {split} pairs; expected '{split}_edge_label"):
        Evaluator(data, split)


def test_a_graph_of_other_pairs_is_noticed_though_there_are_as_many(tiny):
    data = LightGCNNorm()(tiny)
    pairs = torch.tensor([[0, 1, 2], [0, 1, 2]])
    data[INTERACTS].edge_index = pairs
    LightGCNNorm()(data)
    data[INTERACTS].edge_index = torch.stack([pairs[0], pairs[1].roll(1)])  # of equal degrees
    with pytest.raises(InputError, match=r"'adjacency' .* belongs to other pairs; expected"):
        models.LightGCN.from_data(data)
    models.LightGCN.from_data(LightGCNNorm()(data))


def test_a_graph_of_other_pairs_gives_no_metrics_and_no_lists(tiny):
    data = LightGCNNorm()(tiny)
    model = models.LightGCN.from_data(data)
    user, item = data[INTERACTS].edge_index
    data[INTERACTS].edge_index = torch.stack([user, item.roll(1)])
    for use in (lambda: evaluate(model, data), lambda: Recommender(model, data, progress=False)):
        with pytest.raises(InputError, match="belongs to other pairs; expected LightGCNNorm"):
            use()


def test_users_may_be_numbers_alone(tiny):
    assert "x" not in tiny[USER]
    models.MFBPR.from_data(tiny)
