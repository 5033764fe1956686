import math

import pytest
import torch

from mentor_pyg import Batch, InputError
from mentor_pyg.nn import (
    Moments,
    alignment_levels,
    batch_bpr,
    batch_info_nce,
    bpr_loss,
    content_moments,
    feature_masking_loss,
    gaussian_distance,
    info_nce,
    moments,
    score_triples,
    sum_of_squares,
    triple_norm,
    weighted,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_score_triples():
    user, item = torch.randn(4, 3), torch.randn(5, 3)
    batch = Batch(torch.tensor([0, 3, 3]), torch.tensor([1, 1, 4]), torch.tensor([2, 0, 0]))
    scores = user @ item.t()
    pos_score, neg_score = score_triples(user, item, batch)
    assert torch.allclose(pos_score, scores[[0, 3, 3], [1, 1, 4]], atol=1e-6)
    assert torch.allclose(neg_score, scores[[0, 3, 3], [2, 0, 0]], atol=1e-6)


def test_scores_of_half_precision_are_summed_in_float32():
    user, item = torch.randn(4, 300).bfloat16(), torch.randn(5, 300).bfloat16()
    batch = Batch(torch.tensor([0, 3]), torch.tensor([1, 4]), torch.tensor([2, 0]))
    wide = score_triples(user.double(), item.double(), batch)
    for found, expected in zip(score_triples(user, item, batch), wide):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected.float())


def test_triple_norm_and_its_gradients():
    user, item = torch.randn(4, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    batch = Batch(torch.tensor([0, 3, 3]), torch.tensor([1, 1, 4]), torch.tensor([2, 0, 0]))
    norm = triple_norm(user, item, batch)
    expected = sum(
        (user[u].square().sum() + item[i].square().sum() + item[j].square().sum()) / 6
        for u, i, j in zip(*(ids.tolist() for ids in batch))
    )
    torch.testing.assert_close(norm, expected)
    for pair in zip(*(torch.autograd.grad(x, (user, item)) for x in (norm, expected))):
        torch.testing.assert_close(*pair)


@pytest.mark.parametrize("options", [{}, {"base": 2.0}])
def test_bpr_of_a_batch_equals_the_formula_triple_by_triple(options):
    user, item = torch.randn(4, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    batch = Batch(torch.tensor([0, 3, 3]), torch.tensor([1, 1, 4]), torch.tensor([2, 0, 0]))
    found = batch_bpr(user, item, batch, **options)
    terms = [
        -(user[u] @ item[i] - user[u] @ item[j]).sigmoid().log()
        for u, i, j in zip(*(ids.tolist() for ids in batch))
    ]
    expected = sum(terms) / 3 / math.log(options.get("base", math.e))
    torch.testing.assert_close(found, expected)
    grads = [torch.autograd.grad(x, (user, item)) for x in (found, expected)]
    torch.testing.assert_close(*grads)


def test_terms_are_weighted_and_those_of_weight_zero_are_not_computed():
    def fail():
        raise AssertionError

    one, half = torch.tensor(3.0), torch.tensor(4.0)
    terms = weighted(bpr=(1, lambda: one), none=(0.0, fail), reg=(0.5, lambda: half))
    assert list(terms) == ["bpr", "reg"]
    assert terms["bpr"] is one
    assert terms["reg"].item() == 2
    assert weighted(a=(0, fail), b=(0.0, fail)) == {}


@pytest.mark.parametrize("base", [0.5, 1.0, float("inf"), float("nan")])
def test_bpr_has_a_logarithm_that_rises(base):
    with pytest.raises(InputError, match=r"bpr_loss\.base: is .*; expected more than 1"):
        bpr_loss(torch.ones(2), torch.zeros(2), base)


def test_bpr_is_the_formula():
    pos, neg = torch.randn(20), torch.randn(20)
    expected = sum(math.log1p(math.exp(n - p)) for p, n in zip(pos.tolist(), neg.tolist())) / 20
    assert bpr_loss(pos, neg).item() == pytest.approx(expected, rel=1e-5)
    assert bpr_loss(pos, neg, base=2).item() == pytest.approx(expected / math.log(2), rel=1e-5)


@pytest.mark.parametrize(("margin", "loss", "slope"), [(1e4, 0.0, 0.0), (-1e4, 1e4, -1.0)])
def test_bpr_is_finite_at_huge_margins(margin, loss, slope):
    pos = torch.tensor([margin], requires_grad=True)
    out = bpr_loss(pos, torch.zeros(1), base=2)
    out.backward()
    assert out.item() == pytest.approx(loss / math.log(2))
    assert pos.grad.item() == pytest.approx(slope / math.log(2))


def test_contrast_of_a_batch_takes_distinct_users_and_positive_items():
    users, items = torch.randn(2, 6, 3), torch.randn(2, 7, 3)
    batch = Batch(
        torch.tensor([5, 0, 5, 3]), torch.tensor([1, 6, 1, 1]), torch.tensor([2, 3, 4, 5])
    )
    found = batch_info_nce((users[0], items[0]), (users[1], items[1]), batch, 0.3)
    expected = info_nce(*users[:, [0, 3, 5]], 0.3) + info_nce(*items[:, [1, 6]], 0.3)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", [(2,), (50, 8), (3, 4, 5)])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_moments(shape, shift):
    x = (torch.randn(shape) + shift).requires_grad_()
    result, (var, mean) = moments(x), torch.var_mean(x)
    assert torch.allclose(result.mean, mean, rtol=1e-5, atol=1e-5)
    assert torch.allclose(result.var, var, rtol=1e-5, atol=1e-5)
    (grad,) = torch.autograd.grad(result.mean + 2 * result.var, x)
    (expected,) = torch.autograd.grad(mean + 2 * var, x)
    assert torch.allclose(grad, expected, rtol=1e-5, atol=1e-5)


def gaussian(mean, var):
    return Moments(torch.tensor(mean), torch.tensor(var))


def test_gaussian_distance():
    assert gaussian_distance(gaussian(1.0, 4.0), gaussian(3.0, 1.0)).item() == 5
    assert gaussian_distance(gaussian(3.0, 1.0), gaussian(1.0, 4.0)).item() == 5


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # Distances to id (0, 1), to fused (1, 3) and between each other:
        ({"a": (2.0, 1.0)}, [3, 2, 3, 0]),
        ({"a": (2.0, 1.0), "b": (0.0, 5.0)}, [3, 2 + 4, 3 + 3, 6]),
        (
            {"a": (2.0, 1.0), "b": (0.0, 5.0), "c": (-1.0, 2.0)},
            [3, 2 + 4 + 2, 3 + 3 + 3, 6 + 4 + 4],
        ),
    ],
    ids=["1", "2", "3"],
)
def test_alignment_levels(content, expected):
    levels = alignment_levels(
        gaussian(0.0, 1.0), gaussian(1.0, 3.0), {m: gaussian(*pair) for m, pair in content.items()}
    )
    assert {level: value.item() for level, value in levels.items()} == dict(enumerate(expected, 1))


def test_feature_masking_loss():
    online = torch.randn(6, 4, requires_grad=True)
    target = torch.randn(6, 4, requires_grad=True)
    loss = feature_masking_loss(online, target)
    cosines = [(a @ b / (a.norm() * b.norm())).item() for a, b in zip(online, target)]
    assert loss.item() == pytest.approx(sum(1 - c for c in cosines) / 6, rel=1e-5)
    loss.backward()
    assert online.grad.abs().sum() > 0
    assert target.grad is None


def test_feature_masking_loss_ignores_length():
    x = torch.randn(6, 4)
    assert feature_masking_loss(x, 3 * x).item() == pytest.approx(0, abs=1e-6)
    assert feature_masking_loss(x, -2 * x).item() == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("zeros", [0, 1])
def test_feature_masking_loss_of_zeros(zeros):
    rows = torch.randn(2, 6, 4)
    rows[zeros, 1] = 0
    online, target = rows[0].requires_grad_(), rows[1]
    loss = feature_masking_loss(online, target)
    others = torch.arange(6) != 1
    expected = (5 * feature_masking_loss(online[others], target[others]) + 1) / 6
    torch.testing.assert_close(loss, expected)
    grads = [torch.autograd.grad(x, online)[0] for x in (loss, expected)]
    torch.testing.assert_close(*grads)  # for zeros, too, where it could be 1e8


def test_sum_of_squares():
    tensors = [torch.randn(3, 4), torch.randn(5), torch.randn(())]
    flat = torch.cat([x.flatten() for x in tensors])
    assert sum_of_squares(tensors).item() == pytest.approx(flat.norm().item() ** 2, rel=1e-5)


@pytest.mark.parametrize(("shift", "scale"), [(1e3, 1.0), (0.0, 1e-15), (-1e4, 1e10)])
def test_moments_far_from_zero(shift, scale):
    x = scale * (shift + torch.randn(500, 40))
    var, mean = torch.var_mean(x.double())
    assert moments(x).mean.item() == pytest.approx(mean.item(), rel=1e-6, abs=1e-8 * scale)
    assert moments(x).var.item() == pytest.approx(var.item(), rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_moments_of_half_precision(dtype):
    x = (300 * torch.randn(200, 40)).to(dtype)  # of squares beyond 65,504
    var, mean = torch.var_mean(x.double())
    assert moments(x).var.item() == pytest.approx(var.item(), rel=1e-4)
    assert moments(x).mean.item() == pytest.approx(mean.item(), rel=1e-4)


@pytest.mark.parametrize("repeats", [1, 3])
def test_repeated_moments(repeats):
    x = torch.randn(5, 4) + 2
    var, mean = torch.var_mean(x.repeat(repeats, 1))
    torch.testing.assert_close(moments(x, repeats=repeats), Moments(mean, var))


PARTS = {
    "users and items": [(30, 4), (20, 4)],
    "of other widths": [(7,), (3, 2), (2, 3, 4)],
    "one": [(5, 2)],
    "one is empty": [(5, 2), (0, 2)],
    "more than fit a cache": [(70_000,), (500, 300)],
}


@pytest.mark.parametrize("shapes", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("repeats", [1, 3])
def test_moments_of_parts_are_those_of_all_entries_together(shapes, repeats):
    parts = [(torch.randn(shape) * n + 5 * n).requires_grad_() for n, shape in enumerate(shapes, 1)]
    whole = torch.cat([x.flatten() for x in parts])
    var, mean = torch.var_mean(whole.double().repeat(repeats))
    found = moments(*parts, repeats=repeats)
    torch.testing.assert_close(found, Moments(mean.float(), var.float()), rtol=1e-4, atol=1e-5)
    given = [x for x in parts if x.numel()]
    grads = [torch.autograd.grad(mean + 2 * var, given) for mean, var in (found, (mean, var))]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("present", "fused_rows"),
    [
        ({}, range(5)),
        ({"a": [1, 0, 0, 1, 1]}, range(5)),  # "b" isn't missing, so that all have something
        ({"a": [1, 0, 0, 1, 1], "b": [0, 1, 0, 0, 1]}, [0, 1, 3, 4]),
    ],
)
def test_moments_of_content_are_those_of_users_and_items_that_have_it(present, fused_rows):
    content = {m: (torch.randn(3, 2), torch.randn(5, 2) + 1) for m in "ab"}
    fused = torch.randn(3, 4), torch.randn(5, 4) - 2
    present = {m: torch.tensor(mask).bool() for m, mask in present.items()}
    each, of_fused = content_moments(content, fused, present)
    assert list(each) == ["a", "b"]
    for m, (user, item) in content.items():
        rows = torch.cat([user, item[present[m]] if m in present else item]).repeat(1, 2)
        torch.testing.assert_close(each[m], Moments(rows.mean(), rows.var()))
    rows = torch.cat([fused[0], fused[1][list(fused_rows)]])
    torch.testing.assert_close(of_fused, Moments(rows.mean(), rows.var()))


@pytest.mark.parametrize("scales", [(1e-9, 1.0), (1e-9, 1e-9), (1e15, 1e-5), (1e12, 1e12)])
def test_feature_masking_loss_at_any_scale(scales):
    online, target = torch.randn(2, 6, 4)
    found = feature_masking_loss(scales[0] * online, scales[1] * target)
    torch.testing.assert_close(found, feature_masking_loss(online, target))


def test_feature_masking_loss_in_half_precision():
    online, target = 300 * torch.randn(2, 6, 4)
    expected = feature_masking_loss(online.half().float(), target.half().float())
    torch.testing.assert_close(feature_masking_loss(online.half(), target.half()), expected)


def test_losses_in_half_precision_are_float32():
    pos, neg = torch.randn(2, 3000).half()
    torch.testing.assert_close(bpr_loss(pos, neg), bpr_loss(pos.float(), neg.float()))
    x = torch.full((300, 4), 16.0).half()
    assert sum_of_squares([x]).item() == 300 * 4 * 256


def test_shapes_that_would_broadcast_are_refused():
    user, item, ids = torch.randn(4, 3), torch.randn(5, 3), torch.tensor([0, 3, 3])
    batch = Batch(ids, ids, ids)
    for other in (user[:, :1], user[0]):
        with pytest.raises(InputError, match=r"score_triples: .* has shape"):
            score_triples(other, item, batch)
    for name in Batch._fields:
        with pytest.raises(InputError, match=r"triples: .* has shape \[[13]\]; expected \[[13]\]"):
            triple_norm(user, item, batch._replace(**{name: ids[:1]}))
    with pytest.raises(InputError, match=r"'neg_score' has shape \[3, 1\]; expected \[3\]"):
        bpr_loss(torch.randn(3), torch.randn(3, 1))
    with pytest.raises(InputError, match=r"'neg_score' has shape \[1\]; expected \[3\]"):
        bpr_loss(torch.randn(3), torch.randn(1))
    with pytest.raises(InputError, match=r"'target' has shape \[1, 3\]; expected \[4, 3\]"):
        feature_masking_loss(user, user[:1])
    with pytest.raises(InputError, match=r"info_nce: 'view2' has shape"):
        batch_info_nce((user, item), (user[:, 1:], item), batch, 0.2)


def test_masks_of_other_rows_are_refused():
    pair = torch.randn(2, 3), torch.randn(4, 3)
    with pytest.raises(InputError, match=r"content_moments: 'a' has shape \[3\]; expected \[4\]"):
        content_moments({"a": pair}, pair, {"a": torch.ones(3, dtype=torch.bool)})


@pytest.mark.parametrize("lacking", [(), ("a",), ("a", "b")])
def test_content_moments_are_of_rows_with_content(lacking):
    """The moments of those rows alone, each modality repeated to the fused width."""
    content = {
        "a": (torch.randn(5, 4), torch.randn(6, 4)),
        "b": (torch.randn(5, 4), 3 + torch.randn(6, 4)),
    }
    fused = tuple(torch.cat(parts, dim=1) for parts in zip(*content.values()))
    masks = {
        "a": torch.tensor([True, True, True, False, False, False]),
        "b": torch.tensor([True, False, True, True, False, True]),
    }
    each, of_fused = content_moments(content, fused, {m: masks[m] for m in lacking})
    for m, (user, item) in content.items():
        rows = torch.cat([user, item[masks[m]] if m in lacking else item])
        torch.testing.assert_close(each[m].mean, rows.mean())
        torch.testing.assert_close(each[m].var, rows.repeat(1, 2).var())
    user, item = fused
    rows = torch.cat([user, item[masks["a"] | masks["b"]] if len(lacking) == 2 else item])
    torch.testing.assert_close(of_fused.mean, rows.mean())
    torch.testing.assert_close(of_fused.var, rows.var())


@pytest.mark.parametrize(("length", "loss"), [(0.9e-12, 1.0), (1e-12, 0.0), (2e-12, 0.0)])
def test_feature_masking_loss_of_the_shortest_rows_with_a_direction(length, loss):
    one, short = torch.ones(1, 1), torch.full((1, 1), length)
    assert feature_masking_loss(one, short) == feature_masking_loss(short, one) == loss
