"""Public functions refuse what is no path, and a text where a list of texts is expected."""

import dataclasses
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import mentor_pyg
from mentor_pyg import InputError, Recommendations, Recommender
from mentor_pyg.analysis import evaluate_runs, make_tables
from mentor_pyg.datasets import AmazonBaby, MMRecDataset
from mentor_pyg.nn.models import MENTOR
from mentor_pyg.options import _hints, _options
from mentor_pyg.plots import read_grid, run_names, save_figure
from mentor_pyg.preparation import ItemTexts, encode_images, encode_texts, find_amazon
from mentor_pyg.report import report_page
from mentor_pyg.runs import load_config, load_run
from mentor_pyg.serving.export import save_embeddings
from mentor_pyg.transforms import ContentVariant

LISTS = Recommendations(np.array([1]), np.array([2]), np.ones(1), np.array([0, 1]))
SIZES = {"num_users": 2, "num_items": 3, "in_channels": {"visual": 4}}


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda: LISTS.save(None), "Recommendations.save.path: is None"),
        (lambda: save_embeddings(None, None), "save_embeddings.folder: is None"),
        (lambda: Recommender.load(None), "Recommender.load.folder: is None"),
        (lambda: load_run(3), "load_run.folder: is 3"),
        (lambda: save_figure(None, None), "save_figure.path: is None"),
        (lambda: read_grid(None), "read_grid.path: is None"),
        (lambda: evaluate_runs(["a", None]), "evaluate_runs.folders: is ['a', None]"),
        (lambda: MMRecDataset(None), "MMRecDataset.root: is None"),
        (lambda: find_amazon(None), "find_amazon.folder: is None"),
    ],
)
def test_what_is_no_path(call, found):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value).startswith(f"{found}; expected a ")
    assert "path" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "found"),
    [
        (lambda: MMRecDataset("toy", modalities="visual"), "MMRecDataset.modalities: is 'visual'"),
        (lambda: AmazonBaby(modalities="visual"), "AmazonDataset.modalities: is 'visual'"),
        (lambda: ContentVariant("visual"), "ContentVariant.modalities: is 'visual'"),
        (lambda: MENTOR(**SIZES, missing="visual"), "MENTOR.missing: is 'visual'"),
        (lambda: MENTOR(**SIZES, align_levels="1"), "MENTOR.align_levels: is '1'"),
        (lambda: load_config("paper", "train.lr=1"), "load_config.changes: is 'train.lr=1'"),
        (lambda: run_names("runs"), "run_names.folders: is 'runs'"),
        (lambda: report_page("runs"), "report_page.folders: is 'runs'"),
        (lambda: make_tables(None, "recall"), "make_tables.metrics: is 'recall'"),
        (lambda: encode_texts("a toy"), "encode_texts.texts: is 'a toy'"),
        (lambda: encode_images("a.png"), "encode_images.paths: is 'a.png'"),
        (lambda: ItemTexts([], "id", "title"), "ItemTexts.text_columns: is 'title'"),
    ],
)
def test_a_text_is_no_list_of_texts(call, found):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value).startswith(f"{found}; expected ")
    assert "list" in str(caught.value)


def public_functions():
    """All that the rooms of the package name, with methods and constructors."""
    for room in pkgutil.iter_modules(mentor_pyg.__path__):
        if not room.ispkg or room.name in ("_util", "cli", "testing"):
            continue
        module = importlib.import_module(f"mentor_pyg.{room.name}")
        for thing in (getattr(module, name) for name in module.__all__):
            if inspect.isfunction(thing):
                yield thing
            elif inspect.isclass(thing):
                own = {k: v for k, v in vars(thing).items() if k[0] != "_" or k == "__init__"}
                if dataclasses.is_dataclass(thing):  # most are results, which nobody else makes
                    own.pop("__init__", None)
                own = (getattr(value, "__func__", value) for value in own.values())
                yield from filter(inspect.isfunction, own)


def needs_check(hint):
    """Whether an annotation is of a path, or of a list for which a text may be mistaken."""
    args = typing.get_args(hint)
    if typing.get_origin(hint) is Sequence and args[:1] in ((str,), (int,)):
        return True
    return hint is Path or (str not in args and any(map(needs_check, args))) or Path in args


def test_all_paths_and_lists_are_checked():
    missed, found = [], 0
    for function in public_functions():
        for name, hint in _hints(inspect.unwrap(function)).items():
            if needs_check(hint):
                found += 1
                if not hasattr(function, "__wrapped__") or name not in _options(function):
                    missed.append(f"{function.__qualname__}.{name}")
    # The one's other arguments have to stay as they are, the other names the row that is no text:
    assert set(missed) == {"encode_texts.texts", "Checkpoint.__init__.path"}
    assert found > 30
