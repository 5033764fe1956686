"""InfoNCE, which is computed block by block, against the dense formula in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mentor_pyg.nn import info_nce
from mentor_pyg.sparse import products


@given(
    st.integers(1, 40),
    st.integers(1, 8),
    st.floats(0.01, 10),
    st.integers(1, 2000),
    st.floats(-6, 6),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_equals_the_dense_loss(num_rows, width, tau, entries, scale, are_near, seed):
    """Views of any scale, either near to one another or not, in blocks of any size."""
    generator = torch.Generator().manual_seed(seed)
    a, b = (
        torch.randn(num_rows, width, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    b = a + 0.01 * b if are_near else b
    dense = [x.mul(10**scale).requires_grad_() for x in (a, b)]
    logits = F.normalize(dense[0]) @ F.normalize(dense[1]).t() / tau
    expected = F.cross_entropy(logits, torch.arange(num_rows))
    expected_grads = torch.autograd.grad(expected, dense)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-5)):
        views = [x.detach().to(dtype).requires_grad_() for x in dense]
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(products.ENTRIES, "cpu", entries)
            loss = info_nce(*views, tau)
            grads = torch.autograd.grad(loss, views)
        assert loss.item() == pytest.approx(expected.item(), abs=tolerance * (1 + 1 / tau))
        for x, grad, other in zip(dense, grads, expected_grads):
            # In units of what one row can have at most:
            unit = tau * num_rows * x.detach().norm(dim=1, keepdim=True)
            assert ((grad - other).abs() * unit).max() < tolerance * (1 + 1 / tau)
