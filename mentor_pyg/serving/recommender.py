"""Lists of items for users, old and new, from a trained model."""

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg._util.option_words import Words
from mentor_pyg.datasets.original_ids import OriginalIds
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.evaluation.ranking import SeenItems, check_embeddings, rank
from mentor_pyg.nn.functional import normalize
from mentor_pyg.nn.models.base import BaseRecommender
from mentor_pyg.options import Count, Positive, check_value, checked
from mentor_pyg.runs.run import load_run
from mentor_pyg.serving.ids import IdMap, Ids
from mentor_pyg.serving.new_items import (
    COPY_EVERY,
    ItemContent,
    append_copies,
    check_features,
    fair_scale,
)
from mentor_pyg.serving.new_users import fold_in, history_pairs
from mentor_pyg.serving.recommendations import Recommendations
from mentor_pyg.serving.seen import pairs_of
from mentor_pyg.transforms import CompactFeatures, ContentVariant, ItemKNN
from mentor_pyg.typing import ITEM, USER

Length = Annotated[Count, Words("1 or more items a list")]
Scale = Positive | Literal["fair"]


class Recommender:
    """Recommends items by their original ids. All embeddings are computed once, here.

    .. code-block:: python

        rec = Recommender.load("runs/toys")
        rec.recommend(["A1B2", "C3D4"], k=10).to_dict()

    Args:
        model: A trained model.
        data: What it was trained on, with its graphs.
        content: How new items enter; without it there can't be any.
        seen: The splits whose pairs count as seen.
        progress: Whether to show progress bars.

    Raises:
        InputError: If the data have no original ids, there is no such split, or an
            embedding isn't finite.

    Attributes:
        users, items: Original ids by row.
        user_emb, item_emb: Embeddings [U, C] and [I, C], whose inner products are scores.
    """

    def __init__(
        self,
        model: BaseRecommender,
        data: HeteroData,
        content: ItemContent | None = None,
        seen: Sequence[str] | str = ("train",),
        progress: bool = True,
    ) -> None:
        self.model, self.data, self.content, self.progress = model, data, content, progress
        self.users, self.items = IdMap.of_nodes(data, USER), IdMap.of_nodes(data, ITEM)
        self._seen = SeenItems(pairs_of(data, seen), len(self.users))
        self.user_emb, self.item_emb = encode(model, data)
        check_embeddings(self.user_emb, self.item_emb)
        self.num_trained_items = len(self.items)
        self._fair_scale: float | None = None

    @classmethod
    @checked
    def load(
        cls,
        folder: str | Path,
        data: str | Path | None = None,
        device: torch.device | str = "cpu",
        seen: Sequence[str] | str = ("train",),
        progress: bool = True,
    ) -> "Recommender":
        """The recommender of a trained run.

        Args:
            folder: The folder of the run.
            data: The folder of its data, where it isn't at its old place.
            device: Where to compute.
            seen: The splits whose pairs count as seen; name all three to leave out
                whatever a user is known to have.
            progress: Whether to show progress bars.

        Raises:
            FileNotFoundError: If the run or its data aren't there.
            InputError: If a file is damaged, or the data are others than it was trained on.
        """
        run = load_run(folder, data, device)
        raw = run.source.dataset[0].to(torch.device(device))
        if run.config.content is not None:
            raw = ContentVariant(**run.config.content)(raw)
        content = ItemContent(
            raw,
            ItemKNN(**run.config.graph) if run.config.graph is not None else None,
            CompactFeatures(**run.config.features) if run.config.features else None,
        )
        return cls(run.model, run.data, content, seen, progress)

    def recommend(
        self,
        user_ids: Ids | None = None,
        k: int = 20,
        exclude_seen: bool = True,
        allow: Ids | None = None,
        deny: Ids | None = None,
    ) -> Recommendations:
        """The k items of highest score for each user.

        Args:
            user_ids: One or several users; all if not given.
            k: Length of the lists. They are shorter where fewer items may appear.
            exclude_seen: Whether to leave out what a user has seen.
            allow: The only items that may appear.
            deny: Items that may not.

        Raises:
            InputError: If an id is unknown, or k isn't positive.
        """
        device = self.user_emb.device
        everyone = user_ids is None
        rows = torch.arange(len(self.users)) if everyone else self.users.rows(user_ids)
        seen = self._seen if exclude_seen else None
        return self._rank(
            self.user_emb, self.users.ids[rows.numpy()], rows.to(device), k, seen, allow, deny
        )

    def recommend_new_users(
        self,
        histories: Mapping[Any, Ids],
        k: int = 20,
        exclude_seen: bool = True,
        allow: Ids | None = None,
        deny: Ids | None = None,
    ) -> Recommendations:
        """The k items of highest score for users that training didn't see.

        Further arguments are those of :meth:`recommend`; seen are the items of the
        history.

        Args:
            histories: By any name the items that a user is known to like; see
                :meth:`embed_users`. The lists bear the same names.

        Raises:
            InputError: If an item is unknown, a history empty, or k isn't positive.
        """
        pairs = history_pairs(self.items, histories).to(self.item_emb.device)
        queries = np.fromiter(histories, dtype=object, count=len(histories))
        seen = SeenItems(pairs, len(queries)) if exclude_seen else None
        users = torch.arange(len(queries), device=pairs.device)
        emb = fold_in(self.item_emb, pairs, len(queries))
        return self._rank(emb, queries, users, k, seen, allow, deny)

    def embed_users(self, histories: Mapping[Any, Ids]) -> Tensor:
        """Embeddings [n, C] of users that training didn't see, the means of their items';
        see :func:`~mentor_pyg.serving.new_users.fold_in`.

        Raises:
            InputError: If an item is unknown or a history empty.
        """
        pairs = history_pairs(self.items, histories).to(self.item_emb.device)
        return fold_in(self.item_emb, pairs, len(histories))

    def similar_items(
        self, item_ids: Ids, k: int = 20, allow: Ids | None = None, deny: Ids | None = None
    ) -> Recommendations:
        """The k items whose embeddings have the highest cosine with each item's.

        Further arguments are those of :meth:`recommend`.

        Args:
            item_ids: One or several items; none is on its own list.
        """
        rows = self.items.rows(item_ids)
        unit = normalize(self.item_emb)
        queries = torch.arange(rows.numel())
        own = SeenItems(torch.stack([queries, rows]).to(unit.device), rows.numel())
        return self._rank(
            unit[rows.to(unit.device)],
            self.items.ids[rows.numpy()],
            queries.to(unit.device),
            k,
            own,
            allow,
            deny,
            item_emb=unit,
            names=("item", "similar_item"),
        )

    def _rank(
        self,
        user_emb: Tensor,
        queries: np.ndarray,
        users: Tensor,
        k: int,
        seen: SeenItems | None,
        allow: Ids | None,
        deny: Ids | None,
        item_emb: Tensor | None = None,
        names: tuple[str, str] = ("user", "item"),
    ) -> Recommendations:
        k = check_value(k, Length, "k")
        item_emb = self.item_emb if item_emb is None else item_emb
        candidates = self._candidates(allow, deny)
        ranking = rank(user_emb, item_emb, users, k, seen, candidates, self.progress)
        return Recommendations.from_ranking(queries, ranking, self.items, names)

    def _candidates(self, allow: Ids | None, deny: Ids | None) -> Tensor | None:
        if allow is None and deny is None:
            return None
        allowed = torch.full((len(self.items),), allow is None)
        if allow is not None:
            allowed[self.items.rows(allow)] = True
        if deny is not None:
            allowed[self.items.rows(deny)] = False
        return allowed.nonzero().squeeze(1).to(self.item_emb.device)

    def add_items(
        self,
        ids: Ids,
        features: Mapping[str, Any],
        masks: Mapping[str, Any] | None = None,
        scale: Scale = "fair",
    ) -> "Recommender":
        r"""A recommender that ranks new items, too, without further training.

        They are embedded by the model's encoder from their features and, over the item
        graphs, from the k trained items most alike. All other embeddings stay as they
        are, bit for bit.

        What a new item lacks are its users' messages: on TikTok its embedding is a sixth
        shorter than a trained item's, and that keeps it off practically all lists. It is
        therefore multiplied by ``scale``. :obj:`"fair"` finds, on trained items, the
        factor that gives new items as many places as their number deserves; see
        :func:`~mentor_pyg.serving.new_items.fair_scale`. A higher one promotes new items
        at the others' expense, 1 leaves the embeddings as the encoder makes them.

        Args:
            ids: Original ids of the n new items, of the same kind as the others.
            features: Raw features [n, D_m] by modality; what isn't there is missing.
            masks: Bool [n] by modality, False where an item's features are missing.
            scale: Factor of the new embeddings.

        Raises:
            InputError: If the model uses no content, an id is there already or twice, the
                features don't fit those it was trained on, the scale isn't positive, or an
                embedding isn't finite.
        """
        if not self.model.uses_content:
            raise InputError(
                f"{type(self.model).__name__}: uses no content, so new items can't be embedded; "
                "expected a model like MENTOR"
            )
        if self.content is None:
            raise InputError("new items: can't be embedded; expected `content` for the Recommender")
        scale = check_value(scale, Scale, "scale")
        new_ids = self._check_new(ids)
        x, mask = check_features(self.content.raw, new_ids, features, masks)
        factor = self.fair_item_scale() if scale == "fair" else scale

        new = copy(self)
        new.data = self.content.append(self.data, x, mask)
        all_ids = np.concatenate([self.items.ids, new_ids])
        new.data[ITEM].original_id = (
            torch.from_numpy(all_ids) if self.items.is_numeric else OriginalIds(all_ids.tolist())
        )
        new.items = IdMap(all_ids, "item")
        added = encode(self.model, new.data)[1][len(self.items) :]
        new.item_emb = torch.cat([self.item_emb, factor * added])
        check_embeddings(new.user_emb, new.item_emb)
        return new

    def _check_new(self, ids: Ids) -> np.ndarray:
        new_ids = self.items.convert(ids)
        if new_ids.size == 0:
            raise InputError("new items: there are none; expected at least one id")
        IdMap(new_ids, "new item")  # each once
        known = self.items.find(new_ids).numpy() >= 0
        if known.any():
            raise InputError(f"new item '{new_ids[known][0]}': is known; expected new ids")
        return new_ids

    def fair_item_scale(self) -> float:
        """What :obj:`"fair"` stands for in :meth:`add_items`; computed once."""
        if self._fair_scale is None:
            trained = self.item_emb[: self.num_trained_items]
            rows = torch.arange(0, len(trained), COPY_EVERY, device=trained.device)
            copies = encode(self.model, append_copies(self.data, rows))[1][len(self.items) :]
            self._fair_scale = fair_scale(self.user_emb, trained, copies, rows, self._seen)
        return self._fair_scale
