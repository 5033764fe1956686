"""How pretrained models are had, with libraries that are put in the places of the real ones."""

import sys
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mentor_pyg import InputError
from mentor_pyg.preparation import encode_images, encode_texts
from mentor_pyg.preparation.pretrained import image_model


@pytest.fixture
def put(monkeypatch):
    """Puts modules of these contents where imports find them."""

    def put(**modules):
        for name, content in modules.items():
            monkeypatch.setitem(sys.modules, name.replace("__", "."), SimpleNamespace(**content))

    return put


# Texts ##################################################################


class Texts:
    """A library for texts: which models are there, what it was asked for, what was encoded."""

    def __init__(self, here=(), hub=()):
        self.here, self.hub, self.asked, self.batches = here, hub, [], []
        self.bars = [True]

    def SentenceTransformer(self, model, device, trust_remote_code, local_files_only):
        self.asked.append((model, device, local_files_only))
        assert not trust_remote_code
        assert not self.bars[-1]
        if model not in (self.here if local_files_only else self.hub):
            raise OSError(f"no {model}\nand more of this")
        return self

    def encode(self, texts, batch_size, show_progress_bar):
        assert len(texts) <= batch_size
        assert not show_progress_bar
        self.batches.append(texts)
        return np.array([[len(text), 1] for text in texts], dtype=np.float64)


@pytest.fixture
def texts(put, monkeypatch):
    """A function that puts such a library there, and says how the hub answers."""

    def texts(answer=None, offline=False, **models):
        library = Texts(**models)
        library.calls = []

        def urlopen(address, timeout):
            library.calls.append(address)
            if answer is not None:
                raise answer
            return SimpleNamespace(close=lambda: None)

        settings = SimpleNamespace(
            is_progress_bar_enabled=lambda: library.bars[-1],
            disable_progress_bar=lambda: library.bars.append(False),
            enable_progress_bar=lambda: library.bars.append(True),
        )
        hub = {"HF_HUB_OFFLINE": offline, "ENDPOINT": "https://hub.example"}
        put(
            sentence_transformers={"SentenceTransformer": library.SentenceTransformer},
            transformers={"utils": SimpleNamespace(logging=settings)},
            huggingface_hub={},
            huggingface_hub__constants=hub,
        )
        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return library

    return texts


def encode(model, **options):
    return encode_texts(["a", "abc", "ab", "", "abcd"], model, progress=False, **options)


@pytest.mark.parametrize(("batch_size", "sizes"), [(1, 5 * [1]), (2, [2, 2, 1]), (64, [5])])
def test_texts_are_encoded_by_length_and_come_back_in_order(texts, batch_size, sizes):
    library = texts(here=["mine"])
    x = encode("mine", batch_size=batch_size)
    assert x.tolist() == [[1, 1], [3, 1], [2, 1], [0, 1], [4, 1]]
    assert x.dtype == np.float32
    assert [len(batch) for batch in library.batches] == sizes
    assert [text for batch in library.batches for text in batch] == ["abcd", "abc", "ab", "a", ""]


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_text_model_that_is_here_needs_no_hub(texts, device):
    library = texts(here=["mine"])
    encode("mine", device=device)
    there = "cuda" if device == "auto" and torch.cuda.is_available() else "cpu"
    assert library.asked == [("mine", there, True)]
    assert library.calls == []


@pytest.mark.parametrize(
    "answer", [None, urllib.error.HTTPError("", 404, "no such page", {}, None)]
)
def test_other_text_models_are_downloaded_if_the_hub_answers(texts, answer):
    """With whatever: that of its first page says nothing about the model's."""
    library = texts(answer, hub=["far/away"])
    encode("far/away", device="cpu")
    assert library.asked == [("far/away", "cpu", True), ("far/away", "cpu", False)]
    assert library.calls == ["https://hub.example"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (urllib.error.URLError("no route"), "no route"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_a_hub_that_does_not_answer_is_asked_for_nothing_else(texts, answer, why):
    library = texts(answer, hub=["far/away"])
    with pytest.raises(InputError) as error:
        encode("far/away")
    assert str(error.value) == (
        f"far/away: isn't on this machine and can't be downloaded ({why}); "
        "expected the path of a folder that holds the model"
    )
    assert len(library.asked) == 1


def test_a_hub_that_is_switched_off_is_not_asked(texts):
    library = texts(urllib.error.URLError("no route"), offline=True)
    with pytest.raises(InputError, match=r"^far/away: can't be loaded \(no far/away\); expected a"):
        encode("far/away")
    assert library.calls == []


def test_a_folder_without_a_text_model_is_not_looked_for_elsewhere(texts, tmp_path):
    library = texts(hub=[str(tmp_path)])
    with pytest.raises(InputError, match=r"can't be loaded \(no .*\); expected .* in a folder$"):
        encode(str(tmp_path))
    assert {asked[2] for asked in library.asked} == {True}
    assert library.calls == []


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("here", [["mine"], []])
def test_bars_of_transformers_are_as_they_were(texts, shown, here):
    library = texts(here=here, offline=True)
    library.bars.append(shown)
    if here:
        encode("mine")
    else:
        with pytest.raises(InputError):
            encode("mine")
    assert library.bars[-1] == shown


# Images #################################################################


def network(*last):
    """Of images [B, 3, H, W], the mean colour in, a constant out."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *last)


def transform(picture):
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).permute(2, 0, 1)


PUBLISHED = {"2.weight": torch.diag(torch.tensor([1.0, 2.0, 3.0])), "2.bias": torch.zeros(3)}
PUBLISHED |= {"3.weight": torch.zeros(7, 3), "3.bias": torch.zeros(7)}


class Torchvision:
    """What of torchvision.models is used, and how weights were asked for."""

    def __init__(self, error=None, layers=None):
        self.error, self.asked = error, []
        self.layers = layers or (lambda: (nn.Linear(3, 3), nn.Linear(3, 7)))
        self.published = SimpleNamespace(get_state_dict=self._weights, transforms=lambda: transform)

    def _weights(self, **options):
        self.asked.append(options)
        if self.error is not None:
            raise self.error
        return PUBLISHED

    def contents(self):
        module = {
            "get_model_weights": lambda name: SimpleNamespace(DEFAULT=self.published),
            "get_model": lambda name, weights: network(*self.layers()),
        }
        return module | {"list_models": lambda module: ["small", "inception_v3", "googlenet"]}


@pytest.fixture
def torchvision(put):
    def torchvision(**options):
        library = Torchvision(**options)
        put(torchvision={}, torchvision__models=library.contents())
        return library

    return torchvision


@pytest.fixture
def images(tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    for name, colour in (("a", (255, 0, 0)), ("b", (0, 255, 0)), ("c", (0, 0, 255))):
        pillow.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    return sorted(tmp_path.glob("*.png"))


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_features_are_what_comes_before_the_last_layer(torchvision, images, batch_size):
    library = torchvision()
    x = encode_images(images, "torchvision/small", batch_size, progress=False)
    assert x.tolist() == [[1, 0, 0], [0, 2, 0], [0, 0, 3]]
    assert library.asked == [{"progress": False, "check_hash": True, "weights_only": True}]


def test_weights_from_a_file_are_not_downloaded(torchvision, images, tmp_path):
    library = torchvision()
    twice = {name: 2 * x for name, x in PUBLISHED.items()}
    torch.save(twice, tmp_path / "mine.pt")
    x = encode_images(images, f"torchvision/small@{tmp_path / 'mine.pt'}", progress=False)
    assert x.tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]
    assert library.asked == []


@pytest.mark.parametrize("name", ["smal", "inception_v3", "googlenet"])
def test_names_of_other_networks(torchvision, name):
    torchvision()
    with pytest.raises(InputError, match=f"^torchvision/{name}: isn't a classifier to take"):
        image_model(f"torchvision/{name}", False)


def test_a_network_without_a_last_linear_layer(torchvision, tmp_path):
    torchvision(layers=lambda: (nn.ReLU(),))
    torch.save({}, tmp_path / "none.pt")
    with pytest.raises(InputError, match="torchvision/small: has no linear layer at its end"):
        image_model(f"torchvision/small@{tmp_path / 'none.pt'}", False)


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("no route"), RuntimeError("invalid hash value"), TypeError("x")]
)
def test_weights_that_cannot_be_downloaded(torchvision, error):
    torchvision(error=error)
    with pytest.raises(InputError) as told:
        image_model("torchvision/small", False)
    assert str(told.value) == (
        f"torchvision/small: can't be loaded ({error}); "
        "expected a network, or weights from a file: torchvision/small@<path>"
    )


@pytest.mark.parametrize("state", [{}, {**PUBLISHED, "2.bias": torch.zeros(4)}, [1, 2]])
def test_weights_of_another_network(torchvision, tmp_path, state):
    torchvision()
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(InputError, match=r"can't be loaded .*expected a state_dict of torchvision"):
        image_model(f"torchvision/small@{tmp_path / 'other.pt'}", False)


class Timm(nn.Module):
    """A network of timm's kind, which takes its own classifier away."""

    def __init__(self, pretrained):
        super().__init__()
        self.body, self.head = network(), nn.Linear(3, 7)
        self.pretrained = pretrained

    def reset_classifier(self, num_classes):
        assert num_classes == 0
        self.head = nn.Identity()

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture
def timm(put, texts):
    """The library, and how the hub answers."""

    def timm(answer=None, error=None):
        made = []

        def create_model(name, pretrained):
            if error is not None:
                raise error
            made.append(Timm(pretrained))
            return made[-1]

        def create_transform(size, is_training):
            assert (size, is_training) == (4, False)
            return transform

        texts(answer)
        data = SimpleNamespace(
            resolve_model_data_config=lambda model: {"size": 4}, create_transform=create_transform
        )
        put(timm={"is_model": "small".__eq__, "create_model": create_model, "data": data})
        return made

    return timm


def test_networks_of_timm(timm, images):
    made = timm()
    x = encode_images(images, "timm/small", progress=False)
    assert x.tolist() == np.eye(3).tolist()
    assert [network.pretrained for network in made] == [True]


def test_networks_of_timm_with_weights_from_a_file(timm, tmp_path):
    made = timm(urllib.error.URLError("no route"))  # which nobody asks
    weights = {"head.weight": torch.ones(7, 3), "head.bias": torch.ones(7)}
    torch.save(weights, tmp_path / "mine.pt")
    image_model(f"timm/small@{tmp_path / 'mine.pt'}", False)
    assert [network.pretrained for network in made] == [False]
    torch.save({"head.weight": torch.ones(7, 3)}, tmp_path / "mine.pt")
    with pytest.raises(InputError, match=r"expected a state_dict of timm/small$"):
        image_model(f"timm/small@{tmp_path / 'mine.pt'}", False)


@pytest.mark.parametrize(
    ("options", "model", "message"),
    [
        ({}, "timm/smal", "timm/smal: isn't known to timm; expected e.g. timm/resnet50"),
        (
            {"answer": urllib.error.URLError("no route")},
            "timm/small",
            r"can't be downloaded \(no route\); expected weights from a file: timm/small@<path>$",
        ),
        (
            {"error": OSError("404")},
            "timm/small",
            r"can't be loaded \(404\); expected a network, or weights .*: timm/small@<path>$",
        ),
        ({}, "small", "^small: isn't a model for images; expected torchvision/<name> or timm"),
    ],
)
def test_networks_of_timm_that_cannot_be_had(timm, options, model, message):
    timm(**options)
    with pytest.raises(InputError, match=message):
        image_model(model, False)
