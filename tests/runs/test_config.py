from itertools import pairwise

import pytest
import yaml

from mentor_pyg import InputError, TrainConfig
from mentor_pyg.experiments import read_plan
from mentor_pyg.nn import models
from mentor_pyg.runs.config import PRESETS, RunConfig, check_config, load_config, preset_names
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
        ("train.batch_size=9223372036854775808", "expected at least 1 and less than 2^63"),
        ("train.monitor=recal@20", "train.monitor: 'recal@20' isn't measured; expected one of"),
        ("train.ks=10", "train.ks: is 10; expected a list of different integers"),
        ("train.ks='10'", "train.ks: is '10'; expected a list of different integers"),
        ("train.ks=[20, 20]", "train.ks: is [20, 20]; expected a list of different integers"),
        ("options.align_levels=12", "is 12; expected a list of different levels out of 1, 2, 3, 4"),
        ("options.align_levels=[1, 1, 9]", "options.align_levels: is [1, 1, 9]; expected a list"),
        ("content.modalities=visual", "is 'visual'; expected a list of texts or null"),
        ("content.noise=[visual]", "content.noise: is ['visual']; expected a mapping of texts"),
        (
            "content.missing={visual: 1.0}",
            "content.missing: is {'visual': 1.0}; expected a mapping",
        ),
        ("train=[]", "train: is []; expected a mapping"),
        ("options=false", "options: is False; expected a mapping"),
        ("graph=0", "graph: is 0; expected a mapping"),
        ("preset=3", "preset: is 3; expected a text"),
        ("model=[MENTOR]", "model is ['MENTOR']; expected one of MENTOR"),
        ("train={on: 1}", "train.True: unknown option"),
        ("train={null: 1}", "train.None: unknown option"),
        ("train={1: 1}", "train.1: unknown option"),
        ("train={[1]: 1}", "isn't a YAML value"),
        ("train.lr=2020-01-01", "train.lr: is 2020-01-01; expected a number"),
        ("train.lr=2020-13-45", "train.lr: '2020-13-45' isn't a YAML value"),
        ("train.lr=!!binary aGk=", "train.lr: is b'hi'; expected a number"),
        ("train.lr=!!python/name:os.system x", "isn't a YAML value"),
        ("train.lr=!!set {a}", "train.lr: is {'a'}; expected a number"),
        ("train.lr=!!int ''", "isn't a YAML value"),
        ("train.lr=!!bool x", "isn't a YAML value"),
        ("train.lr=!!timestamp x", "isn't a YAML value"),
        ("train.lr=.inf", "train.lr: is inf; expected more than 0 and finite"),
        ("train.lr=1e400", "train.lr: is '1e400'; expected more than 0 and finite"),
        ("train.epochs=1e3", "train.epochs: is '1e3'; expected an integer"),
        ("train.epochs=010", "train.epochs: is '010'; expected an integer"),  # 8 in YAML 1.1
        ("train.epochs=1:30", "train.epochs: is '1:30'; expected an integer"),  # 90 there
        ("train.precision=on", "train.precision: is True; expected one of 'fp32'"),
        (f"train.lr={'x' * 10**5}", "train.lr: is 'xxx"),
        (f"train.{'x' * 10**5}=1", "train.xxx"),
        ("x" * 10**5, "sets nothing"),
        (f"train.lr={'[' * 10**5}", "train.lr: is nested too deeply; expected at most 50 levels"),
        (f"train.lr={'{a: ' * 10**4}", "train.lr: is nested too deeply"),
        ("train.ks=&a [*a]", "train.ks: has an alias within what it stands for"),
    ],
    ids=lambda text: text[:40],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(InputError) as error:
        load_config("paper", [change])
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_numbers_of_yaml_that_are_taken():
    changes = ["train.epochs=1_000", "train.patience=0x10", "train.lr=1_0", "train.compile=on"]
    train = load_config("paper", changes).train
    assert (train.epochs, train.patience, train.lr, train.compile) == (1000, 16, 10.0, True)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefghi")
)


def test_values_that_aliases_multiply_are_refused(tmp_path):
    """A billion of them in nine lines; a few are fine."""
    path = tmp_path / "mine.yaml"
    path.write_text(BOMB)
    with pytest.raises(InputError, match=r"mine\.yaml: holds too many values; expected at most"):
        load_config(str(path))
    path.write_text("extends: paper\ntrain: {ks: &ks [10, 20]}\nfeatures: {channels: 8}\n")
    assert load_config(str(path)).train.ks == (10, 20)


def test_configurations_are_checked_in_python_too():
    config = RunConfig("mine", "LightGCN", {"reg_weight": "1e-3"}, train={"lr": 1, "ks": [20]})
    assert config.options == {"reg_weight": 1e-3}
    assert config.train == TrainConfig(lr=1.0, ks=(20,))
    for options, message in {
        "model": ({"model": "LightGNC"}, "RunConfig: model is 'LightGNC'; expected one of"),
        "options": ({"options": {"num_layers": -1}}, "options.num_layers: is -1; expected"),
        "section": ({"graph": {"weights": "cos"}}, "graph.weights: is 'cos'; expected one of"),
        "list": ({"options": []}, r"options: is \[\]; expected a mapping"),
        "train": ({"train": {"epochs": 0}}, "train.epochs: is 0; expected at least 1"),
        "preset": ({"preset": None}, "preset: is None; expected a text"),
    }.values():
        with pytest.raises(InputError, match=message):
            RunConfig(**({"preset": "mine", "model": "LightGCN"} | options))


def test_a_configuration_is_a_mapping():
    with pytest.raises(InputError, match=r"^here: is \['paper'\]; expected a mapping of settings$"):
        check_config(["paper"], "here")


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


def test_a_preset_extends_a_file_beside_itself(tmp_path, monkeypatch):
    for folder in ("settings/base", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    mine = tmp_path / "settings" / "mine.yaml"
    mine.write_text("extends: base/base.yaml\ntrain: {epochs: 3}\n")
    (tmp_path / "settings" / "base" / "base.yaml").write_text("extends: ../root.yaml\n")
    (tmp_path / "settings" / "root.yaml").write_text("extends: lightgcn\ntrain: {patience: 7}\n")
    for path in (mine, "../settings/mine.yaml"):
        config = load_config(str(path))
        assert (config.model, config.train.epochs, config.train.patience) == ("LightGCN", 3, 7)
    (tmp_path / "settings" / "root.yaml").write_text("extends: ./base/../mine.yaml\n")
    with pytest.raises(InputError, match=r"mine\.yaml: extends itself; expected another preset"):
        load_config(str(mine))


def test_a_change_names_each_key_once():
    with pytest.raises(InputError, match=r"^options: line 1 repeats 'num_layers' of line 1"):
        load_config("paper", ["options={num_layers: 1, num_layers: 2}"])


def test_a_saved_configuration_without_the_name_of_its_preset():
    with pytest.raises(InputError, match=r"^last\.pt: has no preset; expected the name"):
        check_config({"model": "LightGCN"}, "last.pt")


def test_a_preset_extends_a_name_that_no_file_can_have(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text('extends: "a\\0b.yaml"\n')
    with pytest.raises(InputError, match=r"b\.yaml: can't be read \(embedded null byte\)"):
        load_config(str(path))
