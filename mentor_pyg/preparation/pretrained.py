"""Pretrained networks for texts and images, as the libraries that have them load them."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from mentor_pyg._util.extras import optional
from mentor_pyg._util.tensor_files import load_torch
from mentor_pyg.errors import InputError, reason

SCALES_ITS_INPUT = ("googlenet", "inception_v3")
"""Models of torchvision whose input depends on where their weights are from."""


class ImageEncoder(NamedTuple):
    """A network for images [B, 3, H, W] -> [B, d], and what makes a tensor of an image.

    Attributes:
        network: Set to evaluation by its user.
        transform: From a :class:`PIL.Image.Image` in RGB to a tensor [3, H, W].
    """

    network: nn.Module
    transform: Callable[[Any], Tensor]


def text_model(model: str, device: str) -> Any:
    """A SentenceTransformer by name or from a folder.

    Raises:
        InputError: If it can't be loaded.
    """
    library = optional("sentence_transformers")
    transformers = optional("transformers")

    def load(local: bool) -> Any:
        with _without_bars(transformers.utils.logging):
            return library.SentenceTransformer(
                model, device=device, trust_remote_code=False, local_files_only=local
            )

    here = Path(model).exists()
    with suppress(Exception):  # as for the libraries below it, of any type
        return load(local=True)
    if not here:
        _check_hub(model, "the path of a folder that holds the model")
    try:
        return load(local=here)
    except Exception as error:
        raise InputError(
            f"{model}: can't be loaded ({reason(error)}); expected a model of "
            "sentence-transformers, by name or in a folder"
        ) from None


@contextmanager
def _without_bars(settings: Any) -> Iterator[None]:
    """Keeps transformers from drawing its own bars, on terminals and elsewhere."""
    enabled = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            settings.enable_progress_bar()


def image_model(model: str, progress: bool) -> ImageEncoder:
    """A network without its classifier, ``<library>/<name>`` or ``<library>/<name>@<path>``.

    Raises:
        InputError: If it can't be loaded.
    """
    architecture, _, weights = model.partition("@")
    library, _, name = architecture.partition("/")
    if library not in IMAGE_LIBRARIES:
        raise InputError(
            f"{model}: isn't a model for images; expected torchvision/<name> or timm/<name>, "
            "and @<path> behind it for weights from a file"
        )
    state = load_torch(Path(weights).expanduser()) if weights else None
    try:
        return IMAGE_LIBRARIES[library](name, state, progress)
    except (OSError, RuntimeError, TypeError) as error:  # no network, or weights that don't fit
        expected = f"a state_dict of {architecture}"
        if state is None:
            expected = f"a network, or weights from a file: {architecture}@<path>"
        raise InputError(
            f"{model}: can't be loaded ({reason(error)}); expected {expected}"
        ) from None


def _torchvision(name: str, state: Any, progress: bool) -> ImageEncoder:
    models = optional("torchvision.models")
    if name not in models.list_models(module=models) or name in SCALES_ITS_INPUT:
        raise InputError(
            f"torchvision/{name}: isn't a classifier to take features of; expected "
            "e.g. torchvision/resnet50"
        )
    published = models.get_model_weights(name).DEFAULT
    if state is None:
        state = published.get_state_dict(progress=progress, check_hash=True, weights_only=True)
    network = models.get_model(name, weights=None)
    network.load_state_dict(state)
    linear = [key for key, part in network.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise InputError(f"torchvision/{name}: has no linear layer at its end; expected another")
    network.set_submodule(linear[-1], nn.Identity())
    return ImageEncoder(network, published.transforms())


def _timm(name: str, state: Any, progress: bool) -> ImageEncoder:
    timm = optional("timm")
    if not timm.is_model(name):
        raise InputError(f"timm/{name}: isn't known to timm; expected e.g. timm/resnet50.a1_in1k")
    if state is None:
        _check_hub(f"timm/{name}", f"weights from a file: timm/{name}@<path>")
    network = timm.create_model(name, pretrained=state is None)
    if state is not None:
        network.load_state_dict(state)
    network.reset_classifier(0)
    config = timm.data.resolve_model_data_config(network)
    return ImageEncoder(network, timm.data.create_transform(**config, is_training=False))


IMAGE_LIBRARIES = {"torchvision": _torchvision, "timm": _timm}


def _check_hub(model: str, instead: str) -> None:
    """Fails at once where the hub, which would be asked for minutes, can't be reached."""
    hub = optional("huggingface_hub.constants")
    if hub.HF_HUB_OFFLINE:
        return
    try:
        urllib.request.urlopen(hub.ENDPOINT, timeout=10).close()
    except urllib.error.HTTPError:
        return  # an answer
    except OSError as error:
        why = getattr(error, "reason", error)
        raise InputError(
            f"{model}: isn't on this machine and can't be downloaded ({why}); expected {instead}"
        ) from None
