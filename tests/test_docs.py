"""Every code block of README and docs/ runs, in the order of its page.

Python blocks of a page share one namespace. Of shell blocks, lines that start with
``mentor-pyg`` or ``python`` run, and so does installing a folder of the page; make doesn't.
A block with a title is a file, which is written. Each page starts in a folder with
``data/toys``, a small dataset in the MMRec layout, ``raw``, raw Amazon files, and
``downloads``, small files like those of published datasets.
"""

import importlib
import json
import os
import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from preparation.raw_files import lines, record, review, write
from scipy.sparse import csr_matrix

from mentor_pyg.cli.main import main
from mentor_pyg.nn import models
from mentor_pyg.options import parameters

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.glob("**/*.md")])
BLOCK = re.compile(r'^```(\w+)(?: title="([\w./-]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
NOT_RUN = ("make", "pip", "git", "pytest", "ruff", "mkdocs")
SHOWN = ("yaml", "text", "tsv", "csv", "json")


def write_raw_amazon(folder, num_users=60, num_items=40, num_tastes=4):
    """Reviews, descriptions and image features of items of several kinds.

    A user reviews six items of one kind and two others; three more users, who reviewed two
    items each, fall out of the 5-core. One item has no image.
    """
    rng = np.random.default_rng(0)
    asins = [f"B{1000 + 7 * n:09d}" for n in range(num_items)]
    kinds = np.arange(num_items) % num_tastes
    reviews = []
    for u in range(num_users + 3):
        is_own = kinds == u % num_tastes
        own, others = np.flatnonzero(is_own), np.flatnonzero(~is_own)
        liked = [*rng.choice(own, 6, replace=False), *rng.choice(others, 2, replace=False)]
        liked = liked if u < num_users else liked[:2]
        times = 1.3e9 + 86400 * np.sort(rng.integers(0, 1000, len(liked)))
        reviews += [review(f"A{u:04d}", asins[i], int(t)) for i, t in zip(liked, times)]
    write(folder / "reviews_Office_5.json.gz", lines(map(json.dumps, reviews)))
    meta = [{"asin": asin, "title": f"Item of kind {kind}"} for asin, kind in zip(asins, kinds)]
    write(folder / "meta_Office.json.gz", lines(map(repr, meta)))
    centres = rng.standard_normal((num_tastes, 4096), dtype=np.float32)
    images = centres[kinds] + rng.standard_normal((num_items, 4096), dtype=np.float32)
    records = [record(asin, x) for asin, x in zip(asins[1:], images[1:])]
    write(folder / "image_features_Office.b", b"".join(records))


def write_downloads(folder, num_users=30, num_items=20):
    """Files of the names and formats on the page of datasets."""
    rng = np.random.default_rng(0)
    sequences = [rng.permutation(num_items)[:8].tolist() for _ in range(num_users)]
    splits = [
        np.array([(u, i) for u, items in enumerate(sequences) for i in items[part]]).T
        for part in (slice(6), slice(6, 7), slice(7, 8))
    ]
    names = (("trnMat", "train"), ("valMat", "valid"), ("tstMat", "test"))
    for pairs, (matrix, array) in zip(splits, names):
        x = csr_matrix((np.ones(pairs.shape[1]), pairs), (num_users, num_items))
        write(folder / f"tiktok/{matrix}.pkl", pickle.dumps(x))
        (folder / "baby").mkdir(exist_ok=True)
        np.save(folder / f"baby/{array}.npy", pairs)
    for stem in ("image", "audio", "text"):
        np.save(folder / f"tiktok/{stem}_feat.npy", rng.standard_normal((num_items, 4)))
    write(folder / "instruments/Instruments.inter.json", json.dumps(dict(enumerate(sequences))))
    for name, letters in (("lemb", "abcd"), ("vitemb", "ABCD")):
        codes = {i: [f"<{x}_{rng.integers(256)}>" for x in letters] for i in range(num_items)}
        write(folder / f"instruments/Instruments.index_{name}.json", json.dumps(codes))


@pytest.fixture
def folder(tmp_path, write_mmrec, monkeypatch):
    write_mmrec(tmp_path / "data" / "toys", name="toys")
    write_raw_amazon(tmp_path / "raw")
    write_downloads(tmp_path / "downloads")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_code_blocks_run(page, folder, capsys):
    namespace = {"__name__": "docs"}
    for language, title, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if title:
            write(folder / title, code)
        elif language == "python":
            exec(compile(code, page.name, "exec"), namespace)
        elif language == "bash":
            run_shell(code, folder)
        else:
            assert language in SHOWN, language
    capsys.readouterr()


def run_shell(code, folder):
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:2] == ["pip", "install"] and words[2].startswith("./"):
            install(folder / words[2], folder)
        if not words or words[0] in NOT_RUN:
            continue
        if words[0] == "mentor-pyg":
            assert main(words[1:]) == 0, line
        else:
            assert words[0] == "python", f"{line}: neither run nor known"
            words[1] = str(ROOT / words[1]) if words[1].startswith("examples/") else words[1]
            command = [sys.executable, "-W", "ignore", *words[1:]]
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ.copy())
            assert done.returncode == 0, f"{line}\n{done.stderr}"


def install(package, target):
    """Installs a folder with what is at hand, without a network, where Python finds it."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", target, package]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    importlib.invalidate_caches()


def test_every_page_is_in_the_navigation():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(paths_in(settings["nav"])) == sorted(
        str(page.relative_to(DOCS)) for page in DOCS.glob("**/*.md")
    )


def test_the_navigation_groups_models_by_their_need_of_content():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    entries = next(entry["Models"] for entry in settings["nav"] if "Models" in entry)
    groups = dict(pair for entry in entries if isinstance(entry, dict) for pair in entry.items())
    by_page = {f"models/{name.lower()}.md": getattr(models, name) for name in models.classes}
    for group, needs_content in {"Without content": False, "With content": True}.items():
        for page in paths_in(groups[group]):
            assert ("in_channels" in parameters(by_page[page])) is needs_content, page


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_site_loads_nothing_from_elsewhere():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    assert "extra_javascript" not in settings
    for path in settings["extra_css"]:
        style = (DOCS / path).read_text(encoding="utf-8")
        assert not re.search("//|@import", style), path
    for page in DOCS.glob("**/*.md"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"!\[[^]]*\]\(https?:|<script|<link|<img", text), page


@pytest.fixture
def mathml(monkeypatch):
    for package in ("latex2mathml", "mkdocs", "griffe"):
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(DOCS / "extensions")
    return importlib.import_module("mathml")


def test_every_formula_becomes_mathml(mathml):
    rst = importlib.import_module("rst_docstrings")
    formulas = set()
    for path in DOCS.glob("**/*.md"):
        text = re.sub(
            r"^```.*?^```$|`[^`]*`", "", path.read_text(encoding="utf-8"), flags=re.M | re.S
        )
        formulas |= set(re.findall(r"(?<!\$)\$(?!\$)([^$]+)\$", text.replace("$$", "$")))
    for path in (ROOT / "mentor_pyg").glob("**/*.py"):
        text = rst.to_markdown(path.read_text(encoding="utf-8"))
        formulas |= set(re.findall(r"\\\((.+?)\\\)", text))
        formulas |= set(re.findall(r"^ *\\\[\n(.*?)\\\]$", text, re.M | re.S))
    assert len(formulas) > 200
    for formula in formulas:
        assert mathml.to_mathml(formula).startswith("<math "), formula


@pytest.mark.parametrize("formula", [r"\nosuchcommand{x}", "x_a_b", r"\left( x"])
def test_a_formula_that_cannot_be_shown_stops_the_build(mathml, formula):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="models/mentor.md"))
    content = rf'<p><span class="arithmatex">\({formula}\)</span></p>'
    with pytest.raises(mathml.PluginError, match=r"^models/mentor\.md: formula"):
        mathml.on_page_content(content, page=page)


def test_formulas_of_a_page_are_replaced(mathml):
    content = (
        r'<p><span class="arithmatex">\(a &lt; \boldsymbol{\Gamma}\)</span></p>'
        '\n<div class="arithmatex">\\[\n\\big\\Vert_m x\n\\]</div>'
    )
    page = mathml.on_page_content(content, page=None)
    assert not re.search(r"arithmatex|\\", page)
    for part in (
        ">&#x0003C;<",
        'display="block"',
        ">\N{MATHEMATICAL BOLD CAPITAL GAMMA}<",
        ">‖<",
    ):
        assert part in page


def paths_in(nav):
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [value] if isinstance(value, str) else paths_in(value)


def test_every_model_is_in_the_table():
    table = (DOCS / "models" / "index.md").read_text(encoding="utf-8")
    for name in models.classes:
        page = DOCS / "models" / f"{name.lower()}.md"
        label = re.escape(f"[{name}]({page.name})" if page.exists() else name)
        new_items = "yes" if getattr(models, name).uses_content else "no"
        assert re.search(rf"^\| {label} \|.*\| {new_items} \|$", table, re.MULTILINE), name


@pytest.mark.parametrize(
    "package",
    [
        *("", ".analysis", ".datasets", ".evaluation", ".experiments", ".nn", ".plots"),
        *(".preparation", ".report", ".runs", ".serving", ".training", ".transforms", ".tuning"),
    ],
)
def test_every_public_name_is_in_the_api_once(package):
    listed = (DOCS / "api.md").read_text(encoding="utf-8").split()
    names = [word for word in listed if word.startswith("mentor_pyg.")]
    assert len(names) == len(set(names))
    for name in importlib.import_module(f"mentor_pyg{package}").__all__:
        places = {f"mentor_pyg{package}.{name}", f"mentor_pyg.{name}"}
        assert len(places & set(listed)) == 1, name
