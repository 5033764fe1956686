from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.errors import InputError
from mentor_pyg.nn.embedding import Nodes
from mentor_pyg.options import Count, checked


@checked
class GlobalFusion(torch.nn.Module):
    r"""Concatenates modalities, each scaled by a trainable weight, Eq. 7 of the
    `"MENTOR" <https://arxiv.org/abs/2402.19407>`_ paper.

    .. math::
        \mathbf{Z} = \big\Vert_{m} \, \alpha_m \mathbf{Z}_m, \qquad
        \boldsymbol{\alpha} = \mathrm{softmax}(\mathbf{a})

    The weights start uniform and sum to one; with two modalities they are
    :math:`\alpha` and :math:`1 - \alpha`, starting at 0.5.

    Shapes:
        for each modality ``users`` [U, D] and ``items`` [I, D]; results [U, |M| D], [I, |M| D]
    """

    def __init__(self, num_modalities: Count) -> None:
        super().__init__()
        self.logit = Parameter(torch.empty(num_modalities))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.zeros_(self.logit)

    def forward(
        self, users: Sequence[Tensor], items: Sequence[Tensor], nodes: Nodes | None = None
    ) -> tuple[Tensor, Tensor]:
        _check("GlobalFusion", users, items, self.logit.numel())
        weights = self.logit.softmax(dim=0)
        user, item = ([w * z for w, z in zip(weights, zs)] for zs in (users, items))
        return torch.cat(user, dim=1), torch.cat(item, dim=1)


@checked
class UserFusion(torch.nn.Module):
    r"""Concatenates modalities, scaled by trainable weights per *user*; items are
    concatenated without weights. This is the fusion of MENTOR's released code.

    The weights are initialised by a softmax and unconstrained afterwards.

    Shapes:
        as :class:`GlobalFusion`
    """

    def __init__(self, num_modalities: Count, num_users: Count) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(num_users, num_modalities, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        torch.nn.init.xavier_normal_(self.weight)
        self.weight.data = self.weight.data.softmax(dim=1)

    def forward(
        self, users: Sequence[Tensor], items: Sequence[Tensor], nodes: Nodes | None = None
    ) -> tuple[Tensor, Tensor]:
        _check("UserFusion", users, items, self.weight.size(1))
        nodes = Nodes(users[0].size(0), items[0].size(0)) if nodes is None else nodes
        weights = nodes.users(self.weight).unbind(1)
        user = torch.cat([w * z for w, z in zip(weights, users)], dim=1)
        return user, torch.cat(list(items), dim=1)


def _check(
    where: str, users: Sequence[Tensor], items: Sequence[Tensor], num_modalities: int
) -> None:
    for name, zs in (("users", users), ("items", items)):
        if len(zs) != num_modalities:
            raise InputError(
                f"{where}: {name} are {len(zs)} representations; expected {num_modalities}"
            )
        check_shapes(where, **{f"{name}[{n}]": (z, ("N", "D")) for n, z in enumerate(zs)})
