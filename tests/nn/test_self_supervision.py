"""The tasks of MENTOR on their own, against computations row by row."""

import pytest
import torch
import torch.nn.functional as F

from mentor_pyg import Batch, InputError
from mentor_pyg.nn import Alignment, FeatureMasking, GraphContrast

U, I, D = 7, 5, 3  # noqa: E741


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pair(width=D, shift=0.0):
    return (torch.randn(U, width) + shift).requires_grad_(), torch.randn(I, width) - shift


def gaussian(user, item, repeats=1):
    """Mean and unbiased variance of all entries, entry by entry."""
    entries = repeats * [x for row in [*user, *item] for x in row]
    mean = sum(entries) / len(entries)
    return mean, sum((x - mean) ** 2 for x in entries) / (len(entries) - 1)


def distance(a, b):
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


@pytest.fixture
def content():
    return {"textual": pair(shift=1.0), "visual": pair(shift=-2.0)}


def naive_levels(content, fused, id, present=None):
    present = present or {}
    of_fused = gaussian(*fused)
    of_id = None if id is None else gaussian(*id, repeats=len(content))
    a, b = (
        gaussian(user, item[present[m]] if m in present else item, repeats=len(content))
        for m, (user, item) in content.items()
    )
    return {
        1: None if id is None else distance(of_id, of_fused),
        2: None if id is None else distance(of_id, a) + distance(of_id, b),
        3: distance(of_fused, a) + distance(of_fused, b),
        4: distance(a, b),
    }


@pytest.mark.parametrize("levels", [(1,), (2,), (3,), (4,), (4, 1), (1, 2, 3, 4)], ids=str)
def test_alignment_is_the_sum_of_its_levels(content, levels):
    fused, id = pair(2 * D, shift=0.5), pair()
    alignment = Alignment(levels)
    assert alignment.needs_id == any(level in (1, 2) for level in levels)
    found = alignment(content, fused, id)
    expected = naive_levels(content, fused, id)
    expected = sum(expected[level] for level in levels)
    torch.testing.assert_close(found, expected)
    wanted = [user for user, _ in (*content.values(), fused, id)]
    grads = [torch.autograd.grad(x, wanted, allow_unused=True) for x in (found, expected)]
    for a, b in zip(*grads, strict=True):
        zero = torch.zeros(())
        torch.testing.assert_close(a if a is not None else zero, b if b is not None else zero)


def test_levels_three_and_four_need_no_id(content):
    fused = pair(2 * D)
    expected = naive_levels(content, fused, None)
    torch.testing.assert_close(Alignment((3, 4))(content, fused), expected[3] + expected[4])


def test_missing_items_have_no_say_in_the_alignment(content):
    present = {"visual": torch.tensor([True, False, True, True, False])}
    user, item = content["visual"]
    expected = Alignment((4,))(content, pair(2 * D), present=present)
    torch.testing.assert_close(expected, naive_levels(content, pair(2 * D), None, present)[4])
    other = {**content, "visual": (user, item + 99 * ~present["visual"].unsqueeze(1))}
    found = Alignment((4,))(other, pair(2 * D), present=present)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("levels", [(0,), (5,), (1, 1), (1.5,)], ids=str)
def test_levels_are_different_ones_out_of_four(levels):
    with pytest.raises(InputError, match=r"levels: .*; expected a list of different levels"):
        Alignment(levels)


def test_alignment_has_no_parameters():
    assert not list(Alignment().parameters())
    assert Alignment().levels == (1, 2, 3, 4)


def naive_masking(masking, parts, targets):
    total = 0.0
    for online, target in zip(parts, targets, strict=True):
        for row, wanted in zip(online, target, strict=True):
            predicted = masking.predictor.weight @ row + masking.predictor.bias
            cosine = F.cosine_similarity(predicted, wanted.detach(), dim=0)
            total = total + (1 - cosine) / len(online)
    return total


def test_masking_equals_cosines_row_by_row_and_trains_the_online_branch():
    masking, parts = FeatureMasking(D, dropout=0.0), pair()
    parts[1].requires_grad_()
    found, expected = masking(*parts), naive_masking(masking, parts, parts)
    torch.testing.assert_close(found, expected)
    wanted = [*parts, *masking.parameters()]
    assert len(wanted) == 4
    grads = [torch.autograd.grad(x, wanted) for x in (found, expected)]
    torch.testing.assert_close(*grads)


def test_entries_of_the_target_are_dropped_in_training_alone(monkeypatch):
    masking, parts = FeatureMasking(D, dropout=0.5), pair()
    assert masking(*parts) != masking(*parts)
    masking.eval()
    expected = naive_masking(masking, parts, parts)
    torch.testing.assert_close(masking(*parts), expected)
    assert masking(*parts) == masking(*parts)
    dropped = []

    def drop(x, p, training):
        dropped.append((p, training))
        return x * (torch.arange(D) > 0)

    monkeypatch.setattr("mentor_pyg.nn.self_supervision.dropout", drop)
    targets = [x * torch.tensor([0.0, 1.0, 1.0]) for x in parts]
    torch.testing.assert_close(masking.train()(*parts), naive_masking(masking, parts, targets))
    assert dropped == [(0.5, True)] * 2


def test_masking_without_a_gradient_is_a_constant_of_the_same_value():
    parts = pair()
    trained, constant = FeatureMasking(D, 0.0), FeatureMasking(D, 0.0, gradient=False)
    constant.load_state_dict(trained.state_dict())
    assert torch.equal(trained(*parts), constant(*parts))
    assert trained(*parts).requires_grad
    assert not constant(*parts).requires_grad


def test_masking_draws_its_predictor_afresh():
    masking = FeatureMasking(D)
    before = [x.clone() for x in masking.parameters()]
    masking.reset_parameters()
    assert not any(torch.equal(a, b) for a, b in zip(before, masking.parameters()))
    with pytest.raises(InputError, match=r"dropout: is 1\.0; expected at least 0 and less than 1"):
        FeatureMasking(D, dropout=1.0)


BATCH = Batch(torch.tensor([6, 0, 6, 2]), torch.tensor([4, 1, 1, 4]), torch.tensor([0, 2, 3, 0]))


def naive_contrast(a, b, tau):
    total = 0.0
    for n in range(len(a)):
        logits = torch.stack([F.cosine_similarity(a[n], other, dim=0) / tau for other in b])
        total = total - logits.log_softmax(0)[n] / len(a)
    return total


def test_contrast_sums_over_users_items_and_names():
    views = [{m: pair() for m in ("textual", "visual")} for _ in range(2)]
    found = GraphContrast(temperature=0.3)(*views)
    expected = sum(
        naive_contrast(a, b, 0.3)
        for m in ("textual", "visual")
        for a, b in zip(views[0][m], views[1][m], strict=True)
    )
    torch.testing.assert_close(found, expected)
    wanted = [view[m][0] for view in views for m in view]
    torch.testing.assert_close(
        *[torch.autograd.grad(x, wanted) for x in (found, expected)], rtol=1e-4, atol=1e-6
    )


def test_rows_to_contrast_are_distinct_users_and_positive_items_or_all():
    users, items = GraphContrast().select(BATCH)
    assert (users.tolist(), items.tolist()) == ([0, 2, 6], [1, 4])
    assert GraphContrast(rows="full").select(BATCH) is None


def test_a_limit_draws_some_of_them():
    contrast, seen = GraphContrast(limit=2), set()
    for _ in range(40):
        users, items = contrast.select(BATCH)
        assert len(users.unique()) == 2
        assert set(users.tolist()) < {0, 2, 6}
        assert sorted(items.tolist()) == [1, 4]
        seen.add(tuple(sorted(users.tolist())))
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature: is 0.0; expected more than 0"),
        ({"rows": "all"}, "rows: is 'all'; expected one of 'batch', 'full'"),
        ({"limit": 0}, "limit: is 0; expected at least 1"),
    ],
)
def test_options_of_the_contrast(options, message):
    with pytest.raises(InputError, match=message):
        GraphContrast(**options)
