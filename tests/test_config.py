import pytest
import yaml

from mentor_pyg import InputError, TrainConfig
from mentor_pyg.config import PRESETS, load_config, preset_names
from mentor_pyg.experiments.plan import read_plan
from mentor_pyg.nn import models
from mentor_pyg.transforms import ItemKNN
from mentor_pyg.tuning.space import read_space


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_builds(name):
    config = load_config(name)
    assert config.model in models.classes
    assert config.preset == name
    if config.graph is not None:
        ItemKNN(**config.graph)
    assert yaml.safe_load(config.to_yaml())["train"]["lr"] == config.train.lr


def test_config_written_by_a_run_can_be_read_again(tmp_path):
    config = load_config("released", ["train.lr=3e-3", "options.align_levels=[1, 3]"], seed=7)
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert load_config(str(path)) == config


def test_changes_are_applied_in_order_and_coerced():
    changes = ["train.lr=1", "train.lr=1e-3", "options.mask_weight=0", "graph.k=7"]
    config = load_config("paper", changes, epochs=3, seed=None)
    assert config.train.lr == 1e-3
    assert isinstance(config.options["mask_weight"], float)
    assert config.graph["k"] == 7
    assert load_config("paper", ["graph.merge=equal"]).graph["merge"] == "equal"
    assert load_config("paper", ["graph.merge={a: 1}"]).graph["merge"] == {"a": 1.0}
    assert load_config("released", ["graph.merge=null"]).graph["merge"] is None
    assert config.train.epochs == 3
    assert config.train.seed == TrainConfig().seed


def test_extends_merges_sections(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: released\noptions: {mask_weight: 0.25}\n")
    mine, base = load_config(str(path)), load_config("released")
    assert mine.options == base.options | {"mask_weight": 0.25}
    assert mine.graph == base.graph


def test_graph_can_be_switched_off():
    assert load_config("paper", ["graph=null"]).graph is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], None),
        (["features.channels=8"], {"channels": 8}),
        (
            ["features.channels=8", "features.dtype=float16"],
            {"channels": 8, "dtype": "float16"},
        ),
        (
            ["features={dtype: bfloat16}", "features.channels=null"],
            {"dtype": "bfloat16", "channels": None},
        ),
        (["features.channels=8", "features=null"], None),
    ],
)
def test_features(changes, expected, tmp_path):
    config = load_config("paper", changes)
    assert config.features == expected
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert load_config(str(path)) == config


def test_features_of_a_preset_are_merged_and_switched_off(tmp_path):
    base, heir, off = (tmp_path / f"{name}.yaml" for name in ("base", "heir", "off"))
    base.write_text("extends: paper\nfeatures: {channels: 8, dtype: float16}\n")
    heir.write_text(f"extends: {base}\nfeatures: {{dtype: bfloat16}}\n")
    off.write_text(f"extends: {base}\nfeatures: null\n")
    assert load_config(str(heir)).features == {"channels": 8, "dtype": "bfloat16"}
    assert load_config(str(off)).features is None


def test_precision_and_compilation():
    config = load_config("paper")
    assert (config.train.precision, config.train.compile) == ("fp32", False)
    changes = ["train.precision=bf16", "train.compile=true"]
    config = load_config("paper", changes, precision=None, compile=None)
    assert (config.train.precision, config.train.compile) == ("bf16", True)
    config = load_config("paper", changes, precision="fp32", compile=False)
    assert (config.train.precision, config.train.compile) == ("fp32", False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("options.mask_wait=1", "options.mask_wait: unknown option"),
        ("options.mask_weight=high", "options.mask_weight: is 'high'; expected a number"),
        ("options.num_layers=2.5", "expected an integer"),
        ("options.num_layers=true", "expected an integer"),
        ("options.mask_gradient=1", "expected true or false"),
        ("options.fusion=late", "expected one of 'global', 'user'"),
        ("options.align_levels=1", "options.align_levels"),
        ("options.missing=[visual]", "options.missing: unknown option"),
        ("options.mask_weight=-1", "options.mask_weight: is -1; expected at least 0 and finite"),
        ("options.reg_weight=.nan", "options.reg_weight: is nan; expected at least 0 and finite"),
        ("options.hidden_channels=0", "options.hidden_channels: is 0; expected at least 1"),
        ("options.num_item_layers=-1", "options.num_item_layers: is -1; expected at least 0"),
        ("options.temperature=0", "options.temperature: is 0; expected more than 0"),
        ("options.num_users=3", "options.num_users: unknown option"),
        ("graph.merge=[1, 2]", "graph.merge"),
        ("graph.merge={visual: a}", "graph.merge"),
        (
            "graph.merge=same",
            "expected a mapping of texts to numbers, each at least 0 and finite, or 'equal'",
        ),
        ("features.chanels=8", "features.chanels: unknown option; expected one of channels, dtype"),
        (
            "features.channels=8.5",
            "features.channels: is 8.5; expected an integer, at least 1, or null",
        ),
        ("features.channels=many", "features.channels: is 'many'; expected an integer"),
        ("features.channels=true", "features.channels: is True"),
        ("features.dtype=half", "features.dtype: is 'half'; expected one of 'float32', 'float16'"),
        ("features.dtype=16", "features.dtype: is 16"),
        ("features=8", "features: is 8; expected a mapping of options"),
        ("train.precision=fp16", "train.precision: is 'fp16'; expected one of 'fp32', 'bf16'"),
        ("train.precision=16", "train.precision: is 16"),
        ("train.precision=null", "train.precision: is None"),
        ("train.compile=1", "train.compile: is 1; expected true or false"),
        ("train.compile=inductor", "train.compile: is 'inductor'"),
        ("train.monitor=3", "expected a text"),
        ("train=3", "train"),
        ("speed=3", "unknown key 'speed'"),
        ("model=MENTHOR", "model is 'MENTHOR'; expected one of MENTOR"),
        ("train.lr.x=1", "train.lr.x"),
        ("nothing", "sets nothing"),
        ("train.lr=[", "isn't a YAML value"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(InputError) as error:
        load_config("paper", [change])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# Files ##################################################################


@pytest.mark.parametrize(
    ("read", "kind"),
    [(load_config, "preset"), (read_space, "search space"), (read_plan, "plan")],
)
def test_unknown_names_are_no_broken_yaml(read, kind):
    with pytest.raises(InputError, match=f"^{kind} 'babby' is unknown; expected one of "):
        read("babby")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\n\xff: 2", "byte 5 isn't UTF-8; expected a preset in YAML"),
        (b"model: MENTOR\ntrain:\n  lr: 1\ntrain: {}", "line 4 repeats 'train' of line 2; exp"),
        (b"train:\n  lr: 1\n  'lr': 2", "line 3 repeats 'lr' of line 2; expected each key once"),
        (b"train: {lr: 1, lr: 2}", "line 1 repeats 'lr' of line 1"),
        (b"[" * 9999, "is nested too deeply; expected at most 50 levels"),
        (b"", "holds None; expected a mapping, a preset"),
    ],
)
def test_files_that_are_no_preset(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_config(str(path))
    assert str(error.value).startswith(f"{path}: {message}")


def test_merged_keys_are_no_repeated_ones(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, x: 4}\n")
    assert PRESETS.read(path)["c"] == {"x": 4, "y": 2}


def test_a_folder_is_no_preset(tmp_path):
    (tmp_path / "mine.yaml").mkdir()
    with pytest.raises(InputError, match=r"mine\.yaml: is a folder; expected a preset in YAML"):
        load_config(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("parent", ["", "5", "[baby]"])
def test_a_preset_extends_another_by_name(tmp_path, parent):
    (tmp_path / "mine.yaml").write_text(f"extends: {parent}\n")
    with pytest.raises(InputError, match=r"mine\.yaml: extends .*; expected the name of a preset"):
        load_config(str(tmp_path / "mine.yaml"))


def test_a_change_names_each_key_once():
    with pytest.raises(InputError, match=r"^options: line 1 repeats 'num_layers' of line 1"):
        load_config("paper", ["options={num_layers: 1, num_layers: 2}"])
