import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import InputError
from mentor_pyg.nn import adversarial
from mentor_pyg.nn.adversarial import Critic, gradient_penalty, gumbel_rows
from mentor_pyg.nn.random import uniform


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def critic():
    critic = Critic(6, hidden_channels=4, dropout=0.0).double()
    for _ in range(5):  # else its running statistics say nothing
        critic(torch.rand(10, 6, dtype=torch.float64))
    return critic


def naive_scores(critic, rows, mean_and_var):
    """Eq. 4 step by step; ``mean_and_var`` says by what a layer's outputs are normalised."""
    x = rows
    for linear, norm in zip(critic.linears, critic.norms):
        x = x @ linear.weight.t() + linear.bias
        x = torch.where(x > 0, x, 0.2 * x)
        mean, var = mean_and_var(x, norm)
        x = (x - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias
    return 1 / (1 + torch.exp(-x[:, 0]))


def test_judging_goes_by_running_statistics(critic):
    rows = torch.rand(7, 6, dtype=torch.float64)
    expected = naive_scores(critic, rows, lambda _, norm: (norm.running_mean, norm.running_var))
    state = {name: value.clone() for name, value in critic.state_dict().items()}
    torch.testing.assert_close(critic.judge(rows), expected)
    torch.testing.assert_close(torch.cat([critic.judge(row[None]) for row in rows]), expected)
    torch.testing.assert_close(critic.eval()(rows), expected)
    assert all(torch.equal(value, state[name]) for name, value in critic.state_dict().items())


def test_training_goes_by_the_batch_and_keeps_its_statistics(critic):
    rows = torch.rand(7, 6, dtype=torch.float64)
    before = critic.norms[0].running_mean.clone()
    expected = naive_scores(critic, rows, lambda x, _: (x.mean(0), x.var(0, unbiased=False)))
    torch.testing.assert_close(critic(rows), expected)
    hidden = F.leaky_relu(critic.linears[0](rows), 0.2).mean(0)
    torch.testing.assert_close(critic.norms[0].running_mean, 0.9 * before + 0.1 * hidden)


def test_dropout_is_for_training_alone():
    critic = Critic(6, 64, dropout=0.5)
    rows = torch.rand(7, 6)
    assert not torch.equal(critic(rows), critic(rows))
    assert torch.equal(critic.judge(rows), critic.judge(rows))


def test_reset_draws_weights_and_forgets_statistics(critic):
    weight = critic.linears[0].weight.clone()
    critic.reset_parameters()
    assert not torch.equal(weight, critic.linears[0].weight)
    assert critic.norms[0].running_mean.abs().sum() == 0


def test_critic_learns_to_tell_rows_apart():
    critic = Critic(6, dropout=0.1)
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-2)
    real, fake = (F.normalize(torch.rand(64, 6) + shift) for shift in (0.0, 1.0))
    for _ in range(60):
        optimizer.zero_grad()
        scores = critic(torch.cat([fake, real]))
        (scores[:64].mean() - scores[64:].mean()).backward()
        optimizer.step()
    assert critic.judge(real).mean() - critic.judge(fake).mean() > 0.3


def test_penalty_equals_finite_differences(critic):
    real, fake = torch.rand(2, 5, 6, dtype=torch.float64)
    torch.manual_seed(1)
    penalty = gradient_penalty(critic.judge, real, fake)
    torch.manual_seed(1)
    mix = torch.rand(5, 1, dtype=torch.float64)
    between = mix * real + (1 - mix) * fake
    step = 1e-6 * torch.eye(6, dtype=torch.float64)
    slope = torch.stack(
        [(critic.judge(between + s) - critic.judge(between - s)) / 2e-6 for s in step], dim=1
    )
    torch.testing.assert_close(penalty, (slope.norm(dim=1) - 1).square().mean())


def test_penalty_by_hand():
    """The slope of <w, x> is |w| everywhere."""
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    rows = torch.rand(2, 5, 2)
    penalty = gradient_penalty(lambda x: x @ weight, *rows)
    torch.testing.assert_close(penalty, torch.tensor(16.0))
    (grad,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(grad, 2 * 4 * weight.detach() / 5)


def test_gradient_of_the_penalty_equals_finite_differences(critic):
    real, fake = torch.rand(2, 5, 6, dtype=torch.float64)

    def penalty(*_):
        torch.manual_seed(1)
        return gradient_penalty(critic.judge, real, fake)

    assert torch.autograd.gradcheck(penalty, [linear.weight for linear in critic.linears])


def test_gradient_by_the_chain_rule_equals_autograd(critic):
    rows = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(critic.judge(rows).sum(), rows)
    torch.testing.assert_close(critic.gradient(rows), expected)
    real, fake = torch.rand(2, 5, 6, dtype=torch.float64)
    grads = []
    for gradient in (None, critic.gradient):
        torch.manual_seed(1)
        penalty = gradient_penalty(critic.judge, real, fake, gradient)
        grads.append(torch.autograd.grad(penalty, [x.weight for x in critic.linears]))
    torch.testing.assert_close(*grads)


def test_penalty_leaves_the_rows_alone(critic):
    real, fake = (torch.rand(5, 6, dtype=torch.float64, requires_grad=True) for _ in range(2))
    gradient_penalty(critic.judge, real, fake).backward()
    assert real.grad is None
    assert fake.grad is None


@pytest.mark.parametrize("tau", [0.005, 0.5, 2.0])
def test_gumbel_rows_equal_the_formula(tau):
    rows = (torch.rand(4, 9) < 0.3).double()
    draws = uniform(rows.shape, rows, torch.Generator().manual_seed(3))
    logits = (rows - torch.log(-torch.log(draws))) / tau
    expected = torch.exp(logits - logits.max(1, keepdim=True).values)
    found = gumbel_rows(rows, tau, torch.Generator().manual_seed(3))
    torch.testing.assert_close(found, expected / expected.sum(1, keepdim=True))


def test_gumbel_rows_draw_by_the_softmax():
    """At a low temperature a row is one-hot where its softmax says."""
    row = torch.tensor([0.0, 1.0, 2.0])
    drawn = gumbel_rows(row.expand(20_000, 3), 0.01).argmax(dim=1).bincount() / 20_000
    torch.testing.assert_close(drawn, row.softmax(0), atol=0.01, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gumbel_rows_of_half_precision_are_computed_in_float32(dtype):
    rows = (torch.rand(40, 90) < 0.3).to(dtype)
    half, single = (
        gumbel_rows(x, 0.5, torch.Generator().manual_seed(3)) for x in (rows, rows.float())
    )
    assert half.dtype == dtype
    assert torch.equal(half, single.to(dtype))


def test_every_draw_of_gumbel_rows_is_finite(monkeypatch):
    """The least draws are zero, whose logarithm is infinite."""
    monkeypatch.setattr(adversarial, "uniform", lambda shape, *given: torch.zeros(shape))
    torch.testing.assert_close(gumbel_rows(torch.zeros(2, 4), 0.5), torch.full((2, 4), 0.25))


def test_rows_of_other_shapes_and_temperatures_are_refused():
    with pytest.raises(InputError, match=r"'fake' has shape \[1, 4\]; expected \[3, 4\]"):
        gradient_penalty(lambda x: x.sum(1), torch.rand(3, 4), torch.rand(1, 4))
    with pytest.raises(ValueError, match=r"gumbel_rows\.tau: is .*; expected more than 0"):
        gumbel_rows(torch.zeros(2, 4), 0.0)
