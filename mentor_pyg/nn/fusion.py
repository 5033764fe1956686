from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.options import Count, checked


@checked
class GlobalFusion(torch.nn.Module):
    r"""Concatenates representations under one trainable weight each, Eq. 7 of the
    `"MENTOR" <https://arxiv.org/abs/2402.19407>`_ paper.

    .. math::
        \mathbf{Z} = \big\Vert_{m} \, \alpha_m \mathbf{Z}_m, \qquad
        \boldsymbol{\alpha} = \mathrm{softmax}(\mathbf{a})

    The weights start uniform and sum to one; with two modalities they are
    :math:`\alpha` and :math:`1 - \alpha`, starting at 0.5.

    Shapes:
        each representation [N, D], result [N, |M| D]
    """

    def __init__(self, num_modalities: Count) -> None:
        super().__init__()
        self.logit = Parameter(torch.empty(num_modalities))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.zeros_(self.logit)

    def forward(self, representations: Sequence[Tensor]) -> Tensor:
        _check("GlobalFusion", representations, self.logit.numel())
        weights = self.logit.softmax(dim=0)
        return torch.cat([w * z for w, z in zip(weights, representations)], dim=1)


@checked
class UserFusion(torch.nn.Module):
    r"""Concatenates representations under free weights of every *user's*; item rows
    are concatenated plainly. The fusion of MENTOR's released code.

    The weights are drawn once from a softmax and unconstrained from then on.

    Shapes:
        each representation [U + I, D], result [U + I, |M| D]
    """

    def __init__(self, num_modalities: Count, num_users: Count) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(num_users, num_modalities, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_normal_(self.weight)
        self.weight.data = self.weight.data.softmax(dim=1)

    def forward(self, representations: Sequence[Tensor]) -> Tensor:
        num_users, num_modalities = self.weight.shape[:2]
        _check("UserFusion", representations, num_modalities)
        num_items = representations[0].size(0) - num_users
        if num_items < 0:
            raise InputError(
                f"UserFusion: representations of {representations[0].size(0)} rows; "
                f"expected at least the {num_users} users"
            )
        weights = F.pad(self.weight, (0, 0, 0, 0, 0, num_items), value=1.0).unbind(1)
        return torch.cat([w * z for w, z in zip(weights, representations)], dim=1)


def _check(where: str, representations: Sequence[Tensor], num_modalities: int) -> None:
    if len(representations) != num_modalities:
        raise InputError(
            f"{where}: {len(representations)} representations; expected {num_modalities}"
        )
    check_shapes(
        where, **{f"representation {n}": (z, ("N", "D")) for n, z in enumerate(representations)}
    )
