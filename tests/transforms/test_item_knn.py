import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import HeteroData
from torch_geometric.testing import has_package, withCUDA
from torch_geometric.utils import coalesce

from mentor_pyg import InputError
from mentor_pyg.sparse import products
from mentor_pyg.transforms import ItemKNN, cosine_knn, item_knn, knn
from mentor_pyg.transforms.knn import cosine_knn_among
from mentor_pyg.typing import ITEM, SIMILAR, similar

needs_cluster = pytest.mark.skipif(not has_package("torch_cluster"), reason="not installed")
needs_faiss = pytest.mark.skipif(not has_package("faiss"), reason="not installed")
BACKENDS = [
    "torch",
    pytest.param("torch_cluster", marks=needs_cluster),
    pytest.param("faiss", marks=needs_faiss),
]
MASK = torch.arange(30) % 7 != 3


def features(num_items=30, width=6):
    """Random rows, the second of them zero."""
    torch.manual_seed(0)
    x = torch.randn(num_items, width)
    x[1] = 0
    return x


def brute_force(x, k, self_loops, mask=None):
    """Lists of (item, neighbour, similarity), sorted by item and falling similarity."""
    valid = [i for i in range(len(x)) if x[i].any() and (mask is None or mask[i])]
    edges = []
    for i in valid:
        found = [
            (3.0 if j == i else F.cosine_similarity(x[i], x[j], dim=0).item(), j)
            for j in valid
            if j != i or self_loops
        ]
        edges += [(i, j, min(s, 1.0)) for s, j in sorted(found, reverse=True)[:k]]
    return edges


def assert_equals_brute_force(result, expected):
    edge_index, similarity = result
    assert edge_index.flip(0).t().tolist() == [[i, j] for i, j, _ in expected]
    assert similarity.tolist() == pytest.approx([s for *_, s in expected], abs=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("k", [1, 5, 24])
def test_equals_brute_force(backend, self_loops, mask, k):
    x = features()
    result = cosine_knn(x, k, self_loops, backend, mask)
    assert_equals_brute_force(result, brute_force(x, k, self_loops, mask))


@pytest.mark.parametrize("block_entries", [1, 29, 30 * 7, 30 * 29])
@pytest.mark.parametrize("self_loops", [False, True])
def test_block_boundaries(monkeypatch, block_entries, self_loops):
    monkeypatch.setitem(products.ENTRIES, "cpu", block_entries)
    x = features()
    assert_equals_brute_force(cosine_knn(x, 4, self_loops), brute_force(x, 4, self_loops))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("self_loops", [False, True])
def test_identical_rows(backend, self_loops):
    """More of them than k, so that a row may miss itself among them."""
    x = features()
    x[10:20] = x[10]
    edge_index, similarity = cosine_knn(x, 4, self_loops, backend)
    expected = brute_force(x, 4, self_loops)
    assert similarity.tolist() == pytest.approx([s for *_, s in expected], abs=1e-6)
    neighbor, row = edge_index.view(2, -1, 4)
    assert row[:, 0].tolist() == [i for i in range(30) if i != 1]
    assert all(len(set(found)) == 4 for found in neighbor.tolist())
    is_own = neighbor == row
    assert is_own[:, 0].all() == self_loops
    assert not is_own[:, 1:].any()
    twins = neighbor[9:19]
    assert ((twins >= 10) & (twins < 20)).all()


@withCUDA
def test_devices(device):
    x = features().to(device)
    for backend in ("auto", "torch"):
        edge_index, similarity = cosine_knn(x, 5, backend=backend, mask=MASK.to(device))
        assert edge_index.device == similarity.device == x.device
        expected = brute_force(x.cpu(), 5, False, MASK)
        assert_equals_brute_force((edge_index.cpu(), similarity.cpu()), expected)


SCALES = {
    "tiny": 1e-37,
    "1e-20": 1e-20,
    "1e-13": 1e-13,
    "1e-6": 1e-6,
    "1e6": 1e6,
    "1e20": 1e20,
    "huge": 1e37,
    "mixed": 10 ** torch.linspace(-36, 37, 30).unsqueeze(1),
}


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_scale_of_rows_does_not_matter(scale):
    x = features()
    expected = cosine_knn(x, 5)
    for found in (cosine_knn(x * scale, 5), cosine_knn_among(x * scale, x / scale, 6)):
        similarity = found[1].view(29, -1)[:, -5:]  # the row itself comes first among all
        assert torch.equal(found[0].view(2, 29, -1)[:, :, -5:].flatten(1), expected[0])
        assert torch.allclose(similarity.flatten(), expected[1], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_scale_of_double_precision_does_not_matter(scale):
    x = features()
    edge_index, similarity = cosine_knn(x.double() * scale, 5)
    assert torch.equal(edge_index, cosine_knn(x, 5)[0])
    assert torch.allclose(similarity, cosine_knn(x, 5)[1], atol=1e-6)


@pytest.mark.parametrize(("dtype", "scale"), [(torch.float16, 3e4), (torch.bfloat16, 1e-30)])
def test_half_precision_equals_its_own_values(dtype, scale):
    x = (features().clamp(-2, 2) * scale).to(dtype)
    for ours, other in zip(cosine_knn(x, 5), cosine_knn(x.double(), 5)):
        assert torch.equal(ours, other)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_features_that_are_not_finite_are_refused(value):
    x, mask = features(), torch.arange(30) != 7
    x[7, 2] = value
    message = "features of row 7 are NaN or infinite; expected finite numbers"
    with pytest.raises(InputError, match=message):
        cosine_knn(x, 5)
    with pytest.raises(InputError, match=message):
        cosine_knn_among(features(), x, 5)
    expected = cosine_knn(features(), 5, mask=mask)
    assert all(torch.equal(a, b) for a, b in zip(cosine_knn(x, 5, mask=mask), expected))


def test_shapes_and_masks_of_others_are_refused():
    x = features()
    with pytest.raises(InputError, match=r"'mask' has shape \[1\]; expected \[30\]"):
        cosine_knn(x, 5, mask=MASK[:1])
    with pytest.raises(InputError, match=r"'mask' has dtype torch\.int64; expected bool"):
        cosine_knn(x, 5, mask=MASK.long())
    with pytest.raises(InputError, match=r"'x' has shape \[30\]; expected \[N, F\]"):
        cosine_knn(x[:, 0], 5)
    with pytest.raises(InputError, match=r"'x' has shape \[30, 5\]; expected \[N, 6\]"):
        cosine_knn_among(x[:, 1:], x, 5)


@pytest.mark.parametrize("k", [-1, 0, 25, 30])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"k = {k} .* among 25 items .* k from 1 to 24"):
        cosine_knn(features(), k, mask=MASK)


@pytest.mark.parametrize("width", [16, 0])
def test_no_row_has_a_direction(width):
    with pytest.raises(ValueError, match=r"no item has nonzero features.*; expected"):
        cosine_knn(torch.zeros(30, width), 5)


def test_unknown_backend():
    with pytest.raises(ValueError, match="backend: is 'annoy'; expected one of 'auto'"):
        cosine_knn(features(), 3, backend="annoy")


@pytest.fixture
def data():
    """30 items, without content in visual where MASK is false, and one of zeros in both."""
    data = HeteroData()
    data[ITEM].num_nodes = 30
    data[ITEM].x_visual, data[ITEM].mask_visual = features(), MASK
    data[ITEM].x_textual = features(width=9)
    return data


def dense_graph(data, modality, k, weights, self_loops, normalize):
    """[item, neighbour] by loops."""
    matrix = torch.zeros(30, 30)
    x, mask = data[ITEM][f"x_{modality}"], data[ITEM].get(f"mask_{modality}")
    for i, j, cosine in brute_force(x, k, self_loops, mask):
        matrix[i, j] = max(cosine, 0) if weights == "cosine" else 1
    if normalize == "row":
        matrix = torch.stack([row / row.sum() if row.any() else row for row in matrix])
    if normalize == "symmetric":
        total = matrix.sum(dim=1)
        for i, j in matrix.nonzero().tolist():
            matrix[i, j] /= (total[i] * total[j]) ** 0.5
    return matrix


def assert_store_equals(store, matrix):
    src, dst = store.edge_index
    dense = torch.zeros(30, 30)
    dense[dst, src] = store.edge_weight
    assert torch.allclose(dense, matrix, atol=1e-6)
    assert torch.allclose(store.adjacency.matmul(torch.eye(30)), matrix, atol=1e-6)
    assert (store.adjacency.num_sources, store.adjacency.num_targets) == (30, 30)


OPTIONS = {
    "k": 5,
    "weights": "cosine",
    "self_loops": False,
    "normalize": "row",
}
VARIANTS = [
    {},
    {"k": 20},
    {"weights": "binary"},
    {"self_loops": True},
    {"normalize": "none"},
    {"normalize": "symmetric", "self_loops": True},
]
parametrize_options = pytest.mark.parametrize(
    "options", [OPTIONS | variant for variant in VARIANTS], ids=[str(v) for v in VARIANTS]
)


@parametrize_options
def test_graph_of_each_modality(data, options):
    data = ItemKNN(**options)(data)
    assert SIMILAR not in data.edge_types
    for modality in ("visual", "textual"):
        store = data[similar(modality)]
        assert_store_equals(store, dense_graph(data, modality, **options))
        assert store.edge_index.size(1) % options["k"] == 0


@parametrize_options
def test_merge(data, options):
    data = ItemKNN(**options, merge={"textual": 0.7, "visual": 0.3})(data)
    assert data.edge_types == [SIMILAR]
    expected = 0.7 * dense_graph(data, "textual", **options)
    expected += 0.3 * dense_graph(data, "visual", **options)
    assert_store_equals(data[SIMILAR], expected)
    edge_index = data[SIMILAR].edge_index
    assert torch.equal(edge_index, coalesce(edge_index))


def test_edges_point_from_neighbour_to_item():
    """Item 2 is the nearest of 0 and 1, but only one of them is its own nearest."""
    data = HeteroData()
    data[ITEM].num_nodes = 4
    angle = torch.tensor([0.0, 1.5, 1.0, 2.5])
    data[ITEM].x_visual = torch.stack([angle.cos(), angle.sin()], dim=1)
    edge_index = ItemKNN(k=1, cache=False)(data)[similar("visual")].edge_index
    assert edge_index.t().tolist() == [[2, 0], [2, 1], [1, 2], [1, 3]]


def test_items_without_content_get_no_edges(data):
    store = ItemKNN(k=5)(data)[similar("visual")]
    missing = [1, *(~MASK).nonzero().flatten().tolist()]
    assert not torch.isin(store.edge_index, torch.tensor(missing)).any()
    assert store.edge_index.unique().numel() == 30 - len(missing)
    assert store.edge_weight.isfinite().all()


def test_only_negative_similarities_give_no_weight():
    data = HeteroData()
    data[ITEM].num_nodes = 2
    data[ITEM].x_visual = torch.tensor([[1.0, 0.0], [-1.0, 0.1]])
    store = ItemKNN(k=1, cache=False)(data)[similar("visual")]
    assert store.edge_weight.tolist() == [0, 0]


@pytest.fixture
def searches(monkeypatch):
    """The number of searches so far, as the length of a list."""
    calls = []

    def counted(*args):
        calls.append(args)
        return cosine_knn(*args)

    monkeypatch.setattr(item_knn, "cosine_knn", counted)
    return calls


def test_cache(data, searches):
    first = ItemKNN(k=5)(data.clone())
    assert len(searches) == 2
    # Weights are made from similarities, so need no search of their own:
    again = ItemKNN(k=5)(data.clone())
    ItemKNN(k=5, weights="binary", normalize="none", merge={"visual": 1, "textual": 1})(data)
    assert len(searches) == 2
    for edge_type in first.edge_types:
        assert torch.equal(first[edge_type].edge_index, again[edge_type].edge_index)
        assert torch.equal(first[edge_type].edge_weight, again[edge_type].edge_weight)

    ItemKNN(k=5, cache=False)(data)
    assert len(searches) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"k": 6},
        {"self_loops": True},
        {"x_visual": features() + torch.eye(30, 6) * 1e-3},
        {"mask_visual": ~MASK},
        {"x_visual": features().view(torch.int32)},  # the same bytes
    ],
    ids=["k", "self_loops", "features", "mask", "dtype"],
)
def test_cache_key(data, searches, change):
    del data[ITEM].x_textual
    ItemKNN(k=3)(data)
    options = {}
    for name, value in change.items():
        if isinstance(value, torch.Tensor):
            data[ITEM][name] = value
        else:
            options[name] = value
    ItemKNN(**({"k": 3} | options))(data)
    assert len(searches) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 25}, "modality 'visual': k = 25 .* from 1 to 24"),
        ({"merge": {"visual": 1.0}}, "'merge' weighs visual; expected .* textual, visual"),
    ],
)
def test_bad_arguments(data, options, message):
    with pytest.raises(InputError, match=message):
        ItemKNN(**options)(data)


def test_items_without_features():
    data = HeteroData()
    data[ITEM].num_nodes = 30
    with pytest.raises(InputError, match="the items have no features"):
        ItemKNN()(data)


def test_repr():
    text = "ItemKNN(k=10, weights='cosine', self_loops=False, normalize='row'"
    assert repr(ItemKNN()) == text + ")"
    assert repr(ItemKNN(merge={"visual": 1.0})) == text + ", merge={'visual': 1.0})"


def test_equal_merge_is_the_mean_of_the_graphs(data):
    def merged(merge):
        return ItemKNN(k=5, merge=merge)(data.clone())[SIMILAR]

    expected = merged({"textual": 0.5, "visual": 0.5})
    assert torch.equal(merged("equal").edge_index, expected.edge_index)
    assert torch.equal(merged("equal").edge_weight, expected.edge_weight)
    with pytest.raises(ValueError, match=r"merge: is 'same'; expected a mapping .*, or 'equal'"):
        ItemKNN(merge="same")


@needs_faiss
def test_faiss_of_many_rows_searches_cells(monkeypatch):
    monkeypatch.setattr(knn, "FAISS_EXACT_ROWS", 1000)
    torch.manual_seed(0)
    x = torch.randn(50, 16)[torch.randint(50, (4000,))] + 0.5 * torch.randn(4000, 16)
    (exact, _), (found, similarity) = (cosine_knn(x, 5, backend=b) for b in ("torch", "faiss"))
    assert found.shape == exact.shape
    same = torch.isin(found[0] * 4000 + found[1], exact[0] * 4000 + exact[1]).float().mean()
    assert 0.9 < same < 1.0
    expected = torch.nn.functional.cosine_similarity(x[found[0]], x[found[1]])
    assert torch.allclose(similarity, expected, atol=1e-5)


@pytest.mark.parametrize("k", [0, 1, 5, 25])
@pytest.mark.parametrize("masked", [False, True])
def test_neighbours_among_others_equal_brute_force(k, masked):
    others, x = features(), features(8)[torch.randperm(8)] + 0.1 * torch.randn(8, 6)
    x[3] = 0
    mask, other_mask = (torch.arange(8) != 5, MASK) if masked else (None, None)
    expected = []
    for i in range(8):
        if i != 3 and not (masked and i == 5):
            found = [
                (F.cosine_similarity(x[i], others[j], dim=0).item(), j)
                for j in range(30)
                if j != 1 and (not masked or MASK[j])
            ]
            expected += [(i, j, s) for s, j in sorted(found, reverse=True)[:k]]
    result = cosine_knn_among(x, others, k, mask, other_mask)
    assert_equals_brute_force(result, expected)


def test_too_few_others():
    with pytest.raises(InputError, match=r"k = 30 .* among 29 items .* at most as many as there"):
        cosine_knn_among(features(3), features(), 30)
    only = torch.arange(30) == 0
    with pytest.raises(InputError, match=r"only one item has nonzero.*; expected at least two"):
        cosine_knn(features(), 1, mask=only)


def two_modalities():
    data = HeteroData()
    data[ITEM].num_nodes = 30
    data[ITEM].x_a, data[ITEM].x_b = features(), features(30, 4).flip(0)
    data[ITEM].mask_b = MASK.clone()
    return data


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("weights", ["cosine", "binary"])
@pytest.mark.parametrize("merge", [None, {"a": 0.3, "b": 0.7}])
@pytest.mark.parametrize("k", [1, 6])
def test_a_new_item_has_the_edges_it_would_have_as_the_last_one(self_loops, weights, merge, k):
    """Those of a graph of all the items and it; what changes for others is left out."""
    transform = ItemKNN(k, weights, self_loops, merge=merge, cache=False)
    data = two_modalities()
    generator = torch.Generator().manual_seed(1)
    new = {"a": torch.randn(2, 6, generator=generator), "b": torch.randn(2, 4, generator=generator)}
    mask = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False])}
    edges = transform.edges_to_new(data, new, mask)
    for i in range(2):
        larger = two_modalities()
        larger[ITEM].num_nodes = 31
        for m in "ab":
            larger[ITEM][f"x_{m}"] = torch.cat([larger[ITEM][f"x_{m}"], new[m][i : i + 1]])
        larger[ITEM].mask_b = torch.cat([MASK, mask["b"][i : i + 1]])
        larger = transform(larger)
        assert set(edges) == set(larger.edge_types)
        for kind, (edge_index, weight) in edges.items():
            ours = edge_index[1] == 30 + i
            theirs = larger[kind].edge_index[1] == 30
            source = edge_index[0, ours].where(edge_index[0, ours] < 30, torch.tensor(30))
            found = coalesce(source.repeat(2, 1), weight[ours])
            expected = coalesce(
                larger[kind].edge_index[0, theirs].repeat(2, 1), larger[kind].edge_weight[theirs]
            )
            assert torch.equal(found[0], expected[0])
            torch.testing.assert_close(found[1], expected[1])


def test_symmetric_edges_to_new_items_divide_by_the_sums_of_old_ones():
    """Which stay those of the old items alone."""
    data, options = two_modalities(), {"k": 4, "self_loops": True, "cache": False}
    new = {"a": torch.randn(2, 6), "b": torch.randn(2, 4)}
    mask = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False])}
    found = ItemKNN(**options, normalize="symmetric").edges_to_new(data, new, mask)
    plain = ItemKNN(**options, normalize="none")
    weights = plain.edges_to_new(data, new, mask)
    old = plain(data)
    for kind, (edge_index, weight) in found.items():
        edges, expected = weights[kind]
        total = torch.zeros(32).index_add(0, edges[1], expected)
        total = total.index_add(0, old[kind].edge_index[1], old[kind].edge_weight)
        assert torch.equal(edge_index, edges)
        expected = expected / (total[edges[0]] * total[edges[1]]).sqrt()
        torch.testing.assert_close(weight, expected)
