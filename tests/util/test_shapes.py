import pytest
import torch
from torch_geometric import EdgeIndex

from mentor_pyg import InputError
from mentor_pyg._util.shapes import check_edge_index, check_mask, check_shapes


def test_letters_stand_for_one_size_each():
    x, y = torch.zeros(2, 3), torch.zeros(3)
    check_shapes("f", x=(x, ("N", "F")), y=(y, ("F",)))
    check_shapes("f", x=(x, (2, 3)), y=(y, ("N",)))
    with pytest.raises(InputError, match=r"^f: 'y' has shape \[3\]; expected \[2\]$"):
        check_shapes("f", x=(x, ("N", "F")), y=(y, ("N",)))


@pytest.mark.parametrize("shape", [("N",), ("N", 3, "F"), (2, 4), ("N", "N")])
def test_other_shapes_are_refused(shape):
    with pytest.raises(InputError, match=r"'x' has shape \[2, 3\]; expected \["):
        check_shapes("f", x=(torch.zeros(2, 3), shape))


@pytest.mark.parametrize(
    ("edge_index", "message"),
    [
        (torch.zeros(3, 2), r"shape \[3, 2\]; expected \[2, E\]"),
        (torch.zeros(2, 3), r"dtype torch\.float32; expected int64"),
        (torch.tensor([[0, 2], [0, 1]]), "row 0 .* entries from 0 to 2; expected from 0 to 1"),
        (torch.tensor([[0, 1], [-1, 2]]), "row 1 .* entries from -1 to 2; expected from 0 to 2"),
    ],
)
def test_edges_that_are_none(edge_index, message):
    with pytest.raises(InputError, match=f"^f: .*{message}"):
        check_edge_index("f", edge_index, (2, 3))


def test_edges_within_the_size():
    check_edge_index("f", torch.tensor([[0, 1], [0, 2]]), (2, 3))
    check_edge_index("f", torch.empty(2, 0, dtype=torch.long), (0, 0))


def test_masks():
    mask = torch.ones(3, dtype=torch.bool)
    check_mask("f", 3, a=mask, b=None)
    with pytest.raises(InputError, match=r"^f: 'a' has shape \[3\]; expected \[4\]"):
        check_mask("f", 4, a=mask)
    with pytest.raises(InputError, match=r"^f: 'a' has dtype torch\.int64; expected bool"):
        check_mask("f", 3, a=mask.long())


@pytest.mark.parametrize("sort_order", [None, "row", "col"])
def test_edges_are_a_plain_tensor_of_int64(sort_order):
    edges = torch.tensor([[0, 1], [0, 2]])
    given = EdgeIndex(edges, sparse_size=(3, 3))
    given = given if sort_order is None else given.sort_by(sort_order)[0]
    for found in (check_edge_index("f", given, (2, 3)), check_edge_index("f", edges.int())):
        assert type(found) is torch.Tensor
        assert torch.equal(found, edges)


@pytest.mark.parametrize("name", ["where", "size", "self"])
def test_names_of_tensors_are_free(name):
    """Those of modalities come here, too."""
    check_shapes("f", **{name: (torch.zeros(2), ("N",))})
    check_mask("f", 2, **{name: torch.zeros(2, dtype=torch.bool)})
