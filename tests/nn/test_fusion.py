import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import GlobalFusion, UserFusion

USERS, ITEMS, HIDDEN = 4, 3, 5


@pytest.fixture(params=[1, 2, 3], ids=lambda m: f"{m} modalities")
def representations(request):
    torch.manual_seed(0)
    return [torch.randn(USERS + ITEMS, HIDDEN) for _ in range(request.param)]


@pytest.fixture(params=["global", "user"])
def fusion(request, representations):
    m = len(representations)
    return GlobalFusion(m) if request.param == "global" else UserFusion(m, USERS)


def test_global_fusion(representations):
    m = len(representations)
    fusion = GlobalFusion(m)
    plain = torch.cat(representations, dim=1)
    assert torch.allclose(fusion(representations), plain / m)

    torch.nn.init.normal_(fusion.logit)
    exp = fusion.logit.exp()
    alpha = (exp / exp.sum()).repeat_interleave(HIDDEN)
    assert torch.allclose(fusion(representations), alpha * plain)


def test_user_fusion(representations):
    m = len(representations)
    fusion = UserFusion(m, USERS)
    assert torch.allclose(fusion.weight.sum(dim=1), torch.ones(USERS, 1))
    assert (fusion.weight > 0).all()

    torch.nn.init.normal_(fusion.weight)
    out = fusion(representations)
    assert out.shape == (USERS + ITEMS, m * HIDDEN)
    for column, z in enumerate(representations):
        part = out[:, column * HIDDEN : (column + 1) * HIDDEN]
        assert torch.equal(part[USERS:], z[USERS:])
        for user in range(USERS):
            weight = fusion.weight[user, column].item()
            assert torch.allclose(part[user], weight * z[user])


def test_gradients(fusion, representations):
    for z in representations:
        z.requires_grad_()
    out = fusion(representations)
    (out * torch.randn_like(out)).sum().backward()
    (parameter,) = fusion.parameters()
    if len(representations) > 1 or isinstance(fusion, UserFusion):
        assert (parameter.grad != 0).all()
    assert all((z.grad != 0).all() for z in representations)


def test_reset_parameters(fusion):
    (parameter,) = fusion.parameters()
    torch.manual_seed(1)
    fusion.reset_parameters()
    first = parameter.clone()
    torch.nn.init.constant_(parameter, 7.0)
    torch.manual_seed(1)
    fusion.reset_parameters()
    assert torch.equal(parameter, first)


@pytest.mark.parametrize("fusion", [GlobalFusion(2), UserFusion(2, 3)])
def test_other_representations_are_refused(fusion):
    z = torch.randn(5, 4)
    for wrong in ([z], [z, z, z]):
        with pytest.raises(InputError, match=f"{len(wrong)} representations; expected 2"):
            fusion(wrong)
    with pytest.raises(InputError, match=r"has shape \[1, 4\]; expected \[5, 4\]"):
        fusion([z, z[:1]])


def test_fewer_rows_than_users_are_refused():
    with pytest.raises(InputError, match="2 rows; expected at least the 3 users"):
        UserFusion(2, 3)([torch.randn(2, 4)] * 2)
