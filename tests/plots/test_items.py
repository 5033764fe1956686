import numpy as np
import pytest
import torch

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.datasets.source import Source
from mentor_pyg.errors import InputError
from mentor_pyg.plots.items import density, embeddings, map_to_plane, mass_levels
from mentor_pyg.plots.sample import ItemSample, modality_embeddings, sample_items
from mentor_pyg.runs.build import build_model, prepare_graphs
from mentor_pyg.runs.config import load_config
from mentor_pyg.runs.run import TrainedRun
from mentor_pyg.typing import ITEM

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")


def make_run(tmp_path, preset="paper", changes=("graph.k=5",), dataset=None):
    """A run that was never trained."""
    dataset = dataset or SyntheticDataset.tiny()
    config = load_config(preset, list(changes))
    data = prepare_graphs(config, dataset[0], torch.device("cpu"))
    torch.manual_seed(0)
    model = build_model(config, data).eval()
    return TrainedRun(tmp_path / "run", config, Source("tiny", "tiny", dataset), data, model, "")


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        ["graph.k=5"],
        ["graph.k=5", "options.num_item_layers=0"],
        ["graph.k=5", "graph.merge=equal", "options.item_graph=merged"],
    ],
)
def test_fused_they_are_the_embeddings_that_the_model_scores(tmp_path, changes):
    """The fusion multiplies every modality by its weight, so it can be undone."""
    run = make_run(tmp_path, changes=changes)
    _, item = run.model(run.data)
    ones = 2 * [torch.ones(1, 1)]
    weights = run.model.encoder.fusion(ones, ones)[1].flatten()
    parts = modality_embeddings(run)
    assert list(parts) == ["textual", "visual"]
    fused = torch.cat([w * z for w, z in zip(weights, parts.values())], dim=1)
    torch.testing.assert_close(fused, item)


def test_samples_are_the_same_items_of_every_run_by_the_seed(tmp_path, run):
    z = {m: x.numpy() for m, x in modality_embeddings(run).items()}
    sample = sample_items(run, 10, seed=3)
    items = [np.flatnonzero((z["visual"] == row).all(1))[0] for row in sample.embeddings["visual"]]
    assert len(set(items)) == 10
    np.testing.assert_array_equal(sample.embeddings["textual"], z["textual"][items])
    other = make_run(tmp_path, changes=["graph.k=5", "options.num_layers=1"])
    z = modality_embeddings(other)["visual"].numpy()
    np.testing.assert_array_equal(sample_items(other, 10, 3).embeddings["visual"], z[items])
    assert not np.array_equal(
        sample_items(run, 10, seed=4).embeddings["visual"], sample.embeddings["visual"]
    )
    assert sample_items(run, 1000).embeddings["visual"].shape == (40, 64)


def test_items_without_content_are_left_out(tmp_path):
    dataset = SyntheticDataset.tiny()
    mask = torch.arange(40) % 2 == 0
    dataset._data[ITEM].mask_visual = mask
    run = make_run(tmp_path, dataset=dataset)
    z = modality_embeddings(run)["visual"][mask].numpy()
    sample = sample_items(run, 40).embeddings["visual"]
    np.testing.assert_array_equal(np.sort(sample[:, 0]), np.sort(z[:, 0]))
    dataset._data[ITEM].mask_textual = ~mask
    with pytest.raises(InputError, match="0 items have content of every modality"):
        sample_items(make_run(tmp_path, dataset=dataset), 40)


def test_what_cannot_be_mapped_is_told(tmp_path):
    run = make_run(tmp_path, "lightgcn", [])
    with pytest.raises(InputError, match="LightGCN has no embeddings of single modalities"):
        sample_items(run)
    with pytest.raises(InputError, match="1 items can't be mapped"):
        sample_items(run, 1)
    with pytest.raises(InputError, match=r"seed: is -1; expected 0 to 2\^32 - 1"):
        sample_items(run, seed=-1)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return {"a": rng.normal(0, 1, (30, 8)), "b": rng.normal(8, 1, (30, 8))}


def test_the_plane_is_determined_by_the_seed_and_keeps_apart_what_is(clouds):
    plane, again = map_to_plane(clouds, 1), map_to_plane(clouds, 1)
    for name in clouds:
        np.testing.assert_array_equal(plane[name], again[name])
    stacked = np.concatenate(list(plane.values()))
    np.testing.assert_allclose(stacked.mean(axis=0), 0, atol=1e-6)
    assert stacked.var(axis=0).mean() == pytest.approx(1)
    labels = np.repeat(["a", "b"], 30)
    distance = np.linalg.norm(stacked[:, None] - stacked, axis=-1) + np.diag([np.inf] * 60)
    assert (labels[distance.argmin(axis=1)] == labels).all()


def test_single_columns_can_be_mapped_and_equal_rows_are_told():
    narrow = np.random.default_rng(0).normal(size=(10, 1))
    assert map_to_plane({"a": narrow})["a"].shape == (10, 2)
    with pytest.raises(InputError, match="all embeddings are equal"):
        map_to_plane({"a": np.ones((5, 3)), "b": np.ones((5, 3))})


def test_density_against_the_formula_and_its_integral():
    rng = np.random.default_rng(0)
    points, at = rng.normal(size=(20, 2)), rng.normal(size=(7, 2))
    square = ((at[:, None] - points) ** 2).sum(axis=-1)
    expected = (np.exp(-square / (2 * 0.2**2)) / (2 * np.pi * 0.2**2)).mean(axis=1)
    np.testing.assert_allclose(density(points, at), expected)
    ticks = np.linspace(-5, 5, 201)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    assert density(points, grid).sum() * (ticks[1] - ticks[0]) ** 2 == pytest.approx(1, abs=1e-6)


def test_mass_levels_hold_their_shares():
    values = np.random.default_rng(0).random((50, 50))
    levels = mass_levels(values, (0.9, 0.5))
    for level, share in zip(levels, (0.9, 0.5)):
        assert values[values >= level].sum() / values.sum() == pytest.approx(share, abs=1e-3)


def test_the_figure_has_a_column_a_run(clouds):
    samples = [ItemSample("first", clouds), ItemSample("second", {"a": clouds["a"]})]
    figure = embeddings(samples, seed=1, progress=False)
    axes = np.array(figure.axes).reshape(3, 2)
    assert [ax.get_title(loc="left") for ax in axes[0]] == ["first", "second"]
    plane = map_to_plane(clouds, 1)
    for scatter, points in zip(axes[0, 0].collections, plane.values()):
        np.testing.assert_array_equal(scatter.get_offsets(), points)
    assert len(axes[0, 1].collections) == 1
    assert axes[0, 0].get_xlim() == axes[1, 1].get_xlim()
    assert axes[2, 0].get_xlim() == axes[2, 1].get_xlim()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_the_densities_of_the_entries_integrate_to_one_and_name_their_moments(clouds):
    figure = embeddings([ItemSample("run", clouds)], progress=False)
    entries = figure.axes[2]
    for line, z in zip(entries.lines, clouds.values()):
        x, y = line.get_data()
        assert y.sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-3)
        assert line.get_label() == f"mean {z.mean():.2g}, variance {z.var():.2g}"
