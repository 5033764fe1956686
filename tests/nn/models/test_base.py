"""What a model gets from its base class."""

from typing import Annotated

import pytest
import torch
from annotated_types import Ge

from mentor_pyg import BaseRecommender, InputError, TrainConfig, evaluate, fit
from mentor_pyg.nn import Propagation, UserItemEmbedding, batch_bpr
from mentor_pyg.nn.models.inputs import nodes
from mentor_pyg.options import Count
from mentor_pyg.testing import check_model
from mentor_pyg.transforms import LightGCNNorm
from mentor_pyg.typing import INTERACTS, ITEM, USER


@pytest.fixture
def data(tiny):
    return LightGCNNorm()(tiny)


class Minimal(BaseRecommender):
    """All that a model of one's own needs."""

    def __init__(self, num_users: Count, num_items: Count, hidden_channels: Count = 16) -> None:
        super().__init__()
        self.embedding = UserItemEmbedding(num_users, num_items, hidden_channels)
        self.propagation = Propagation(1)

    def forward(self, data):
        return self.propagation(*self.embedding(nodes(data)), self.interactions(data))

    def losses(self, data, batch):
        return {"bpr": batch_bpr(*self(data), batch)}


def test_a_minimal_model_trains(data):
    torch.manual_seed(0)
    model = Minimal.from_data(data)
    result = fit(model, data, TrainConfig(epochs=20, lr=0.05, patience=20), progress=False)
    losses = [row["bpr"] for row in result.history]
    assert losses[-1] < 0.7 * losses[0]
    torch.manual_seed(0)
    assert evaluate(model, data)["recall@10"] > evaluate(Minimal.from_data(data), data)["recall@10"]


def test_a_minimal_model_keeps_all_contracts():
    check_model(Minimal)


class Recorded(BaseRecommender):
    """Keeps what it was made with."""

    def __init__(self, in_channels, num_items, missing=(), scale: float = 1.0, users=7):
        super().__init__()
        self.given = in_channels, num_items, missing, scale, users


def test_from_data_takes_what_the_constructor_asks_for(data):
    assert Recorded.from_data(data).given == ({"textual": 8, "visual": 12}, 40, [], 1.0, 7)
    data[ITEM].mask_visual = torch.arange(40) > 3
    model = Recorded.from_data(data, scale=3, users=2)
    assert model.given == ({"textual": 8, "visual": 12}, 40, ["visual"], 3.0, 2)


def test_what_is_given_wins(data):
    model = Recorded.from_data(data, in_channels={"sound": 3}, num_items=5, missing=["sound"])
    assert model.given == ({"sound": 3}, 5, ["sound"], 1.0, 7)


def test_features_are_not_looked_at_where_nobody_asks_for_them(data):
    for key in ("x_visual", "x_textual"):
        del data[ITEM][key]
    assert Minimal.from_data(data).embedding.user.shape == (60, 16)
    with pytest.raises(InputError, match="items have no features"):
        Recorded.from_data(data)


def test_a_subclass_that_passes_arguments_on(data):
    """Gets them and their options as the model that it extends."""

    class Extended(Minimal):
        def __init__(self, *args, factor: float = 2.0, **kwargs):
            super().__init__(*args, **kwargs)
            self.factor = factor

    model = Extended.from_data(data, factor=3, hidden_channels=4)
    assert model.factor == 3.0
    assert model.embedding.item.shape == (40, 4)


def test_unknown_options_are_an_error(data):
    with pytest.raises(TypeError, match="unexpected keyword argument 'dropout'"):
        Minimal.from_data(data, dropout=0.5)


def test_data_is_looked_at_first(data):
    del data[INTERACTS].edge_index
    with pytest.raises(InputError, match=r"^data: .*; expected the edges"):
        Minimal.from_data(data)


def test_a_graph_of_other_pairs_is_refused(data):
    """One that was normalised before pairs were taken out, though as many are left."""
    data[INTERACTS].edge_index = data[INTERACTS].edge_index.clone()
    data[INTERACTS].edge_index[:, 0] = data[INTERACTS].edge_index[:, 1]
    with pytest.raises(InputError, match="belongs to other pairs; expected LightGCNNorm"):
        Minimal.from_data(data)


def test_options_are_checked_without_any_decorator():
    """Those of subclasses by their own annotations."""

    class Child(Minimal):
        def __init__(
            self, num_users: Count, num_items: Count, power: Annotated[float, Ge(1)] = 2.0
        ) -> None:
            super().__init__(num_users, num_items)
            self.power = power

    for options, message in (
        ({"hidden_channels": 0}, r"Minimal\.hidden_channels: is 0; expected at least 1"),
        ({"hidden_channels": 2.5}, r"Minimal\.hidden_channels: is 2.5; expected an integer"),
        ({"hidden_channels": True}, r"Minimal\.hidden_channels: is True; expected an integer"),
    ):
        with pytest.raises(InputError, match=message):
            Minimal(3, 4, **options)
    with pytest.raises(InputError, match=r"Child\.power: is 0.5; expected at least 1"):
        Child(3, 4, power=0.5)
    with pytest.raises(InputError, match=r"Child\.num_users: is 0; expected at least 1"):
        Child(0, 4)
    power = Child(3, 4, power=3).power
    assert (power, type(power)) == (3.0, float)


class WithParameter(Minimal):
    def __init__(self, num_users: Count, num_items: Count) -> None:
        super().__init__(num_users, num_items)
        self.bias = torch.nn.Parameter(torch.zeros(num_items))


def test_reset_draws_all_layers_afresh():
    model = Minimal(6, 5)
    before = [x.clone() for x in model.parameters()]
    torch.manual_seed(1)
    model.reset_parameters()
    first = [x.clone() for x in model.parameters()]
    assert not any(torch.equal(a, b) for a, b in zip(before, first))
    torch.manual_seed(1)
    model.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(first, model.parameters()))


def test_parameters_of_its_own_are_not_forgotten_by_a_reset():
    """But told, rather than left as they were."""
    message = "WithParameter has parameters of its own, bias; expected a method 'reset_parameters'"
    with pytest.raises(NotImplementedError, match=message):
        WithParameter(6, 5).reset_parameters()

    class Mended(WithParameter):
        def reset_parameters(self):
            super().reset_parameters()
            torch.nn.init.ones_(self.bias)

    model = Mended(6, 5)
    before = model.embedding.user.clone()
    model.reset_parameters()
    assert torch.equal(model.bias, torch.ones(5))
    assert not torch.equal(model.embedding.user, before)


def test_the_one_objective_is_all_losses_of_all_parameters():
    model = Minimal(6, 5)
    (objective,) = model.objectives()
    assert objective.losses == model.losses
    assert [id(x) for x in objective.parameters] == [id(x) for x in model.parameters()]
    assert (objective.optimizer, objective.options) == (None, {})


def test_scores_are_inner_products():
    user, item = torch.randn(2, 4, 3)
    expected = torch.stack([a @ b for a, b in zip(user, item)])
    torch.testing.assert_close(Minimal(6, 5).score(user, item), expected)


def test_an_epoch_starts_with_nothing(data):
    model = Minimal.from_data(data)
    state = {name: x.clone() for name, x in model.state_dict().items()}
    assert model.start_epoch(data) is None
    assert all(torch.equal(state[name], x) for name, x in model.state_dict().items())


def test_what_a_model_must_have_is_told(data):
    for call in (lambda: BaseRecommender()(data), lambda: BaseRecommender().losses(data, None)):
        with pytest.raises(NotImplementedError):
            call()


def test_interactions_are_those_of_the_data(data):
    model = Minimal.from_data(data)
    assert model.interactions(data) is data[INTERACTS].adjacency
    data[USER].n_id = torch.arange(60)
    assert model.interactions(data).shape == (60, 40)

    class Whole(Minimal):
        whole_graph = True

    with pytest.raises(InputError, match=r"^Whole needs all users and items at once; expected"):
        Whole.from_data(data).interactions(data)
