"""How linear maps are drawn afresh."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from torch import Tensor
from torch.nn import Linear
from torch.nn.init import kaiming_uniform_, xavier_normal_, xavier_uniform_

from mentor_pyg.options import checked

Init: TypeAlias = Literal["linear", "xavier_uniform", "xavier_normal"]
"""Name of a distribution of weights, see :func:`draw_weight`."""

_DRAWS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": partial(kaiming_uniform_, a=math.sqrt(5)),  # as torch.nn.Linear does
    "xavier_uniform": xavier_uniform_,
    "xavier_normal": xavier_normal_,
}


@checked
def draw_weight(weight: Tensor, init: Init) -> None:
    r"""Draws the weights of a linear map from a named distribution.

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
    """Draws a linear map afresh: its weights as :func:`draw_weight` does, and its bias from
    the default of :class:`torch.nn.Linear`.

    Code that initialises ``linear.weight`` by Xavier's distributions leaves the bias as
    PyTorch drew it. It matters: a bias of zero leaves items whose features are zeros without
    a direction, and what is normalised afterwards starts from the features' scale alone.

    Args:
        linear: The map, changed in place.
        init: Name of the weights' distribution.
    """
    linear.reset_parameters()
    draw_weight(linear.weight, init)
