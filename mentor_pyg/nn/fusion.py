from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Parameter


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

    def __init__(self, num_modalities: int) -> None:
        super().__init__()
        self.logit = Parameter(torch.empty(num_modalities))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.zeros_(self.logit)

    def forward(self, representations: Sequence[Tensor]) -> Tensor:
        weights = self.logit.softmax(dim=0)
        return torch.cat([w * z for w, z in zip(weights, representations)], dim=1)


class UserFusion(torch.nn.Module):
    r"""Concatenates representations under free weights of every *user's*; item rows
    are concatenated plainly. The fusion of MENTOR's released code.

    The weights are drawn once from a softmax and unconstrained from then on.

    Shapes:
        each representation [U + I, D], result [U + I, |M| D]
    """

    def __init__(self, num_modalities: int, num_users: int) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(num_users, num_modalities, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_normal_(self.weight)
        self.weight.data = self.weight.data.softmax(dim=1)

    def forward(self, representations: Sequence[Tensor]) -> Tensor:
        num_items = representations[0].size(0) - self.weight.size(0)
        weights = F.pad(self.weight, (0, 0, 0, 0, 0, num_items), value=1.0).unbind(1)
        return torch.cat([w * z for w, z in zip(weights, representations)], dim=1)
