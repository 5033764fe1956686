"""Initialisation of linear layers, and of embeddings by the graph."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import Linear
from torch.nn.init import kaiming_uniform_, xavier_normal_, xavier_uniform_

from mentor_pyg.options import Count, checked
from mentor_pyg.sparse.adjacency import Adjacency

Init: TypeAlias = Literal["linear", "xavier_uniform", "xavier_normal"]
"""Name of an initialisation; see :func:`draw_weight`."""

_DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": partial(kaiming_uniform_, a=math.sqrt(5)),  # default of torch.nn.Linear
    "xavier_uniform": xavier_uniform_,
    "xavier_normal": xavier_normal_,
}


@checked
def draw_weight(weight: Tensor, init: Init) -> None:
    r"""Initialises the weights of a linear layer from a named distribution.

    =======================  ==================================================================
    :obj:`"linear"`          :math:`\mathcal{U}(-1/\sqrt{F_{in}}, 1/\sqrt{F_{in}})`, the default
                             of :class:`torch.nn.Linear`
    :obj:`"xavier_uniform"`  uniform with variance :math:`2 / (F_{in} + F_{out})`
    :obj:`"xavier_normal"`   normal with the same variance
    =======================  ==================================================================

    Args:
        weight: The weights [F_out, F_in], changed in place.
        init: Name of the distribution.

    Raises:
        InputError: If no distribution has this name.
    """
    _DRAWS[init](weight)


def reset_linear(linear: Linear, init: Init = "xavier_uniform") -> None:
    """Resets a linear layer: its weight by :func:`draw_weight`, and its bias by the default of
    :class:`torch.nn.Linear`.

    Released code that initialises ``linear.weight`` by Xavier leaves the bias at PyTorch's
    default. This matters: with a zero bias, items whose features are zeros have no direction
    to normalise.

    Args:
        linear: The layer, changed in place.
        init: Name of the weight's initialisation.
    """
    linear.reset_parameters()
    draw_weight(linear.weight, init)


@checked
@torch.no_grad()
def spectral_embedding(
    adj: Adjacency, channels: Count, num_iterations: Count = 4
) -> tuple[Tensor, Tensor]:
    r"""Leading singular vectors of a user-item matrix, times the roots of their singular values.

    .. math::
        \hat{\mathbf{A}} \approx \mathbf{P} \boldsymbol{\Sigma} \mathbf{Q}^{\top}, \qquad
        \mathbf{E}_U = \mathbf{P} \boldsymbol{\Sigma}^{1/2}, \quad
        \mathbf{E}_I = \mathbf{Q} \boldsymbol{\Sigma}^{1/2}

    They are computed by randomised subspace iteration (`"Finding Structure with Randomness"
    <https://arxiv.org/abs/0909.4061>`_), which takes about as long as a few training steps.

    Args:
        adj: The normalised graph [U, I].
        channels: Number of singular vectors D.
        num_iterations: Number of products with the matrix and its transpose; more are more
            accurate.

    Returns:
        Users [U, D] and items [I, D]. Columns beyond the size of the matrix are zero.
    """
    num_users, num_items = adj.shape
    width = min(channels + 8, num_users, num_items)
    item = torch.randn(num_items, width, dtype=adj.weight.dtype, device=adj.weight.device)
    for _ in range(num_iterations):
        user = torch.linalg.qr(adj @ item).Q
        item = torch.linalg.qr(adj.t() @ user).Q
    left, values, right = torch.linalg.svd(adj @ item, full_matrices=False)
    count = min(channels, values.numel())
    roots = values[:count].sqrt()
    pad = (0, channels - count)
    parts = left[:, :count] * roots, (item @ right[:count].t()) * roots
    user, item = (torch.nn.functional.pad(part, pad) for part in parts)
    return user, item
