import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.nn import GlobalFusion, Nodes, UserFusion

USERS, ITEMS, HIDDEN = 4, 3, 5


@pytest.fixture(params=[1, 2, 3], ids=lambda m: f"{m} modalities")
def representations(request):
    torch.manual_seed(0)
    users = [torch.randn(USERS, HIDDEN) for _ in range(request.param)]
    return users, [torch.randn(ITEMS, HIDDEN) for _ in range(request.param)]


@pytest.fixture(params=["global", "user"])
def fusion(request, representations):
    m = len(representations[0])
    return GlobalFusion(m) if request.param == "global" else UserFusion(m, USERS)


def test_global_fusion(representations):
    m = len(representations[0])
    fusion = GlobalFusion(m)
    plain = [torch.cat(zs, dim=1) for zs in representations]
    for found, expected in zip(fusion(*representations), plain, strict=True):
        assert torch.allclose(found, expected / m)

    torch.nn.init.normal_(fusion.logit)
    exp = fusion.logit.exp()
    alpha = (exp / exp.sum()).repeat_interleave(HIDDEN)
    for found, expected in zip(fusion(*representations), plain, strict=True):
        assert torch.allclose(found, alpha * expected)


def test_user_fusion(representations):
    users, items = representations
    m = len(users)
    fusion = UserFusion(m, USERS)
    assert torch.allclose(fusion.weight.sum(dim=1), torch.ones(USERS, 1))
    assert (fusion.weight > 0).all()

    torch.nn.init.normal_(fusion.weight)
    fused, item = fusion(users, items)
    assert fused.shape == (USERS, m * HIDDEN)
    assert torch.equal(item, torch.cat(items, dim=1))
    for column, z in enumerate(users):
        part = fused[:, column * HIDDEN : (column + 1) * HIDDEN]
        for user in range(USERS):
            weight = fusion.weight[user, column].item()
            assert torch.allclose(part[user], weight * z[user])


def test_fusion_of_some_users(fusion, representations):
    """As a sampled graph has them: each keeps the weights of its own."""
    torch.nn.init.normal_(next(fusion.parameters()))
    user, item = torch.tensor([2, 0, 3]), torch.tensor([1])
    users, items = [z[user] for z in representations[0]], [z[item] for z in representations[1]]
    found = fusion(users, items, Nodes(3, 1, user, item))
    expected = fusion(*representations)
    torch.testing.assert_close(found, (expected[0][user], expected[1][item]))


def test_gradients(fusion, representations):
    each = [z.requires_grad_() for zs in representations for z in zs]
    sum((x * torch.randn_like(x)).sum() for x in fusion(*representations)).backward()
    (parameter,) = fusion.parameters()
    if len(each) > 2 or isinstance(fusion, UserFusion):
        assert (parameter.grad != 0).all()
    assert all((z.grad != 0).all() for z in each)


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
@pytest.mark.parametrize("wrong", [0, 1], ids=["users", "items"])
def test_other_representations_are_refused(fusion, wrong):
    z, name = torch.randn(3, 4), ["users", "items"][wrong]

    def fuse(zs):
        return fusion(*((zs, [z, z]) if wrong == 0 else ([z, z], zs)))

    for zs in ([z], [z, z, z]):
        message = f"{name} are {len(zs)} representations; expected 2"
        with pytest.raises(InputError, match=message):
            fuse(zs)
    with pytest.raises(InputError, match=rf"'{name}\[1\]' has shape \[1, 4\]; expected \[3, 4\]"):
        fuse([z, z[:1]])


@pytest.mark.parametrize("num_users", [2, 4])
def test_other_users_are_refused(num_users):
    users, items = [torch.randn(num_users, 4)] * 2, [torch.randn(5, 4)] * 2
    message = f"the graph has {num_users} users, and the model 3; expected"
    with pytest.raises(InputError, match=message):
        UserFusion(2, 3)(users, items)
