"""The contracts find what they are there for: models with planted faults."""

import re

import pytest
import torch

from mentor_pyg.datasets import SyntheticDataset
from mentor_pyg.nn.loss import bpr_loss, score_triples
from mentor_pyg.nn.models import MFBPR, LightGCN, LightGCNM
from mentor_pyg.nn.models.inputs import content
from mentor_pyg.options import NonNegative
from mentor_pyg.testing import check_model, contracts
from mentor_pyg.typing import INTERACTS, ITEM

check = {function.__name__.removeprefix("check_"): function for function in contracts}


def faulty(base=LightGCN, **methods):
    """A model with some methods replaced."""
    return type("Faulty", (base,), methods)


def test_there_are_many_and_each_says_what_it_asks():
    assert len(set(contracts)) == len(contracts) >= 20
    assert all(function.__doc__ for function in contracts)


def test_a_model_keeps_all_of_them():
    check_model(MFBPR)
    check_model(LightGCN, num_layers=1)


def test_data_of_ones_own():
    check["gradients"](LightGCNM, SyntheticDataset.tiny(seed=4, channels={"sound": 3})[0])


def test_all_that_is_broken_is_told_at_once():
    def losses(self, data, batch):
        return {"bpr": bpr_loss(*score_triples(*self(data), batch)).unsqueeze(0)}

    def forward(self, data):
        user, item = LightGCN.forward(self, data)
        return user, item + 1e-3 * torch.rand(1)

    message = r"Faulty breaks \d+ of \d+ contracts:\n(.*\n)*  evaluation: .*\n  losses: .*scalar"
    with pytest.raises(AssertionError, match=message):
        check_model(faulty(forward=forward, losses=losses))


def breaks(name, model, message, **options):
    with pytest.raises(AssertionError, match=message):
        check[name](model, **options)


def test_a_tensor_left_on_the_cpu():
    def forward(self, data):
        user, item = LightGCN.forward(self, data)
        return user, item + torch.zeros(len(item), 1)  # without a device

    breaks_on_devices(faulty(forward=forward), "aten.add")


def test_a_tensor_left_on_the_cpu_by_each_step():
    def reset_parameters(self):
        LightGCN.reset_parameters(self)
        self.scale = torch.ones(64)

    def losses(self, data, batch):
        losses = LightGCN.losses(self, data, batch)
        rows = torch.arange(3)
        return losses | {"more": self.embedding.user[rows].sum()}

    def start_epoch(self, data):
        order = torch.randperm(data[ITEM].num_nodes)
        self.embedding.item.data = self.embedding.item.data.index_select(0, order)

    def forward(self, data):
        user, item = LightGCN.forward(self, data)
        return self.scale * user, item

    breaks_on_devices(faulty(losses=losses), "aten.index")
    breaks_on_devices(faulty(start_epoch=start_epoch), "aten.index_select")
    breaks_on_devices(faulty(reset_parameters=reset_parameters, forward=forward), "aten.mul")


def test_a_gradient_left_on_the_cpu():
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return grad * torch.full(grad.shape, 2.0)

    def losses(self, data, batch):
        user, item = self(data)
        return {"bpr": bpr_loss(*score_triples(Scale.apply(user), item, batch))}

    breaks_on_devices(faulty(losses=losses), "aten.mul")


def breaks_on_devices(model, operation):
    with pytest.raises(RuntimeError, match=re.escape(operation) + ".*same device"):
        check["devices"](model)


def test_a_parameter_that_is_never_used():
    def __init__(self, *args, **options):
        LightGCN.__init__(self, *args, **options)
        self.unused = torch.nn.Parameter(torch.ones(3))

    def reset_parameters(self):
        LightGCN.reset_parameters(self)
        torch.nn.init.ones_(self.unused)

    cls = faulty(__init__=__init__, reset_parameters=reset_parameters)
    breaks("gradients", cls, "gradient of the parameter 'unused'")


def test_what_a_reset_forgets():
    def reset_parameters(self):
        torch.nn.init.xavier_uniform_(self.embedding.user)

    breaks("reset", faulty(reset_parameters=reset_parameters), "to reset all state")


def test_memory_that_was_never_drawn():
    def __init__(self, *args, **options):
        LightGCN.__init__(self, *args, **options)
        self.register_buffer("noise", torch.empty(3).fill_(next(counter)))

    counter = iter(range(9))
    breaks("constructor", faulty(__init__=__init__), "initialise all parameters")


def test_an_evaluation_that_draws_or_returns_parameters():
    def drawing(self, data):
        torch.rand(1)
        return LightGCN.forward(self, data)

    def leaking(self, data):
        return self.embedding.user, self.embedding.item

    breaks("evaluation", faulty(forward=drawing), "draw nothing")
    breaks("evaluation", faulty(forward=leaking), "return none of them")


def test_a_state_that_grows_with_the_pairs():
    def start_epoch(self, data):
        kept = torch.rand(data[INTERACTS].edge_index.size(1)) > 0.5
        self.register_buffer("kept", kept)

    breaks("other_pairs", faulty(start_epoch=start_epoch), "load for data with one more pair")


def test_a_draw_that_isnt_saved():
    def start_epoch(self, data):
        self.scale = torch.rand(())

    def losses(self, data, batch):
        losses = LightGCN.losses(self, data, batch)
        return {name: self.scale * loss for name, loss in losses.items()}

    def reset_parameters(self):
        LightGCN.reset_parameters(self)
        self.scale = torch.ones(())

    model = faulty(start_epoch=start_epoch, losses=losses, reset_parameters=reset_parameters)
    breaks("resuming", model, "resumed within an epoch")


class Hooked(LightGCN):
    def __init__(self, *args, hook, **options):
        super().__init__(*args, **options)
        self.register_load_state_dict_post_hook(hook)


def test_a_hook_that_cant_be_copied():
    check["copies"](Hooked, hook=print)
    breaks("copies", Hooked, "a model that can be pickled", hook=lambda *_: None)


def test_labels_that_leak():
    def forward(self, data):
        user, item = LightGCN.forward(self, data)
        hint = torch.zeros(len(item), 1)
        hint[data[INTERACTS].test_edge_label_index[1]] = 1
        return user, item + hint

    breaks("no_leak", faulty(forward=forward), "don't depend on validation and test pairs")


def test_numbers_of_items_that_matter():
    def forward(self, data):
        user, item = LightGCN.forward(self, data)
        return user, item + torch.arange(len(item)).unsqueeze(1)

    breaks("relabelling", faulty(forward=forward), "item after renumbering")


def test_masked_rows_that_are_read():
    def forward(self, data):
        user, item = LightGCNM.forward(self, data)
        x, _ = content(data, ["visual"])
        return user, item + data[ITEM].x_visual.nan_to_num().mean() + 0 * x["visual"].sum()

    breaks("masked_values", faulty(LightGCNM, forward=forward), "in masked rows to change nothing")


def test_losses_of_half_precision():
    def losses(self, data, batch):
        user, item = self(data)
        return {"sum": (user[batch.user] @ item.t()).mean()}

    breaks("autocast", faulty(losses=losses), "float32 under autocast")


def test_data_that_are_changed():
    def forward(self, data):
        data[ITEM].seen = torch.ones(1)
        return LightGCN.forward(self, data)

    breaks("unchanged_data", faulty(forward=forward), "not to change data and batch")


def test_options_that_are_never_looked_at():
    def with_annotation(self, num_users, num_items, reg_weight: NonNegative = 0.0):
        LightGCN.__init__(self, num_users, num_items, reg_weight=1.0)

    def without(self, num_users, num_items, scale=1.0):
        LightGCN.__init__(self, num_users, num_items)

    breaks("options", faulty(__init__=without), "'scale' of nan to be refused")
    check["options"](faulty(__init__=with_annotation))  # which the base class looks at
    model = faulty()
    model.__init__ = with_annotation  # behind its back
    breaks("options", model, "'reg_weight' of -1 to be refused")


def test_data_that_dont_fit():
    def from_data(cls, data, **options):
        return cls(60, 40, {"visual": 12, "textual": 8}, **options)

    breaks("wrong_features", faulty(LightGCNM, from_data=classmethod(from_data)), "a row too few")


def test_graphs_that_are_missed_without_a_word():
    def interactions(self, data):
        return data[INTERACTS].adjacency

    model = faulty(interactions=interactions)
    breaks("missing_graphs", model, "an InputError that names the missing")


def test_new_items_that_are_forgotten():
    def forward(self, data):
        user, item = MFBPR.forward(self, data)
        return user, item[:40]

    zeros = faulty(MFBPR, uses_content=True)
    breaks("new_items", zeros, "expected new items' embeddings")
    missing = faulty(MFBPR, uses_content=True, forward=forward)
    breaks("new_items", missing, "an embedding of each of 45 items")


def test_row_numbers_that_are_ignored():
    """Of a sampled part, in another order than the tables."""

    def forward(self, data):
        return self.propagation(*self.embedding(), self.interactions(data))

    breaks("sampled_parts", faulty(forward=forward), "rows of each user of a sampled graph by its")
