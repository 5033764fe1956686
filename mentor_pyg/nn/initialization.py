"""Initialisation of linear layers."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from torch import Tensor
from torch.nn import Linear
from torch.nn.init import kaiming_uniform_, xavier_normal_, xavier_uniform_

from mentor_pyg.options import checked

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
