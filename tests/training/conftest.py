import pytest

from mentor_pyg import TrainConfig, fit
from mentor_pyg.nn.models import LightGCN
from mentor_pyg.training import Checkpoint
from mentor_pyg.transforms import LightGCNNorm

CONFIG = TrainConfig(epochs=3, batch_size=64, lr=1e-2)


class Stop(Exception):
    pass


class StoppingCheckpoint(Checkpoint):
    """Saves after every step and fails after the given number of saves."""

    def __init__(self, path, after):
        super().__init__(path, {}, minutes=-1.0)
        self.left = after

    def save(self, state):
        super().save(state)
        self.left -= 1
        if self.left == 0:
            raise Stop


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


@pytest.fixture
def train(data):
    """Trains LightGCN, or another model; the model and the history without times."""

    def train(config=CONFIG, model_class=LightGCN, model=None, **options):
        model = model or model_class.from_data(data)
        result = fit(model, data, config, progress=False, **options)
        return model, [{k: v for k, v in r.items() if k != "seconds"} for r in result.history]

    return train


@pytest.fixture
def resumes(train, tmp_path):
    """Makes sure that a training that stops after some saves ends as one that never stops;
    takes functions of no arguments that make what :func:`fit` is given."""

    def resumes(after, config=CONFIG, model_class=LightGCN, **makers):
        options = [{name: make() for name, make in makers.items()} for _ in range(3)]
        _, expected = train(config, model_class, **options[0])
        path = tmp_path / f"{after}.pt"
        stopping = StoppingCheckpoint(path, after)
        with pytest.raises(Stop):
            train(config, model_class, checkpoint=stopping, **options[1])
        checkpoint = Checkpoint(path, {})
        _, found = train(config, model_class, checkpoint=checkpoint, resume=True, **options[2])
        assert found == expected

    return resumes
