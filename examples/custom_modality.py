"""A third modality: any further features of the items, by any name.

Here it is a description of the items by price and brand, made up for a synthetic
dataset. On disk, it is enough to put ``price_feat.npy`` (float [items, width]) beside
the other features: it becomes the modality ``price``.

    python examples/custom_modality.py
"""

import argparse

import torch

from mentor_pyg import TrainConfig, evaluate, fit
from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.nn.models import MENTOR
from mentor_pyg.transforms import ItemKNN, LightGCNNorm


def price_and_brand(num_items: int, num_brands: int = 20) -> torch.Tensor:
    """One-hot brands beside the logarithm of the price."""
    generator = torch.Generator().manual_seed(0)
    brand = torch.randint(num_brands, (num_items,), generator=generator)
    log_price = torch.randn(num_items, 1, generator=generator)
    return torch.cat([torch.eye(num_brands)[brand], log_price], dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()

    data = SyntheticDataset(
        args.users,
        args.items,
        8 * args.users,
        channels={"visual": 128, "textual": 64},
        num_topics=20,
    )[0]
    data["item"].x_price = price_and_brand(args.items)
    # Half of the items have no price; their rows are ignored, whatever they hold:
    data["item"].mask_price = torch.arange(args.items) % 2 == 0

    data = ItemKNN(k=10)(data)  # one kNN graph for each modality, the new one too
    data = LightGCNNorm()(data)
    model = MENTOR.from_data(data, mask_weight=0.1)
    print(f"modalities: {', '.join(model.encoder.modalities)}")

    result = fit(model, data, TrainConfig(epochs=args.epochs, lr=1e-3))
    test = evaluate(model, data, "test")
    print(f"validation recall@20 {result.val['recall@20']:.4f}, test {test['recall@20']:.4f}")


if __name__ == "__main__":
    main()
