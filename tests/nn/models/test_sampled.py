"""Parts of a graph that PyG's loaders sample: their rows are those of the whole."""

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkNeighborLoader, NeighborLoader

from mentor_pyg import InputError
from mentor_pyg.nn import models
from mentor_pyg.nn.models.inputs import interactions
from mentor_pyg.testing import add_graphs
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER, Batch

pytest.importorskip("torch_sparse")  # or pyg-lib, without which PyG samples nothing

pytestmark = pytest.mark.filterwarnings("ignore:Using 'NeighborSampler' without:UserWarning")

WHOLE = {name for name in models.classes if getattr(models, name).whole_graph}


def islands(count=3, users=12, items=8):
    """Groups of users and items that have no pairs with others."""
    generator = torch.Generator().manual_seed(0)
    blocks = [torch.rand(users, items, generator=generator) < 0.4 for _ in range(count)]
    for block in blocks:
        block[torch.arange(users), torch.arange(users) % items] = True
    data = HeteroData()
    data[USER].num_nodes = count * users
    data[ITEM].num_nodes = count * items
    # Features of an island are like each other's alone, so that no item graph leaves it:
    for name, width in (("visual", 7), ("textual", 5)):
        x = torch.zeros(count * items, count * width)
        for n in range(count):
            rows, columns = slice(n * items, (n + 1) * items), slice(n * width, (n + 1) * width)
            x[rows, columns] = torch.rand(items, width, generator=generator) + 0.1
        data[ITEM][f"x_{name}"] = x
    pairs = torch.block_diag(*blocks).nonzero().t().contiguous()
    held = torch.rand(pairs.size(1), generator=generator) < 0.1
    data[INTERACTS].edge_index = pairs[:, ~held]
    data[INTERACTS].val_edge_label_index = data[INTERACTS].test_edge_label_index = pairs[:, held]
    return add_graphs(T.ToUndirected(merge=False)(data))


@pytest.fixture(scope="module")
def data():
    return islands()


def neighbors(data, hops=8):
    return {edge_type: [-1] * hops for edge_type in data.edge_types}


def whole(name, data):
    torch.manual_seed(0)
    model = getattr(models, name).from_data(data)
    model.start_epoch(data)
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(set(models.classes) - WHOLE))
@pytest.mark.parametrize(("node_type", "which"), [(USER, 0), (ITEM, 1)])
def test_rows_of_a_sampled_part_are_those_of_the_whole(data, name, node_type, which):
    model, rows = whole(name, data), torch.tensor([14, 2, 9])
    loader = NeighborLoader(data, neighbors(data), input_nodes=(node_type, rows), batch_size=3)
    part = next(iter(loader))
    assert part[USER].num_nodes < data[USER].num_nodes
    expected, found = model(data)[which][rows], model(part)[which][:3]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_models_that_need_the_whole_say_so(data, name):
    rows = torch.tensor([1, 2])
    part = next(iter(NeighborLoader(data, neighbors(data), input_nodes=(USER, rows))))
    with pytest.raises(InputError, match=f"^{name} needs all users and items at once; expected"):
        whole(name, data)(part)


def test_a_permuted_whole_is_not_taken_for_the_whole(data):
    """As many users, items and pairs, in another order."""
    model, order = whole("LightGCN", data), torch.randperm(data[USER].num_nodes)
    loader = NeighborLoader(data, neighbors(data), input_nodes=(USER, order), batch_size=len(order))
    part = next(iter(loader))
    assert part[USER].num_nodes == data[USER].num_nodes
    user, item = model(part)
    expected_user, expected_item = model(data)
    torch.testing.assert_close(user, expected_user[part[USER].n_id])
    torch.testing.assert_close(item, expected_item[part[ITEM].n_id])


def test_a_part_keeps_the_weights_of_the_whole(data):
    part = next(
        iter(NeighborLoader(data, neighbors(data, 2), input_nodes=(USER, torch.tensor([0]))))
    )
    adj = interactions(part)
    user = adj.rowptr.diff().nonzero().flatten()
    dense = interactions(data) @ torch.eye(data[ITEM].num_nodes)
    found = adj @ torch.eye(part[ITEM].num_nodes)
    expected = dense[part[USER].n_id][:, part[ITEM].n_id]
    torch.testing.assert_close(found[user], expected[user] * (found[user] > 0))
    assert torch.equal(found[0] > 0, expected[0] > 0)  # the seed has all of its pairs
    assert interactions(part) is adj  # built once


def test_a_subgraph_of_pyg_works_with_row_numbers_and_is_refused_without(data):
    model = whole("LightGCN", data)
    users, items = torch.arange(12), torch.arange(8)  # the first island
    with pytest.raises(InputError, match=r"12 users, and the model 36; expected .*'n_id'"):
        model(data.subgraph({USER: users, ITEM: items}))
    numbered = data.clone()
    for node_type in (USER, ITEM):
        numbered[node_type].n_id = torch.arange(data[node_type].num_nodes)
    part = numbered.subgraph({USER: users, ITEM: items})
    for found, expected in zip(model(part), model(data)):
        torch.testing.assert_close(found, expected[: len(found)])


def test_a_part_without_the_weights_is_refused(data):
    part = next(iter(NeighborLoader(data, neighbors(data), input_nodes=(USER, torch.tensor([0])))))
    del part[INTERACTS].norm
    with pytest.raises(InputError, match=r"'adjacency' .*; expected .* as made by LightGCNNorm"):
        interactions(part)


@pytest.mark.parametrize("name", ["LightGCN", "MENTOR", "VBPR", "SLMRec", "SMORE"])
def test_losses_of_sampled_triples_reach_the_free_vectors_of_their_rows(data, name):
    torch.manual_seed(0)
    model = getattr(models, name).from_data(data)
    edges = INTERACTS, data[INTERACTS].edge_index
    loader = LinkNeighborLoader(
        data, neighbors(data, 2), edges, neg_sampling="triplet", batch_size=6, shuffle=True
    )
    part = next(iter(loader))
    batch = Batch.of_loader(part)
    pairs = torch.stack([part[USER].n_id[batch.user], part[ITEM].n_id[batch.pos_item]])
    known = {tuple(pair) for pair in data[INTERACTS].edge_index.t().tolist()}
    assert {tuple(pair) for pair in pairs.t().tolist()} <= known
    losses = model.losses(part, batch)
    torch.stack(list(losses.values())).sum().backward()
    parameter = dict(model.named_parameters()).get("embedding.user")
    if parameter is not None:
        touched = parameter.grad.abs().sum(dim=1).nonzero().flatten()
        assert set(part[USER].n_id[batch.user].tolist()) <= set(touched.tolist())
        assert set(touched.tolist()) <= set(part[USER].n_id.tolist())


def test_prototypes_of_a_part_are_those_of_its_own_rows(data):
    """NCL looks users and items up in tables of all of them."""
    torch.manual_seed(0)
    model = models.NCL.from_data(data, num_prototypes=3)
    model.start_epoch(data)
    order = torch.randperm(data[USER].num_nodes)
    loader = NeighborLoader(data, neighbors(data), input_nodes=(USER, order), batch_size=len(order))
    part = next(iter(loader))
    users, items = torch.tensor([3, 4]), torch.tensor([1, 6])
    batch = Batch(part[USER].n_id[users], part[ITEM].n_id[items], part[ITEM].n_id[items])
    found = model.losses(part, Batch(users, items, items))["prototype"]
    torch.testing.assert_close(found, model.losses(data, batch)["prototype"])


@pytest.mark.parametrize("name", ["LayerGCN", "FREEDOM", "PGL", "SGL", "MMGCL"])
def test_pairs_pruned_for_an_epoch_are_of_the_whole(data, name):
    model = getattr(models, name).from_data(data)
    model.start_epoch(data)
    order = torch.randperm(data[USER].num_nodes)
    loader = NeighborLoader(data, neighbors(data), input_nodes=(USER, order), batch_size=len(order))
    with pytest.raises(InputError, match="prunes pairs for a whole epoch; expected the whole"):
        model.losses(next(iter(loader)), Batch(*torch.zeros(3, 2).long()))


def test_batches_of_other_loaders_are_refused(data):
    part = next(iter(NeighborLoader(data, neighbors(data), input_nodes=(USER, torch.tensor([0])))))
    with pytest.raises(InputError, match=r"no 'src_index'.*; expected .*LinkNeighborLoader"):
        Batch.of_loader(part)


def test_reverse_edges_get_weights_too(data):
    bare = T.ToUndirected(merge=False)(LightGCNNorm()(islands()))
    forward, reverse = bare[INTERACTS], bare[REV_INTERACTS]
    assert torch.equal(forward.edge_index.flip(0), reverse.edge_index)
    assert torch.equal(forward.norm, reverse.norm)
