"""What a user may get wrong: one line on stderr, code 2, and nothing left behind."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from mentor_pyg.cli.main import main
from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.evaluation.metrics import Evaluator


def arguments(folder, *extra):
    """Arguments of a run of one short epoch; later ones override."""
    out = folder.parent / "out"
    args = ["--data", folder, "--out", out, "--preset", "paper", "--set", "graph.k=5"]
    args += ["--epochs", "1", "--device", "cpu"]
    return [str(arg) for arg in args] + [arg.replace("{folder}", str(folder)) for arg in extra]


@pytest.fixture
def run(toy_folder, tmp_path, monkeypatch, capsys):
    """Runs the command in this process; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*extra):
        code = main(["train", *arguments(toy_folder, *extra)])
        return code, *capsys.readouterr()

    return run


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_one_error(code, err, fragments):
    errors = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 2
    assert len(errors) == 1, err
    assert err.endswith(errors[0] + "\n")
    assert "Traceback" not in err
    for fragment in (*fragments, "; expected "):
        assert fragment in errors[0]


# Ways to spoil the toy folder ###########################################


def nothing(folder):
    pass


def table(edit):
    """Puts ``edit`` of all lines, the header first, in place of the table's lines."""

    def spoil(folder):
        path = folder / "toy.inter"
        path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")

    return spoil


def row(text, number=2):
    return table(lambda lines: [*lines[: number - 1], text, *lines[number:]])


def header(text):
    return row(text, number=1)


def relabel(old, new):
    """Moves all pairs of one split to another."""
    return table(lambda lines: [f"{s[:-1]}{new}" if s[-1] == old else s for s in lines])


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def truncate(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def array(name, edit):
    """Saves ``edit`` of the 40 rows of visual features under a name."""
    return lambda folder: np.save(folder / name, edit(np.load(folder / "image_feat.npy")))


def entry(value):
    """Replaces the number in row 3, column 1 of the visual features."""

    def edit(x):
        x[3, 1] = value
        return x

    return array("image_feat.npy", edit)


def archive(folder):
    np.savez(folder / "image.npz", x=np.load(folder / "image_feat.npy"))
    (folder / "image.npz").rename(folder / "image_feat.npy")


def without_features(folder):
    for path in folder.glob("*_feat.npy"):
        path.unlink()


def item_ids(edit):
    """Names the items i0 to i39, in the table and in a list that ``edit`` spoils."""

    def spoil(folder):
        labels = edit([f"i{n}" for n in range(40)])
        (folder / "item_ids.txt").write_text("\n".join(labels) + "\n")
        table(lambda lines: [lines[0], *(s.replace("\t", "\ti", 1) for s in lines[1:])])(folder)

    return spoil


def preset(text, name="mine.yaml"):
    return write(name, text if isinstance(text, bytes) else text.encode())


MINE = ("--preset", "{folder}/mine.yaml")


def setting(text):
    return ("--set", text)


def case(name, spoil, *fragments, args=()):
    return pytest.param(spoil, args, fragments, id=name)


CASES = [
    # The folder and the table:
    case("no folder", nothing, "nowhere: not found", "a folder", args=("--data", "nowhere")),
    case(
        "folder is a file",
        nothing,
        "toy.inter: is a file",
        "a folder with a .inter file",
        args=("--data", "{folder}/toy.inter"),
    ),
    case(
        "no table",
        lambda folder: (folder / "toy.inter").unlink(),
        "toy: has no .inter file",
        "<name>.inter",
    ),
    case(
        "table is a folder",
        lambda folder: ((folder / "toy.inter").unlink(), (folder / "toy.inter").mkdir()),
        "toy.inter: is a folder",
        "a table of interactions",
    ),
    case("two tables", write("b.inter", b""), "b.inter, toy.inter", "expected one, or its name"),
    case("empty table", write("toy.inter", b""), "toy.inter: is empty", "expected lines"),
    case(
        "header only",
        table(lambda lines: lines[:1]),
        "toy.inter: has a header but no interactions",
        "at least one",
    ),
    case(
        "semicolons",
        table(lambda lines: [s.replace("\t", ";") for s in lines]),
        "toy.inter: line 1 has neither tab nor comma ('userID;itemID;x_label')",
        "tab- or comma-separated",
    ),
    case(
        "no label column",
        header("userID\titemID\tsplit"),
        "toy.inter: column 'x_label' is not among userID, itemID, split",
    ),
    case("column twice", header("userID\titemID\titemID\tx_label"), "column 'itemID' is repeated"),
    case("short row", row("3\t4", 5), "toy.inter: line 5 has 2 columns", "expected 3 columns"),
    case("long row", row("3\t4\t0\t9", 5), "toy.inter: line 5 has 4 columns", "expected 3"),
    case("blank line", row("", 5), "toy.inter: line 5 is blank", "expected a row"),
    case(
        "label 3", row("0\t0\t3"), "toy.inter: line 2 has x_label '3'", "0 (train), 1 (validation)"
    ),
    case("label is text", row("0\t0\ttrain"), "line 2 has x_label 'train'", "or 2 (test)"),
    case("negative id", row("-4\t0\t0"), "toy.inter: line 2 has userID -4", "expected 0 or more"),
    case("far id", row("5000000\t0\t0"), "line 2 has userID 5000000", "only 61", "row numbers"),
    case("huge id", row(f"0\t{10**30}\t0"), f"line 2 has itemID {10**30}", "large", "row numbers"),
    case("empty id", row("\t0\t0"), "toy.inter: line 2 has an empty userID", "expected an id"),
    case(
        "labels without their order",
        row("0\tapple\t0"),
        "toy.inter: itemIDs are labels ('apple')",
        "image_feat.npy",
        "expected item_ids.txt",
    ),
    case(
        "not UTF-8",
        write("toy.inter", b"userID\titemID\tx_label\n\xff\t0\t0\n"),
        "toy.inter: line 2 isn't UTF-8 at byte 1",
        "expected UTF-8",
    ),
    case(
        "huge field",
        row(f"0\t{'1' * 200_000}\t0"),
        "line 2 has a field of 200000 characters",
        "short",
    ),
    case("no train pairs", relabel("0", "1"), "toy.inter: has no train pairs", "x_label 0"),
    case("no validation pairs", relabel("1", "0"), "toy.inter: has no val pairs", "x_label 1"),
    case("no test pairs", relabel("2", "0"), "toy.inter: has no test pairs", "x_label 2"),
    case(
        "pair twice",
        table(lambda lines: [*lines, lines[3]]),
        "toy.inter: line 502 repeats the pair of line 4",
        "each pair once",
    ),
    case(
        "nobody to test",
        table(lambda lines: [s for s in lines if s[-1] != "2" and s[:2] != "9\t"] + ["9\t0\t2"]),
        "no user has both training and test pairs",
        "at least one",
    ),
    # Lists of ids:
    case("blank id", item_ids(lambda ids: [*ids, "", "x"]), "item_ids.txt: line 41 is blank"),
    case(
        "list is a folder",
        lambda folder: (folder / "item_ids.txt").mkdir(),
        "item_ids.txt: is a folder",
        "one id per line",
    ),
    case("id twice", item_ids(lambda ids: [*ids, "i8"]), "line 41 repeats 'i8' of line 9", "once"),
    case("id not listed", item_ids(lambda ids: ids[:39]), "itemID 'i39'", "list of 39 ids"),
    case("list isn't UTF-8", write("user_ids.txt", b"a\xff"), "user_ids.txt: byte 1 isn't UTF-8"),
    # Features and masks:
    case("id beyond the features", row("0\t45\t0"), "_feat.npy: has 40 rows", "each of 46 items"),
    case(
        "features beyond the ids",
        array("image_feat.npy", lambda x: np.concatenate([x, x])),
        "image_feat.npy: has 80 rows",
        "each of 40 items",
    ),
    case(
        "one modality too short",
        array("text_feat.npy", lambda x: x[:30]),
        "text_feat.npy: has 30 rows",
        "each of 40 items",
    ),
    case(
        "same modality twice",
        array("visual_feat.npy", lambda x: x),
        "image_feat.npy and visual_feat.npy are both of modality 'visual'",
        "expected one",
    ),
    case(
        "modality with a dot",
        array("clip.v2_feat.npy", lambda x: x),
        "clip.v2_feat.npy: is of modality 'clip.v2'",
        "a name like 'visual'",
    ),
    case(
        "modality with a taken name",
        array("keys_feat.npy", lambda x: x),
        "keys_feat.npy: is of modality 'keys'",
        "a name like 'visual'",
    ),
    case("vector", array("image_feat.npy", lambda x: x[:, 0]), "shape [40]", "[items, features]"),
    case("no columns", array("image_feat.npy", lambda x: x[:, :0]), "shape [40, 0]", "[40, *]"),
    case(
        "integers",
        array("image_feat.npy", lambda x: x.astype(np.int32)),
        "image_feat.npy: has dtype int32",
        "float16, float32 or float64",
    ),
    case(
        "objects",
        array("image_feat.npy", lambda x: x.astype(object)),
        "image_feat.npy: can't be read",
        "Object arrays cannot be loaded",
        "array of numbers",
    ),
    case(
        "pickle",
        write("image_feat.npy", pickle.dumps([1.0, 2.0])),
        "image_feat.npy: can't be read",
        "pickle",
        "array of numbers",
    ),
    case("NaN", entry(np.nan), "image_feat.npy: row 3, column 1 is nan", "finite", "mask"),
    case("infinity", entry(-np.inf), "image_feat.npy: row 3, column 1 is -inf", "finite"),
    case(
        "float64 too large",
        array("image_feat.npy", lambda x: np.full(x.shape, 1e300)),
        "image_feat.npy: row 0, column 0 is inf",
        "finite",
    ),
    case("truncated", truncate("image_feat.npy", 900), "image_feat.npy: can't be read", "complete"),
    case("truncated header", truncate("image_feat.npy", 40), "image_feat.npy: can't be read"),
    case(
        "empty array", write("image_feat.npy", b""), "image_feat.npy: can't be read", ".npy array"
    ),
    case(
        "array is a folder",
        lambda folder: (folder / "clip_feat.npy").mkdir(),
        "clip_feat.npy: is a folder",
        "a .npy array",
    ),
    case(
        "zeros", array("text_feat.npy", np.zeros_like), "'textual': no item has", "nonzero features"
    ),
    case("broken archive", write("image_feat.npy", b"PK\x03\x04"), "image_feat.npy: can't be read"),
    case("archive", archive, "image_feat.npy: is an archive", "single .npy array"),
    case(
        "impossible shape",
        lambda folder: write(
            "image_feat.npy",
            (folder / "image_feat.npy")
            .read_bytes()
            .replace(b"(40, 12),", b"(9" + b"0" * 16 + b","),
        )(folder),
        "image_feat.npy: can't be read",
        "complete .npy array",
    ),
    case(
        "mask too long",
        array("image_mask.npy", lambda x: np.ones(41, dtype=bool)),
        "image_mask.npy: has dtype bool and shape [41]",
        "expected bool, [40]",
    ),
    case(
        "mask of integers",
        array("image_mask.npy", lambda x: np.ones(40, dtype=int)),
        "image_mask.npy: has dtype int64",
        "expected bool, [40]",
    ),
    case(
        "everything missing",
        array("text_mask.npy", lambda x: np.zeros(40, dtype=bool)),
        "text_mask.npy: marks every item as missing",
        "at least one present",
    ),
    case("damaged mask", write("text_mask.npy", b"0101"), "text_mask.npy: can't be read"),
    case(
        "no features",
        without_features,
        "MENTOR: the items of the data have no features",
        "at least one <name>_feat.npy",
        "`pip install 'mentor_pyg[text]'`",
        "layergcn or lightgcn or mfbpr",
    ),
    case(
        "no features, no graph",
        without_features,
        "MENTOR: the items of the data have no features",
        args=setting("graph=null"),
    ),
    case(
        "features left out",
        nothing,
        "MENTOR: the items of the data have no features",
        args=setting("content.modalities=[]"),
    ),
    # Presets:
    case(
        "unknown preset",
        nothing,
        "preset 'papers'",
        "bm3, clcrec, default",
        args=("--preset", "papers"),
    ),
    case("preset not there", nothing, "mine.yaml: not found", "a preset in YAML", args=MINE),
    case("broken preset", preset("a: [1"), "mine.yaml: isn't YAML", "a mapping", args=MINE),
    case("broken date", preset("a: 2001-99-99"), "mine.yaml: isn't YAML", args=MINE),
    case("preset of bytes", preset(b"\xff\xfe"), "mine.yaml: byte 0 isn't UTF-8", args=MINE),
    case("repeated key", preset("train: {}\ntrain: {}"), "mine.yaml: line 2 rep", args=MINE),
    case("empty preset", preset(""), "mine.yaml: holds None", "a mapping", args=MINE),
    case(
        "endless preset",
        lambda folder: preset(f"extends: {folder}/mine.yaml")(folder),
        "mine.yaml: extends itself",
        "another preset",
        args=MINE,
    ),
    case(
        "unknown key",
        preset("extends: paper\noption: {}"),
        "mine.yaml: unknown key 'option'",
        "expected preset, model, init, options, content, graph, user_graph, features, ranking, ",
        args=MINE,
    ),
    case(
        "unknown model",
        preset("model: MENTER"),
        "mine.yaml: model is 'MENTER'",
        "one of MENTOR",
        args=MINE,
    ),
    case(
        "number for a section",
        preset("extends: paper\ntrain: 5"),
        "train: is 5",
        "a mapping of options",
        args=MINE,
    ),
    case(
        "text for a number",
        preset("extends: paper\ntrain: {lr: fast}"),
        "train.lr: is 'fast'",
        "a number",
        args=MINE,
    ),
    # Settings:
    case(
        "no warmth", nothing, "options.temperature", "is 0;", args=setting("options.temperature=0")
    ),
    case("no graph", nothing, "no item graph 'similar_", args=setting("graph=null")),
    case("unknown option", nothing, "options.depth", "num_layers", args=setting("options.depth=3")),
    case("no value", nothing, "'train.lr' sets nothing", "key=value", args=setting("train.lr")),
    case("no YAML", nothing, "train.lr: '[1'", "0.1", args=setting("train.lr=[1")),
    case("key of a value", nothing, "train.lr.x: 'lr'", "train", args=setting("train.lr.x=1")),
    case(
        "unknown literal",
        nothing,
        "options.fusion: is 'late'",
        "one of 'global', 'user'",
        args=setting("options.fusion=late"),
    ),
    case(
        "fraction of a layer",
        nothing,
        "options.num_layers: is 1.5",
        "an integer",
        args=setting("options.num_layers=1.5"),
    ),
    case(
        "too large for a float",
        nothing,
        "train.lr: is 1000",
        "a number",
        args=setting(f"train.lr=1{'0' * 400}"),
    ),
    case(
        "level 5",
        nothing,
        "options.align_levels: is [5]",
        "different levels",
        args=setting("options.align_levels=[5]"),
    ),
    case("layers", nothing, "options.num_layers", "is -1", args=setting("options.num_layers=-1")),
    case(
        "width -1",
        nothing,
        "options.hidden_channels",
        "is -1",
        args=setting("options.hidden_channels=-1"),
    ),
    case(
        "dropout 2",
        nothing,
        "options.mask_dropout",
        "is 2;",
        args=setting("options.mask_dropout=2"),
    ),
    case(
        "k too large", nothing, "modality 'textual': k = 40", "1 to 39", args=setting("graph.k=40")
    ),
    case("k of zero", nothing, "graph.k: is 0", "at least 1", args=setting("graph.k=0")),
    case(
        "weight of another modality",
        nothing,
        "'merge' weighs acoustic, visual",
        "textual, visual",
        args=setting("graph.merge={visual: 0.5, acoustic: 0.5}"),
    ),
    case(
        "separate graphs for a merged one",
        nothing,
        "no item graph 'similar'",
        "ItemKNN",
        args=setting("options.item_graph=merged"),
    ),
    case("lists too long", nothing, "[20, 41]", "items, 40", args=setting("train.ks=[20, 41]")),
    case("no lists", nothing, "train.ks: is []", "a list of", args=setting("train.ks=[]")),
    case(
        "unknown monitor",
        nothing,
        "train.monitor: 'auc'",
        "recall@10",
        args=setting("train.monitor=auc"),
    ),
    case("no epochs", nothing, "train.epochs: is 0", "at least 1", args=("--epochs", "0")),
    case("negative seed", nothing, "train.seed: is -1", "expected 0 to", args=("--seed", "-1")),
    case(
        "endless loss",
        nothing,
        "epoch 1: loss term",
        "a finite number",
        args=setting("train.lr=1e38") + setting("train.batch_size=9"),
    ),
    # The machine:
    case(
        "out is a file",
        nothing,
        "toy.inter: can't be",
        "a writable",
        args=("--out", "{folder}/toy.inter"),
    ),
    case(
        "out in a file",
        nothing,
        "x: can't be",
        "a writable",
        args=("--out", "{folder}/toy.inter/x"),
    ),
    case(
        "unknown device", nothing, "--device tpu9", "auto, cpu or cuda", args=("--device", "tpu9")
    ),
    case(
        "no real device", nothing, "--device meta", "auto, cpu or cuda", args=("--device", "meta")
    ),
]


@pytest.mark.parametrize(("spoil", "args", "fragments"), CASES)
def test_bad_input(spoil, args, fragments, toy_folder, tmp_path, run):
    spoil(toy_folder)
    before = files_in(tmp_path)
    code, out, err = run(*args)
    assert_one_error(code, err, fragments)
    assert out == ""
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("args", "fragment"),
    [
        (["--epoch-count", "3"], "unrecognized arguments: --epoch-count 3"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["--precision", "fp16"], "argument --precision: invalid choice: 'fp16'"),
        (["--set"], "argument --set: expected one argument"),
    ],
)
def test_bad_command_line(args, fragment, tmp_path, run, capsys):
    before = files_in(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run(*args)
    assert stop.value.code == 2
    assert f"error: {fragment}" in capsys.readouterr().err
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("spoil", "args", "fragments"),
    [
        case("data", entry(np.nan), "image_feat.npy: row 3, column 1 is nan", "finite numbers"),
        case("setting", nothing, "train.monitor: 'auc'", args=setting("train.monitor=auc")),
    ],
)
def test_bad_input_from_the_shell(spoil, args, fragments, toy_folder, tmp_path):
    """As above in a process of its own, in which also the log goes to stderr."""
    spoil(toy_folder)
    before = files_in(tmp_path)
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "mentor_pyg",
        "train",
        *arguments(toy_folder, *args),
    ]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert_one_error(result.returncode, result.stderr, fragments)
    assert result.stdout == ""
    assert files_in(tmp_path) == before


def test_user_without_training_pairs_is_dropped_and_counted(toy_folder, tmp_path, run):
    relabelled = table(lambda lines: [f"{s[:-1]}2" if s[:2] == "9\t" else s for s in lines])
    relabelled(toy_folder)
    code, out, _ = run()
    assert code == 0
    assert "test, by popularity" in out
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["epochs_run"] == 1

    dataset = MMRecDataset(toy_folder)
    statistics = dataset.statistics()
    assert statistics.cold_users == 1
    assert statistics.dropped_pairs["val"] == 0
    assert statistics.dropped_pairs["test"] >= 5
    evaluator = Evaluator(dataset[0], "test")
    assert evaluator.num_dropped_users == 1
    assert 9 not in evaluator.users
