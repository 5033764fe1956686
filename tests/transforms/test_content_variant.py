import pytest
import torch

from mentor_pyg import InputError
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.transforms import ContentVariant
from mentor_pyg.typing import ITEM, modalities


@pytest.fixture
def large():
    sizes = {"num_users": 400, "num_items": 2000, "num_pairs": 4000}
    return SyntheticDataset.tiny(**sizes)[0]


def test_by_default_nothing_changes(tiny):
    data = ContentVariant()(tiny)
    for name in modalities(tiny):
        assert torch.equal(data[ITEM][f"x_{name}"], tiny[ITEM][f"x_{name}"])


def test_modalities_are_dropped_with_their_masks(tiny):
    tiny[ITEM].mask_visual = torch.arange(40) % 2 == 0
    data = ContentVariant(modalities=["textual"])(tiny)
    assert modalities(data) == ["textual"]
    assert "mask_visual" not in data[ITEM]
    assert modalities(tiny) == ["textual", "visual"]  # the original stays


def test_noise_has_the_strength_asked_for(large):
    data = ContentVariant(noise={"visual": 0.5})(large)
    noise = data[ITEM].x_visual - large[ITEM].x_visual
    assert noise.std() / large[ITEM].x_visual.std() == pytest.approx(0.5, rel=0.02)
    assert torch.equal(data[ITEM].x_textual, large[ITEM].x_textual)
    again, other = (ContentVariant(noise={"visual": 0.5}, seed=s)(large) for s in (0, 1))
    assert torch.equal(data[ITEM].x_visual, again[ITEM].x_visual)
    assert not torch.equal(data[ITEM].x_visual, other[ITEM].x_visual)


def test_noise_is_for_what_is_there(large):
    present = torch.arange(2000) < 500
    large[ITEM].mask_visual = present
    large[ITEM].x_visual[~present] = 0
    noise = ContentVariant(noise={"visual": 0.5})(large)[ITEM].x_visual - large[ITEM].x_visual
    assert not noise[~present].any()
    strength = noise[present].std() / large[ITEM].x_visual[present].std()
    assert strength == pytest.approx(0.5, rel=0.02)


def test_lost_rows_are_masked_beside_those_that_were_missing(large):
    large[ITEM].mask_visual = torch.arange(2000) < 1500
    data = ContentVariant(missing={"visual": 0.4})(large)
    mask = data[ITEM].mask_visual
    assert not mask[1500:].any()
    assert mask[:1500].float().mean() == pytest.approx(0.6, abs=0.04)
    assert not data[ITEM].x_visual[~mask].any()
    assert torch.equal(data[ITEM].x_visual[mask], large[ITEM].x_visual[mask])
    assert large[ITEM].mask_visual.sum() == 1500


def test_early_fusion_concatenates_rows_of_length_one(tiny):
    tiny[ITEM].mask_visual = torch.arange(40) % 2 == 0
    data = ContentVariant(early_fusion=True)(tiny)
    assert modalities(data) == ["all"]
    assert "mask_all" not in data[ITEM]  # every item has text
    textual, visual = (tiny[ITEM][f"x_{name}"] for name in ("textual", "visual"))
    expected = [textual / textual.norm(dim=1)[:, None], visual / visual.norm(dim=1)[:, None]]
    expected[1][1::2] = 0  # what is missing has no share
    torch.testing.assert_close(data[ITEM].x_all, torch.cat(expected, dim=1))
    tiny[ITEM].mask_textual = torch.arange(40) % 4 == 1
    mask = ContentVariant(early_fusion=True)(tiny)[ITEM].mask_all
    assert torch.equal(mask, tiny[ITEM].mask_visual | tiny[ITEM].mask_textual)


@pytest.mark.parametrize(
    "options", [{"modalities": ["sound"]}, {"noise": {"sound": 1.0}}, {"missing": {"sound": 0.5}}]
)
def test_unknown_modalities(tiny, options):
    with pytest.raises(InputError, match="no such modality; expected textual, visual"):
        ContentVariant(**options)(tiny)


def test_bad_shares():
    with pytest.raises(InputError, match=r"missing: is {'visual': 1.0}; expected .* less than 1"):
        ContentVariant(missing={"visual": 1.0})


def test_early_fusion_at_any_scale(tiny):
    expected = ContentVariant(early_fusion=True)(tiny.clone())[ITEM].x_all
    for m in modalities(tiny):
        tiny[ITEM][f"x_{m}"] = 1e-20 * tiny[ITEM][f"x_{m}"]
    found = ContentVariant(early_fusion=True)(tiny)[ITEM].x_all
    torch.testing.assert_close(found, expected)
