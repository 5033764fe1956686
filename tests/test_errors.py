import pytest

from mentor_pyg import InputError
from mentor_pyg.errors import MAX_MESSAGE
from mentor_pyg.experiments import read_plan


def test_long_message_keeps_its_beginning_and_its_end():
    message = str(InputError(f"file.json: {'a' * 100_000}; expected a number"))
    assert len(message) <= MAX_MESSAGE
    assert message.startswith("file.json: a")
    assert message.endswith("a; expected a number")


def test_short_message_is_unchanged():
    assert str(InputError("x: is 3; expected 4")) == "x: is 3; expected 4"


def test_name_from_a_file_is_cut_in_a_message(tmp_path):
    path = tmp_path / "plan.yaml"
    models = [{"name": "m" * 5000, "preset": "lightgcn", "set": {"train.lr": "big"}}]
    path.write_text(f"datasets: [synthetic]\nmodels: {models}\n")
    with pytest.raises(InputError) as error:
        read_plan(path)
    assert len(str(error.value)) < 500
