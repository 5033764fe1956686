"""What is written in one of the forms that readers accept is read as it was meant."""

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from mentor_pyg._util.named_yaml import NamedYaml
from mentor_pyg.datasets.features import read_ids
from mentor_pyg.datasets.interactions import COLUMNS, read_interactions
from mentor_pyg.datasets.original_ids import OriginalIds
from mentor_pyg.runs.config import load_config, preset_names
from mentor_pyg.serving.ids import IdMap

# No control characters, halves of characters, or mark of byte order: no id can hold them.
CHARACTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff")
LABELS = st.text(CHARACTERS, min_size=1, max_size=6).map(str.strip).filter(bool)
NUMBERS = st.integers(0, 999)
INT64 = st.integers(-(2**63), 2**63 - 1)


def is_number(label):
    return label.lstrip("-").isdecimal() and label.isascii() and str(int(label)) == label


@st.composite
def tables(draw):
    """Pairs with a split each, and the ids of users and items."""
    users, items = (
        draw(st.lists(ids, min_size=3, max_size=6, unique=True))
        for ids in draw(st.sampled_from([(NUMBERS, LABELS), (LABELS, LABELS), (NUMBERS, NUMBERS)]))
    )
    places = st.tuples(st.integers(0, len(users) - 1), st.integers(0, len(items) - 1))
    pairs = draw(st.lists(places, min_size=3, max_size=20, unique=True))
    splits = [0, 1, 2, *(draw(st.sampled_from([0, 1, 2])) for _ in pairs[3:])]
    rows = [(str(users[u]), str(items[i]), split) for (u, i), split in zip(pairs, splits)]
    for column in zip(*rows):  # negative numbers are refused, unless others are labels
        texts = set(map(str, column))
        assume(not all(map(is_number, texts)) or not any(text[0] == "-" for text in texts))
    return draw(st.permutations(rows))


@given(
    tables(),
    st.permutations([*COLUMNS, "time, or \t so"]),
    st.sampled_from("\t,"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(0, 2),
)
def test_tables_of_interactions(rows, header, delimiter, line_end, has_mark, blank_lines):
    header = [name.replace("\t", " ") for name in header]  # the first tab would be the delimiter
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(header)
    for row in rows:
        values = dict(zip(COLUMNS, row))
        writer.writerow([values.get(name, ' 5 "x') for name in header])
    content = "\ufeff" * has_mark + text.getvalue() + line_end * blank_lines
    with TemporaryDirectory() as folder:
        path = Path(folder, "toy.inter")
        path.write_bytes(content.encode())
        found = read_interactions(path)
    for place, codes, ids, count in (
        (0, found.user, found.user_ids, found.num_users),
        (1, found.item, found.item_ids, found.num_items),
    ):
        texts = [row[place] for row in rows]
        if all(map(is_number, texts)):
            assert ids is None
            assert codes.tolist() == list(map(int, texts))
            assert count == max(map(int, texts)) + 1
        else:
            assert ids == sorted(set(texts))
            assert [ids[code] for code in codes] == texts
            assert count == len(ids)
    assert found.label.tolist() == [row[2] for row in rows]


@given(
    st.lists(LABELS, max_size=20, unique=True),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_lists_of_ids(labels, line_end, has_mark, ends):
    content = "\ufeff" * has_mark + line_end.join(labels) + line_end * (ends and bool(labels))
    with TemporaryDirectory() as folder:
        path = Path(folder, "ids.txt")
        path.write_bytes(content.encode())
        assert read_ids(path) == labels


@given(
    st.one_of(st.lists(LABELS, min_size=1, unique=True), st.lists(INT64, min_size=1, unique=True))
)
def test_ids_are_mapped_to_rows_and_back(ids):
    mapped, rows = IdMap(ids, "item"), torch.arange(len(ids))
    assert mapped.ids.tolist() == ids
    assert torch.equal(mapped.rows(ids), rows)
    assert torch.equal(mapped.rows(ids[::-1]), rows.flip(0))
    assert torch.equal(mapped.find([str(label) for label in ids]), rows)
    assert torch.equal(mapped.find([f" {label} " for label in ids]), rows)
    other = max(ids) - 1 if isinstance(ids[0], int) else max(ids) + "x"
    assume(other not in ids and (isinstance(other, str) or other >= -(2**63)))
    assert mapped.find(other).tolist() == [-1]


@given(st.lists(LABELS, min_size=1, max_size=12), st.data())
def test_original_ids_follow_their_rows(labels, data):
    ids, array = OriginalIds(labels), np.array([*labels, None], dtype=object)[:-1]
    chosen = data.draw(st.lists(st.integers(-len(labels), len(labels) - 1), max_size=15))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))))
    first, step = data.draw(st.integers(0, len(labels))), data.draw(st.integers(1, 3))
    index = torch.tensor(chosen, dtype=torch.int64)
    some = ids[index]
    assert some.tolist() == array[np.array(chosen, dtype=np.int64)].tolist()
    assert ids[torch.from_numpy(mask)].tolist() == array[mask].tolist()
    assert ids[first::step].tolist() == labels[first::step]
    assert torch.cat([some, ids]).tolist() == [*some.tolist(), *labels]
    file = io.BytesIO()
    torch.save({"ids": some}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["ids"] == some


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.dates(),
)
MAPPINGS = st.dictionaries(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    min_size=1,
    max_size=5,
)


@given(MAPPINGS, st.sampled_from([None, True, False]), st.booleans())
def test_yaml_means_what_it_means_elsewhere(content, flow, allow_unicode):
    text = yaml.safe_dump(content, default_flow_style=flow, allow_unicode=allow_unicode)
    with TemporaryDirectory() as folder:
        path = Path(folder, "mine.yaml")
        path.write_bytes(text.encode())
        found = NamedYaml("preset", "presets").read(str(path))
    assert repr(found) == repr(yaml.safe_load(text))


@given(
    st.sampled_from(preset_names()),
    st.floats(1e-8, 1e3),
    st.integers(1, 10**6),
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 500), min_size=1, max_size=4, unique=True),
    st.sampled_from(["fp32", "bf16"]),
)
def test_configurations_are_read_as_they_were_written(preset, lr, epochs, seed, ks, precision):
    changes = [f"train.lr={lr!r}", f"train.ks={ks}", f"train.monitor=ndcg@{ks[-1]}"]
    config = load_config(preset, changes, epochs=epochs, seed=seed, precision=precision)
    assert (config.train.lr, config.train.epochs, config.train.seed) == (lr, epochs, seed)
    with TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(config.to_yaml(), encoding="utf-8")
        assert load_config(str(path)) == config
