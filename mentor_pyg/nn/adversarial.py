"""Modules of a Wasserstein GAN on rows of the interaction matrix."""

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import BatchNorm1d, Linear, ModuleList
from torch_geometric.nn.inits import reset

from mentor_pyg._util.shapes import check_shapes
from mentor_pyg.nn.functional import at_least_float, check_temperature, normalize
from mentor_pyg.nn.random import STEPS, uniform
from mentor_pyg.options import Count, NonNegative, Positive, Probability, checked

NEGATIVE_SLOPE = 0.2
"""Negative slope of the critic's LeakyReLU, as in DCGAN (arXiv 1511.06434)."""


@checked
class Critic(torch.nn.Module):
    r"""Discriminates observed from generated rows of an interaction matrix, Eq. 4 of the
    `"MMSSL" <https://arxiv.org/abs/2302.10632>`_ paper.

    .. math::
        D(\mathbf{a}) = \sigma(\Gamma_2(\Gamma_1(\mathbf{a}))), \qquad
        \Gamma(\mathbf{a}) = \mathrm{dropout}(\mathrm{BN}(
        \mathrm{LeakyReLU}(\mathbf{W} \mathbf{a} + \mathbf{b})))

    A training batch must hold rows of both kinds. Batch normalisation would otherwise hide
    the difference between their means.

    Args:
        in_channels: Width of a row (the number of items).
        hidden_channels: Width of the hidden layer.
        dropout: Dropout ratio.

    Shapes:
        ``rows`` [N, in_channels]; result [N] in (0, 1)
    """

    def __init__(
        self, in_channels: Count, hidden_channels: Count = 64, dropout: Probability = 0.5
    ) -> None:
        super().__init__()
        widths = [in_channels, hidden_channels, 1]
        self.linears = ModuleList(Linear(a, b) for a, b in pairwise(widths))
        self.norms = ModuleList(BatchNorm1d(width) for width in widths[1:])
        self.dropout = dropout

    def reset_parameters(self) -> None:
        reset(self.linears)
        reset(self.norms)

    def forward(self, rows: Tensor) -> Tensor:
        return self._scores(rows, self.training)

    def judge(self, rows: Tensor) -> Tensor:
        """Scores without dropout and with running statistics, even in training mode, so that
        a row's score does not depend on the rest of the batch."""
        return self._scores(rows, training=False)

    def gradient(self, rows: Tensor) -> Tensor:
        """Gradients of :meth:`judge` with respect to the rows [N, in_channels].

        They are written out by the chain rule, since compiled code has no second-order
        autograd.
        """
        factors, x = [], rows
        for linear, norm in zip(self.linears, self.norms):
            assert isinstance(norm, BatchNorm1d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            x = at_least_float(linear(x))
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            factors.append(scale * torch.where(x > 0, 1.0, NEGATIVE_SLOPE))
            x = (F.leaky_relu(x, NEGATIVE_SLOPE) - norm.running_mean) * scale + norm.bias
        score = x.sigmoid()
        (weight, last_weight), (factor, last_factor) = self._weights(), factors
        grad = score * (1 - score) * last_factor * last_weight  # [N, hidden_channels]
        return at_least_float((grad * factor) @ weight)

    def _weights(self) -> list[Tensor]:
        return [cast(Linear, linear).weight for linear in self.linears]

    def _scores(self, x: Tensor, training: bool) -> Tensor:
        for linear, norm in zip(self.linears, self.norms):
            assert isinstance(norm, BatchNorm1d)
            x = F.leaky_relu(at_least_float(linear(x)), NEGATIVE_SLOPE)
            x = F.batch_norm(
                x, norm.running_mean, norm.running_var, norm.weight, norm.bias, training
            )
            x = F.dropout(x, self.dropout, training)
        return x.squeeze(1).sigmoid()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    gradient: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    r"""Gradient penalty of a critic between real and fake rows (`"Improved Training
    of Wasserstein GANs" <https://arxiv.org/abs/1704.00028>`_).

    .. math::
        \mathcal{L} = \frac{1}{N} \sum_{n=1}^{N}
        (\lVert \nabla D(\tilde{\mathbf{a}}_n) \rVert_2 - 1)^2, \qquad
        \tilde{\mathbf{a}} = \epsilon \mathbf{a}_{real} + (1 - \epsilon) \mathbf{a}_{fake},
        \quad \epsilon \sim \mathcal{U}(0, 1)

    Args:
        critic: Maps rows [N, F] to scores [N]; each score depends on its own row only.
        real: Real rows [N, F]. No gradient flows into them.
        fake: Fake rows [N, F]. No gradient flows into them either.
        gradient: Maps rows [N, F] to the gradients of their scores [N, F]. If not given,
            autograd differentiates the critic twice.

    Raises:
        InputError: If the shapes differ.
    """
    check_shapes("gradient_penalty", real=(real, ("N", "F")), fake=(fake, ("N", "F")))
    mix = torch.rand(real.size(0), 1, dtype=real.dtype, device=real.device)
    between = fake.detach().lerp(real.detach(), mix)
    if gradient is None:
        between.requires_grad_()
        (grad,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    else:
        grad = gradient(between)
    return (at_least_float(grad).norm(dim=1) - 1).square().mean()


def gumbel_rows(rows: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    r"""Gumbel-softmax of rows (`"Categorical Reparameterization with
    Gumbel-Softmax" <https://arxiv.org/abs/1611.01144>`_), Eq. 5 of MMSSL.

    .. math::
        \mathrm{softmax}((\mathbf{a} + \mathbf{g}) / \tau), \qquad
        g = -\log(-\log u), \quad u \sim \mathcal{U}(0, 1)

    Args:
        rows: Rows a [N, F].
        tau: Temperature. Small values give nearly one-hot rows.
        generator: Source of randomness; the global one if not given.

    Raises:
        InputError: If tau is not positive and finite.
    """
    check_temperature("gumbel_rows", tau)
    draws = uniform(rows.shape, rows, generator).clamp_(min=0.5 / STEPS)  # log(0) is infinite
    gumbel = draws.log_().neg_().log_().neg_()
    return torch.softmax(gumbel.add_(rows).div_(tau), dim=1).to(rows.dtype)


@checked
class Adversary(torch.nn.Module):
    r"""Adversarial training of generated against observed rows of the interaction matrix,
    Eq. 3-7 of the `"MMSSL" <https://arxiv.org/abs/2302.10632>`_ paper.

    .. math::
        A^m_{ui} = \cos(\mathbf{f}_u^m, \mathbf{f}_i^m), \qquad
        \mathcal{L}_D = \mathbb{E} [D(\mathbf{A}^m_u)] - \mathbb{E} [D(\mathbf{r}_u)]
        + \lambda_1 \mathcal{L}_{GP}, \qquad
        \mathbf{r}_u \propto \mathrm{softmax}((\mathbf{a}_u + \mathbf{g}) / \tau_g)
        + \zeta \cos(\mathbf{h}_u, \mathbf{h}_{\cdot})

    where observed pairs are set to zero in A, and rows are L2-normalised.

    Args:
        num_items: Number of items I.
        hidden_channels: Width of the critic's hidden layer.
        dropout: Dropout ratio of the critic.
        gumbel: Whether Gumbel-softmax is applied to the observed rows :math:`\mathbf{a}`.
        temperature: :math:`\tau_g`.
        collaborative_weight: :math:`\zeta`.
        penalty_weight: :math:`\lambda_1`.

    Shapes:
        for n users ``observed`` [n, I], ``content`` [n, M, D] and ``out`` [n, D]; for all items
        ``content`` [I, M, D] and ``out`` [I, D]
    """

    def __init__(
        self,
        num_items: Count,
        hidden_channels: Count = 64,
        dropout: Probability = 0.3,
        gumbel: bool = True,
        temperature: Positive = 0.5,
        collaborative_weight: NonNegative = 1.0,
        penalty_weight: NonNegative = 1.0,
    ) -> None:
        super().__init__()
        self.critic = Critic(num_items, hidden_channels, dropout)
        self.gumbel, self.temperature = gumbel, temperature
        self.collaborative_weight, self.penalty_weight = collaborative_weight, penalty_weight

    def reset_parameters(self) -> None:
        self.critic.reset_parameters()

    def forward(self, fake: Tensor) -> Tensor:
        r"""Generator loss :math:`-\mathbb{E} [D(\mathbf{A}^m_u)]`."""
        return -self.critic.judge(fake).mean()

    def generate(self, user_content: Tensor, item_content: Tensor, observed: Tensor) -> Tensor:
        """Generated rows of all modalities, A^m [M n, I], from L2-normalised content."""
        products = user_content.transpose(0, 1) @ item_content.permute(1, 2, 0)
        return normalize((products * (1 - observed)).flatten(0, 1))

    def transform(self, observed: Tensor, user_out: Tensor, item_out: Tensor) -> Tensor:
        """Observed rows as the critic sees them, r [n, I]."""
        rows = gumbel_rows(observed, self.temperature) if self.gumbel else observed
        if self.collaborative_weight > 0:
            cosine = normalize(user_out) @ normalize(item_out).t()
            rows = rows + self.collaborative_weight * cosine
        return normalize(rows)

    def losses(self, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """The critic's loss terms; no gradient flows into the rows."""
        fake, real = fake.detach(), real.detach()
        scores = self.critic(torch.cat([fake, real]))
        losses = {"critic": scores[: len(fake)].mean() - scores[len(fake) :].mean()}
        if self.penalty_weight > 0:
            real = real.repeat(len(fake) // len(real), 1)
            penalty = gradient_penalty(self.critic.judge, real, fake, self.critic.gradient)
            losses["penalty"] = self.penalty_weight * penalty
        return losses
