import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch_geometric.testing import withCUDA

from mentor_pyg import InputError
from mentor_pyg.evaluation.metrics import SeenItems, encode
from mentor_pyg.evaluation.ranking import rank
from mentor_pyg.runs.run import load_run
from mentor_pyg.serving import Recommender
from mentor_pyg.serving.new_items import append_copies, fair_scale
from mentor_pyg.typing import ITEM, SIMILAR, similar

MERGED = ["options.item_graph=merged", "graph.merge=equal"]


@pytest.mark.parametrize(
    "changes",
    [
        [],
        MERGED,
        ["graph.self_loops=true", "graph.weights=binary"],
        ["features.channels=3", "features.dtype=float16"],
        ["train.precision=bf16"],
        ["options.readout=mean", "options.fusion=user"],
        ["options.num_item_layers=2"],
    ],
    ids=lambda changes: "-".join(changes) or "paper",
)
def test_nothing_changes_for_old_items(toy_folder, train, new_features, changes):
    rec = Recommender.load(train(toy_folder, *changes), progress=False)
    more = rec.add_items([100, 41, 57], new_features(3), scale=1.0)
    assert more.item_emb.shape == (43, rec.item_emb.size(1))
    assert torch.equal(more.item_emb[:40], rec.item_emb)
    assert torch.equal(more.user_emb, rec.user_emb)
    # That isn't by copying alone; the graph itself leaves them as they were:
    user, item = encode(more.model, more.data)
    torch.testing.assert_close(item[:40], rec.item_emb)
    torch.testing.assert_close(user, rec.user_emb)
    torch.testing.assert_close(item[40:], more.item_emb[40:])
    assert rec.items.ids.tolist() == list(range(40))  # a recommender of its own
    assert rec.data[ITEM].num_nodes == 40


@pytest.mark.parametrize("noise", ["", "content.noise={visual: 1.0}"])
def test_new_items_see_the_content_that_training_saw(toy_folder, train, new_features, noise):
    changes = ["content.modalities=[visual]", *filter(None, [noise])]
    rec = Recommender.load(train(toy_folder, *changes), progress=False)
    visual = new_features(3)["visual"]
    more = rec.add_items([40, 41, 42], {"visual": visual}, scale=1.0)
    assert torch.equal(more.item_emb[:40], rec.item_emb)
    with pytest.raises(InputError, match="modality 'textual' is unknown; expected visual"):
        rec.add_items([40, 41, 42], new_features(3))
    # Their neighbours are those in the features that the model knows, noise included:
    known = rec.data[ITEM].x_visual
    similarity = F.normalize(torch.from_numpy(visual)) @ F.normalize(known).t()
    source, target = more.data[similar("visual")].edge_index
    for row in range(3):
        assert set(source[target == 40 + row].tolist()) == set(similarity[row].topk(5)[1].tolist())


@pytest.mark.parametrize(
    "scale", [0.0, -1.0, float("nan"), float("inf"), "big", None, True, [1.0], 10**400]
)
def test_a_scale_is_positive(rec, new_features, scale):
    with pytest.raises(InputError, match=r"scale: is .*; expected .*more than 0"):
        rec.add_items([40], new_features(1), scale=scale)


def test_a_scale_that_makes_embeddings_infinite(rec, new_features):
    with pytest.raises(InputError, match="item embeddings: 1 of 41 rows hold NaN or infinite"):
        rec.add_items([40], new_features(1), scale=1e39)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (None, "features of new items: are None; expected an array by modality, of textual, vis"),
        ([[1.0]], "features of new items: are .*; expected an array by modality"),
        ({1: [[1.0]]}, "modality 1 is unknown; expected textual, visual"),
        (
            {"visual": [[1.0], [2.0, 3.0]]},
            "features of new items: are not an array of numbers",
        ),
        ({"visual": np.ones((1, 12), complex)}, "are not an array of numbers"),
        ({"visual": np.full((1, 12), 1e300)}, "row 0, column 0 is inf; expected finite numbers"),
    ],
)
def test_features_of_a_wrong_kind(rec, features, message):
    with pytest.raises(InputError, match=message):
        rec.add_items([40], features)


@pytest.mark.parametrize("preset", ["vbpr", "lightgcnm"])
def test_other_models_with_content(toy_folder, train, new_features, preset):
    run = train(toy_folder, "train.batch_size=128", "train.lr=1e-2", preset=preset, epochs=4)
    rec = Recommender.load(run, progress=False)
    features = {m: x.numpy()[:2] for m, x in store_features(rec).items()}
    more = rec.add_items([100, 101], features)
    assert torch.equal(more.item_emb[:40], rec.item_emb)
    assert more.item_emb[40:].any(dim=1).all()
    torch.testing.assert_close(encode(more.model, more.data)[1][:40], rec.item_emb)


def store_features(rec):
    return {m: rec.content.raw[ITEM][f"x_{m}"] for m in ("visual", "textual")}


def test_embedding_equals_the_formula(rec, new_features):
    """z = alpha_m (e + sum_j s_j z_j), e the normalised MLP of the features, S rows of
    the k most similar old items, normalised to one."""
    features = new_features(2)
    encoder = rec.model.encoder
    weights = encoder.fusion.logit.softmax(0)
    _, parts = encode(rec.model, rec.data)
    store = rec.content.raw[ITEM]
    expected = []
    for number, modality in enumerate(encoder.modalities):
        x = torch.from_numpy(features[modality])
        own = F.normalize(encoder.encoders[modality].mlp(x))
        cosine = F.normalize(x) @ F.normalize(store[f"x_{modality}"]).t()
        top = cosine.topk(5)
        row = top.values.clamp(min=0)
        row = row / row.sum(dim=1, keepdim=True)
        graph = torch.zeros_like(cosine).scatter(1, top.indices, row)
        z = rec.model._propagate(rec.data)[modality].out[1]
        expected.append(weights[number] * (own + graph @ z))
    expected = torch.cat(expected, dim=1).detach()
    assert parts.size(1) == expected.size(1)
    added = rec.add_items([40, 41], features, scale=1.0).item_emb[40:]
    torch.testing.assert_close(added, expected)
    scaled = rec.add_items([40, 41], features, scale=2.5).item_emb[40:]
    torch.testing.assert_close(scaled, 2.5 * expected)


@pytest.mark.parametrize("changes", [[], MERGED, ["graph.self_loops=true"]])
def test_one_after_the_other_equals_all_at_once(toy_folder, train, new_features, changes):
    rec = Recommender.load(train(toy_folder, *changes), progress=False)
    features = new_features(3)
    first = {m: x[:1] for m, x in features.items()}
    rest = {m: x[1:] for m, x in features.items()}
    together = rec.add_items([40, 41, 42], features)
    one_by_one = rec.add_items([40], first).add_items([41, 42], rest)
    torch.testing.assert_close(one_by_one.item_emb, together.item_emb)
    assert one_by_one.items.ids.tolist() == together.items.ids.tolist()


def test_new_items_are_ranked_with_all_others(rec, new_features):
    more = rec.add_items([77, 55], new_features(2), scale=8.0)
    scores = (more.item_emb @ more.user_emb[7]).tolist()
    lists = more.recommend(7, 42, exclude_seen=False).to_dict()[7]
    labels = [*range(40), 77, 55]
    expected = sorted(range(42), key=lambda row: -scores[row])
    assert [item for item, _ in lists] == [labels[row] for row in expected]
    assert [i for i, _ in more.recommend(7, 5, allow=[55, 3]).to_dict()[7]] in ([55, 3], [3, 55])
    assert 77 not in more.recommend(7, 42, deny=[77]).items
    assert more.recommend_new_users({"ann": [77]}, 42).ptr[-1] == 41
    emb = more.embed_users({"ann": [77]})
    torch.testing.assert_close(emb[0], more.item_emb[40])


@pytest.mark.parametrize("changes", [[], ["features.channels=3"]])
def test_a_copy_is_near_its_original(toy_folder, train, changes):
    rec = Recommender.load(train(toy_folder, *changes, epochs=4), progress=False)
    features = {m: x.numpy() for m, x in store_features(rec).items()}
    ids = range(100, 140)
    similar_items = rec.add_items(ids, features).similar_items(ids, 3, allow=range(40))
    found = similar_items.to_dict()
    hits = sum(any(item == row for item, _ in found[100 + row]) for row in range(40))
    assert hits >= 36


def test_labels_stay_labels(with_labels, train, new_features):
    rec = Recommender.load(train(with_labels), progress=False)
    more = rec.add_items(["fresh", "new"], new_features(2))
    assert more.data[ITEM].original_id[-3:] == ["i39", "fresh", "new"]
    assert more.similar_items("fresh", 1, allow=["new"]).items.tolist() == ["new"]


def test_missing_modalities(rec, new_features):
    visual = {"visual": new_features(2)["visual"]}
    more = rec.add_items([40, 41], visual, scale=1.0)
    assert not more.data[ITEM].mask_textual[40:].any()
    assert more.data[ITEM].mask_textual[:40].all()
    width = more.item_emb.size(1) // 2  # textual comes first
    assert not more.item_emb[40:, :width].any()
    assert more.item_emb[40:, width:].any(dim=1).all()
    assert more.data[similar("textual")].edge_index.max() < 40
    # The same by a mask; what lies under it doesn't count:
    features = new_features(2)
    features["textual"][1] = np.nan
    masked = rec.add_items([40, 41], features, {"textual": [True, False]}, scale=1.0)
    torch.testing.assert_close(masked.item_emb[41], more.item_emb[41])
    assert masked.item_emb[40, :width].any()


def test_missing_in_training_too(tiny, tmp_path, write_mmrec, train, new_features):
    """Where missing items have free rows, new ones start at zero."""
    tiny[ITEM].mask_visual = torch.arange(40) % 3 > 0
    folder = write_mmrec(tmp_path / "gaps", tiny)
    rec = Recommender.load(train(folder, "options.missing_items=free"), progress=False)
    more = rec.add_items([40, 41], {"textual": new_features(2)["textual"]}, scale=1.0)
    width = more.item_emb.size(1) // 2
    assert torch.equal(more.item_emb[:40], rec.item_emb)
    assert rec.item_emb[0, width:].any()  # a free row
    assert not more.item_emb[40:, width:].any()
    assert not torch.isin(more.data[similar("visual")].edge_index, torch.tensor([40, 41])).any()


def test_copies_are_items_without_users(toy_folder, train):
    run = load_run(train(toy_folder, *MERGED, "graph.self_loops=true"))
    rows = torch.tensor([3, 17])
    extended = append_copies(run.data, rows)
    assert extended[ITEM].num_nodes == 42
    old, new = (
        {
            (b, a): float(w)
            for (a, b), w in zip(d[SIMILAR].edge_index.t().tolist(), d[SIMILAR].edge_weight)
        }
        for d in (run.data, extended)
    )
    for copy, row in ((40, 3), (41, 17)):
        own = {(b if b != row else copy): w for (a, b), w in old.items() if a == row}
        assert {b: w for (a, b), w in new.items() if a == copy} == own
    assert len(new) == len(old) + sum(a in (3, 17) for a, _ in old)
    _, item = run.model(extended)
    torch.testing.assert_close(item[:40], run.model(run.data)[1])
    assert not torch.allclose(item[40], item[3])


def test_fair_scale_fills_the_share_of_places():
    """Told by entering the copies at that scale, and at a slightly smaller and larger."""
    generator = torch.Generator().manual_seed(0)
    user, item = (torch.rand(n, 8, generator=generator) for n in (300, 200))
    rows = torch.arange(0, 200, 4)
    copies = 0.3 * item[rows] + 0.1 * torch.rand(50, 8, generator=generator)
    pairs = torch.stack([torch.arange(300), torch.arange(300) % 200])
    seen = SeenItems(pairs, 300)
    scale = fair_scale(user, item, copies, rows, seen, k=10)

    def places(scale):
        both = torch.cat([item, scale * copies])
        copied = pairs[:, pairs[1] % 4 == 0]
        copied = torch.stack([copied[0], 200 + copied[1] // 4])
        masked = SeenItems(torch.cat([pairs, copied], dim=1), 300)
        lists = rank(user, both, torch.arange(300), 10, masked)
        return int((lists.items >= 200).sum())

    assert places(scale * 0.9999) <= 600 <= places(scale * 1.0001)  # 50 / 250 of 3000
    assert places(scale * 0.98) < 600 < places(scale * 1.02)


def test_fair_scale_is_what_add_items_takes(rec, new_features):
    fair = rec.fair_item_scale()
    assert 0 < fair < 20
    by_default = rec.add_items([40], new_features(1)).item_emb[40]
    plain = rec.add_items([40], new_features(1), scale=1.0).item_emb[40]
    torch.testing.assert_close(by_default, fair * plain)


def test_no_fair_scale():
    emb = torch.ones(5, 2)
    with pytest.raises(InputError, match="expected a model with positive scores"):
        fair_scale(emb, emb, -emb[:2], torch.tensor([0, 1]), SeenItems(torch.empty(2, 0).long(), 5))


def test_models_without_content_refuse(toy_folder, train, new_features):
    rec = Recommender.load(train(toy_folder, preset="lightgcn"), progress=False)
    with pytest.raises(
        InputError,
        match=r"^LightGCN: uses no content, so new items can't be embedded; "
        r"expected a model like MENTOR$",
    ):
        rec.add_items([40], new_features(1))


def spoil(name, edit):
    def change(features):
        features[name] = edit(features[name])

    return change


def set_entry(value):
    def edit(x):
        x[1, 3] = value
        return x

    return edit


@pytest.mark.parametrize(
    ("ids", "change", "masks", "message"),
    [
        ([40, 39], None, {}, "new item '39': is known; expected new ids"),
        ([41, 41], None, {}, "new item '41': is repeated; expected each id once"),
        ([], None, {}, "new items: there are none"),
        ([40, "x"], None, {}, "item 'x': isn't an integer"),
        ([40], None, {}, r"textual features of new items: have shape \[2, 8\]; expected \[1, 8\]"),
        ([40, 41], spoil("visual", lambda x: x[:, :5]), {}, r"shape \[2, 5\]; expected \[2, 12\]"),
        ([40, 41], spoil("visual", lambda x: x[:, 0]), {}, r"shape \[2\]; expected \[2, 12\]"),
        ([40, 41], spoil("textual", set_entry(np.nan)), {}, "row 1, column 3 is nan; expected fin"),
        ([40, 41], spoil("textual", set_entry(np.inf)), {}, "row 1, column 3 is inf; expected fin"),
        ([40, 41], spoil("visual", lambda x: "features"), {}, r"not an array of numbers \(str\)"),
        ([40, 41], spoil("visual", lambda x: x.astype(object)), {}, "not an array of numbers"),
        ([40, 41], lambda f: f.update(audio=f["visual"]), {}, "'audio' is unknown; expected tex"),
        ([40, 41], None, {"visual": [True]}, r"mask has dtype torch.bool and shape \[1\]"),
        ([40, 41], None, {"visual": [1, 0]}, r"mask has dtype torch.int64 and shape \[2\]"),
        ([40, 41], lambda f: f.clear(), {}, "new item '40': has no features at all; expected some"),
        (
            [40, 41],
            None,
            {"visual": [True, False], "textual": [True, False]},
            "new item '41': has no features at all",
        ),
    ],
)
def test_bad_new_items(rec, new_features, ids, change, masks, message):
    features = new_features(2)
    if change is not None:
        change(features)
    with pytest.raises(InputError, match=message):
        rec.add_items(ids, features, {m: np.array(x) for m, x in masks.items()})


@withCUDA
def test_every_device(toy_folder, train, new_features, device):
    run = train(toy_folder, "features.channels=3")
    here = Recommender.load(run, progress=False).add_items([99], new_features(1))
    there = Recommender.load(run, device=device, progress=False).add_items([99], new_features(1))
    assert there.item_emb.device.type == device.type
    assert there.recommend(k=5, deny=[3]).ptr.tolist() == here.recommend(k=5, deny=[3]).ptr.tolist()
    torch.testing.assert_close(there.item_emb.cpu(), here.item_emb, rtol=1e-3, atol=1e-3)
    lists = there.recommend_new_users({"ann": [99, 3]}, 4).to_dict()
    assert [i for i, _ in lists["ann"]] == [
        i for i, _ in here.recommend_new_users({"ann": [99, 3]}, 4).to_dict()["ann"]
    ]
    assert (
        there.similar_items([99, 4], 3).items.tolist()
        == here.similar_items([99, 4], 3).items.tolist()
    )
