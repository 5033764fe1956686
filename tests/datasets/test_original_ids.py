import copy
import io
import operator
import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, HeteroData
from torch_geometric.loader import (
    DataLoader,
    HGTLoader,
    ImbalancedSampler,
    LinkNeighborLoader,
    NeighborLoader,
)
from torch_geometric.transforms import RandomLinkSplit, RemoveIsolatedNodes
from torch_geometric.typing import WITH_TORCH_SPARSE

from mentor_pyg.datasets.original_ids import OriginalIds
from mentor_pyg.typing import INTERACTS, ITEM, REV_INTERACTS, USER

needs_sampling = pytest.mark.skipif(
    not WITH_TORCH_SPARSE, reason="PyG samples neighbours by torch-sparse"
)

LABELS = ["a", "bb", "c\0", "ééé", "👩x", "z" * 300, "a ", "10"]


@pytest.fixture
def ids():
    return OriginalIds(LABELS)


@pytest.fixture
def data(ids):
    data = HeteroData()
    data[USER].num_nodes, data[USER].original_id = len(ids), ids
    data[ITEM].num_nodes, data[ITEM].original_id = 4, OriginalIds(list("wxyz"))
    user = torch.arange(len(ids)).repeat(2)
    data[INTERACTS].edge_index = torch.stack([user, (user * 3 + 1) % 4])
    data[REV_INTERACTS].edge_index = data[INTERACTS].edge_index.flip(0)
    return data


pytestmark = pytest.mark.filterwarnings("ignore:Using '.*Sampler' without a 'pyg-lib'")


def assert_right(found, data):
    """Whether a sampled graph has the ids of its rows."""
    for node in (USER, ITEM):
        ids = found[node].original_id
        assert type(ids) is OriginalIds
        assert len(ids) == found[node].num_nodes
        assert ids == [data[node].original_id[row] for row in found[node].n_id.tolist()]


def test_is_a_sequence_of_texts(ids):
    assert len(ids) == len(LABELS)
    assert ids[4] == "👩x"
    assert ids[-1] == "10"
    assert ids[torch.tensor(1)] == "bb"
    assert list(ids) == ids.tolist() == LABELS
    assert "c\0" in ids
    assert "c" not in ids
    assert ids == LABELS
    assert ids != LABELS[1:]
    assert ids != "a"
    assert torch.equal(ids, OriginalIds(LABELS))
    assert not torch.equal(ids[:2], OriginalIds(["b", "c"]))
    assert np.asarray(ids).tolist() == LABELS
    assert str(ids[:2]) == "OriginalIds(['a', 'bb'])"
    with pytest.raises(IndexError):
        ids[len(LABELS)]


@pytest.mark.parametrize(
    "index",
    [slice(2, 5), [3, 0], torch.tensor([3, 3]), np.array([1]), torch.arange(8) % 2 == 0, slice(0)],
    ids=str,
)
def test_rows_are_chosen_as_an_array_chooses_them(ids, index):
    expected = np.array(LABELS, dtype=object)[index].tolist()
    assert ids[index] == expected
    assert ids[index][::1] == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda ids: ids.add_(1),
        lambda ids: ids.__setitem__(0, "b"),
        lambda ids: operator.iadd(ids, 1),
        lambda ids: ids.float(),
        lambda ids: ids.unique(),
        lambda ids: torch.ones(8, dtype=torch.long) * ids,
        lambda ids: torch.cat([ids, torch.arange(2)]),
    ],
)
def test_are_no_numbers(ids, change):
    with pytest.raises(TypeError):
        change(ids)
    assert ids == LABELS


@pytest.mark.parametrize("chosen", [slice(None), slice(3, 6), slice(0)])
def test_copies_and_files(ids, chosen):
    ids = ids[chosen]
    file = io.BytesIO()
    torch.save(ids, file)
    file.seek(0)
    copies = [copy.copy(ids), copy.deepcopy(ids), ids.clone(), pickle.loads(pickle.dumps(ids))]
    for other in (*copies, torch.load(file, weights_only=True)):
        assert type(other) is OriginalIds
        assert other == ids


def test_a_batch_carries_its_own_ids_alone(ids):
    assert len(pickle.dumps(ids[:2])) < len(pickle.dumps(ids)) - 300


@needs_sampling
@pytest.mark.parametrize("options", [{}, {"num_workers": 1, "filter_per_worker": True}])
@pytest.mark.parametrize("loader", [NeighborLoader, HGTLoader])
def test_loaders_of_nodes(data, loader, options):
    for batch in loader(data, [3, 3], input_nodes=USER, batch_size=3, **options):
        assert_right(batch, data)


@needs_sampling
def test_loader_of_links(data):
    pairs = (INTERACTS, data[INTERACTS].edge_index)
    for batch in LinkNeighborLoader(data, [3, 3], edge_label_index=pairs, batch_size=4):
        assert_right(batch, data)


@needs_sampling
def test_sampler(data):
    sampler = ImbalancedSampler(torch.arange(8) // 5)
    loader = NeighborLoader(data, [2], input_nodes=USER, batch_size=4, sampler=sampler)
    assert_right(next(iter(loader)), data)


def test_subgraph(data):
    found = data.subgraph({USER: torch.tensor([4, 2]), ITEM: torch.arange(4) > 1})
    assert found[USER].original_id == ["👩x", "c\0"]
    assert found[ITEM].original_id == ["y", "z"]
    assert data.edge_subgraph({INTERACTS: torch.arange(2)})[USER].original_id == LABELS
    assert data[USER].original_id == LABELS


def test_batches(data):
    small = data.subgraph({USER: torch.tensor([4, 2])})
    batch = Batch.from_data_list([data, small])
    assert batch[USER].original_id == [*LABELS, "👩x", "c\0"]
    assert batch[1][USER].original_id == ["👩x", "c\0"]
    (batch,) = DataLoader([data, small], 2, num_workers=1)
    assert batch[USER].original_id == [*LABELS, "👩x", "c\0"]


def test_whole_graphs(data):
    assert data.validate()
    for other in (
        data.clone(),
        copy.deepcopy(data),
        data.to("cpu"),
        data.contiguous(),
        HeteroData.from_dict(data.to_dict()),
        RandomLinkSplit(edge_types=[INTERACTS])(data)[0],
        RemoveIsolatedNodes()(data),
    ):
        assert type(other[USER].original_id) is OriginalIds
        assert other[USER].original_id == LABELS
    assert data.to_homogeneous().original_id == [*LABELS, *"wxyz"]
