import pytest
import torch

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.training.sampler import BPRSampler
from mentor_pyg.typing import ITEM


@pytest.fixture
def raw():
    """The tiny dataset with two modalities, of which one is missing for some items."""
    data = SyntheticDataset.tiny(channels={"visual": 6, "acoustic": 3})[0]
    mask = torch.rand(40, generator=torch.Generator().manual_seed(0)) > 0.4
    data[ITEM].mask_visual = mask
    data[ITEM].x_visual[~mask] = 7.0  # which must not be seen
    return data


@pytest.fixture
def batch(data):
    """Some triples of the dataset that a module tests its model on."""
    return next(iter(BPRSampler(data, 32, torch.Generator().manual_seed(0))))
