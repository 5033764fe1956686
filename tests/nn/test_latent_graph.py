import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn.latent_graph import LatentGraph


def vectors(num_items=12, width=5):
    return torch.randn(num_items, width, generator=torch.Generator().manual_seed(0)).double()


def dense(x, k):
    """The formula, with all I x I cosines."""
    unit = x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
    cosine = unit @ unit.t()
    near = torch.zeros_like(cosine).scatter(1, cosine.topk(k).indices, 1.0)
    s = near * cosine.clamp(min=0)
    root = s.sum(1).clamp(min=1e-12).rsqrt()
    return root[:, None] * s * root


@pytest.mark.parametrize("k", [1, 4, 12])
def test_equals_the_dense_matrix_with_its_gradients(k):
    grads = []
    for sparse in (True, False):
        x, hidden = vectors().requires_grad_(), vectors(width=3).requires_grad_()
        graph = LatentGraph(12, k)
        graph.rebuild(x)
        out = graph(x, hidden) if sparse else dense(x, k) @ hidden
        (out * torch.arange(out.numel()).view_as(out)).sum().backward()
        grads.append([out.detach(), x.grad, hidden.grad])
    for ours, theirs in zip(*grads):
        torch.testing.assert_close(ours, theirs)
    assert k == 1 or grads[0][1].abs().sum() > 1


def test_weights_follow_the_vectors_and_neighbours_wait():
    graph, x = LatentGraph(12, 3), vectors()
    graph.rebuild(x)
    before = graph.neighbor.clone()
    hidden = torch.eye(12).double()
    assert (graph(x.roll(1, 0), hidden) != graph(x, hidden)).any()
    assert torch.equal(graph.neighbor, before)


def test_vectors_of_zeros_have_no_part():
    x, hidden = vectors(), vectors(width=3)
    x[4] = 0
    x.requires_grad_()
    graph = LatentGraph(12, 5)
    graph.rebuild(x)
    out = graph(x, hidden)
    assert torch.equal(out[4], torch.zeros(3).double())
    out.sum().backward()
    assert x.grad.isfinite().all()
    hidden[4] = 1e9
    torch.testing.assert_close(graph(x, hidden), out)


def test_all_is_one_before_it_is_built_and_neighbours_are_saved():
    graph, x = LatentGraph(12, 3), vectors()
    torch.testing.assert_close(graph(x, x), x)
    graph.rebuild(x)
    other = LatentGraph(12, 3)
    other.load_state_dict(graph.state_dict())
    assert torch.equal(other(x, x), graph(x, x))
    graph.reset_parameters()
    torch.testing.assert_close(graph(x, x), x)


def test_at_most_all_items_are_neighbours():
    assert LatentGraph(3, 10).neighbor.shape == (3, 3)
    with pytest.raises(ValueError, match="k: is 0; expected at least 1"):
        LatentGraph(3, 0)


def test_vectors_of_other_items_are_refused():
    graph = LatentGraph(6, 2)
    with pytest.raises(InputError, match=r"'x' has shape \[1, 3\]; expected \[6, F\]"):
        graph.rebuild(torch.randn(1, 3))
    with pytest.raises(InputError, match=r"'hidden' has shape \[7, 3\]; expected \[6, D\]"):
        graph(torch.randn(6, 3), torch.randn(7, 3))
