import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.sparse import Adjacency, products
from mentor_pyg.sparse.products import block_rows, gram_blocks, top_k_products


@pytest.mark.parametrize(("num_rows", "num_columns"), [(1, 1), (5, 3), (30, 47), (9, 200)])
@pytest.mark.parametrize("k", [1, 2, 20])
@pytest.mark.parametrize("entries", [1, 150, 2**21])
def test_equals_topk_of_the_whole(monkeypatch, num_rows, num_columns, k, entries):
    monkeypatch.setitem(products.ENTRIES, "cpu", entries)
    k = min(k, num_columns)
    torch.manual_seed(0)
    left, right = torch.randn(num_rows, 4), torch.randn(num_columns, 4)
    bonus = torch.randn(num_rows, num_columns)
    expected = (left @ right.t() + bonus).topk(k, dim=1)
    found = top_k_products(left, right, k, lambda x, rows: x.add_(bonus[rows]))
    torch.testing.assert_close(found[0], expected.values)
    assert torch.equal(found[1], expected.indices)


def test_lowest_values_are_columns_all_the_same():
    """Where everything is at the bottom, no column beyond the last one is made up."""
    lowest = torch.finfo(torch.float32).min
    left, right = torch.zeros(3, 2), torch.zeros(31, 2)
    _, columns = top_k_products(left, right, 25, lambda x, _: x.fill_(lowest))
    assert columns.max() < 31
    assert all(len(row.unique()) == 25 for row in columns)


def test_no_rows():
    values, columns = top_k_products(torch.ones(0, 4), torch.ones(9, 4), 3, lambda x, _: x)
    assert values.shape == columns.shape == (0, 3)


def test_a_block_has_a_row_at_least():
    device = torch.device("cpu")
    assert block_rows(2**30, 1, device) == 1
    assert block_rows(2**20, 1, device) == 2
    assert block_rows(2**30, 128, device) == 64


@pytest.mark.parametrize("spread", [3, 300])
@pytest.mark.parametrize("num_columns", [1, 2, 6, 11, 12, 13, 25, 40, 97])
def test_equal_products_are_in_the_order_that_is_given(num_columns, spread):
    """Whatever the number of columns wanted, and with few ties as with many."""
    torch.manual_seed(num_columns)
    right = torch.randint(spread, (num_columns, 1)).float()
    order = torch.randperm(num_columns)
    place = {column: p for p, column in enumerate(order.tolist())}
    expected = sorted(range(num_columns), key=lambda c: (-right[c].item(), place[c]))
    for k in range(1, num_columns + 1):
        values, columns = top_k_products(torch.ones(2, 1), right, k, lambda x, _: x, order)
        assert columns.tolist() == 2 * [expected[:k]]
        assert values.tolist() == 2 * [right[expected[:k], 0].tolist()]


@pytest.mark.parametrize("broken", [torch.inf, torch.nan])
def test_products_that_are_not_finite_are_refused_where_there_is_an_order(broken):
    right = torch.tensor([[1.0], [broken], [2.0]])
    with pytest.raises(InputError, match=r"scores: are NaN or infinite; .* for torch.float32\)"):
        top_k_products(torch.ones(1, 1), right, 2, lambda x, _: x, torch.arange(3))


@pytest.mark.parametrize("entries", [1, 2**21])
@pytest.mark.parametrize("is_right_sparse", [False, True])
def test_products_of_sparse_rows_equal_dense_ones(monkeypatch, entries, is_right_sparse):
    monkeypatch.setitem(products.ENTRIES, "cpu", entries)
    torch.manual_seed(0)
    left = torch.rand(9, 7) * (torch.rand(9, 7) < 0.3)
    left[4] = 0
    right = torch.rand(30, 7) * (torch.rand(30, 7) < 0.5)
    other = right.to_sparse() if is_right_sparse else right
    rows = torch.tensor([8, 0, 4, 0, 3])  # in another order, and one twice
    found = top_k_products(
        left.to_sparse().index_select(0, rows), other, 5, lambda x, rows: x, torch.arange(30)
    )
    expected = top_k_products(left[rows], right, 5, lambda x, rows: x, torch.arange(30))
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1])


@pytest.mark.parametrize("entries", [1, 40, 2**21])
def test_blocks_of_inner_products_of_columns(monkeypatch, entries):
    monkeypatch.setitem(products.ENTRIES, "cpu", entries)
    edge_index = torch.tensor([[0, 0, 2, 4, 4, 0], [1, 3, 3, 0, 3, 3]])  # one edge twice
    weight = torch.tensor([1.0, 2.0, -1.0, 0.5, 3.0, 4.0])
    adj = Adjacency.from_edge_index(edge_index, weight, (5, 4))
    dense = adj @ torch.eye(5)
    found = torch.full((5, 5), torch.nan)
    for rows, block in gram_blocks(adj):
        found[rows] = block
    torch.testing.assert_close(found, dense.t() @ dense)
