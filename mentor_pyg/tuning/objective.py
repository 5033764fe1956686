"""What a trial is: a training, and its measure on validation."""

import copy
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch_geometric.data import HeteroData

from mentor_pyg.runs.build import build_model, load_init, prepare_graphs
from mentor_pyg.runs.config import RunConfig
from mentor_pyg.training.callbacks import Callback
from mentor_pyg.training.config import FitResult
from mentor_pyg.training.fitting import fit
from mentor_pyg.tuning.search import Search
from mentor_pyg.typing import INTERACTS


class PreparedGraphs:
    """Data with the graphs that configurations need, made once for each that differ.

    Args:
        data: The data as they are on disk.
        device: Where to compute.
        limit: How many to keep; the features are shared as long as they stay as they are.
    """

    def __init__(self, data: HeteroData, device: torch.device, limit: int = 4) -> None:
        self.data = copy.copy(data).to(device)
        self.device, self.limit = device, limit
        self.kept: OrderedDict[str, HeteroData] = OrderedDict()

    def __call__(self, config: RunConfig) -> HeteroData:
        """The data for a configuration."""
        sections = [
            config.content,
            config.graph,
            config.user_graph,
            config.features,
            config.train.precision,
        ]
        key = json.dumps(sections, sort_keys=True)
        if key not in self.kept:
            while len(self.kept) >= self.limit:
                self.kept.popitem(last=False)
            self.kept[key] = prepare_graphs(config, copy.copy(self.data), self.device)
        self.kept.move_to_end(key)
        return self.kept[key]


class ValidationObjective:
    """Trains with settings and measures on validation; there are no test pairs to look at.

    Args:
        search: What the settings change.
        data: The data as they are on disk.
        device: Where to compute.
        progress: Whether to show progress bars.
    """

    def __init__(
        self, search: Search, data: HeteroData, device: torch.device, progress: bool = True
    ) -> None:
        data = copy.copy(data)
        del data[INTERACTS].test_edge_label_index
        self.search, self.progress = search, progress
        self.graphs = PreparedGraphs(data, device)

    def __call__(self, settings: Mapping[str, Any], callback: Callback) -> FitResult:
        config = self.search.configure(settings)
        data = self.graphs(config)
        model = build_model(config, data).to(self.graphs.device)
        reset = not load_init(config, model)
        return fit(
            model,
            data,
            config.train,
            callbacks=[callback],
            reset=reset,
            progress=self.progress,
        )
