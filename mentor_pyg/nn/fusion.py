from collections.abc import Sequence

import torch
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

    def forward(self, representations: Sequence[Tensor], num_users: int) -> Tensor:
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

    def forward(self, representations: Sequence[Tensor], num_users: int) -> Tensor:
        users = [w * z[:num_users] for w, z in zip(self.weight.unbind(1), representations)]
        items = [z[num_users:] for z in representations]
        return torch.cat([torch.cat(users, dim=1), torch.cat(items, dim=1)])
