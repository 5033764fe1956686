"""Recommendations from a trained model, for known and new users."""

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from mentor_pyg._util.option_words import Words
from mentor_pyg.datasets.check import check_graph
from mentor_pyg.datasets.original_ids import OriginalIds
from mentor_pyg.errors import InputError
from mentor_pyg.evaluation.metrics import encode
from mentor_pyg.evaluation.ranking import SeenItems, check_embeddings, rank
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
from mentor_pyg.serving.new_users import history_pairs
from mentor_pyg.serving.recommendations import Recommendations
from mentor_pyg.serving.seen import pairs_of
from mentor_pyg.transforms import CompactFeatures, ContentVariant, ItemKNN
from mentor_pyg.typing import ITEM, USER

Length = Annotated[Count, Words("1 or more items per list")]
Scale = Positive | Literal["fair"]


class Recommender:
    """Recommends items by original IDs. Embeddings are computed once, in the constructor.

    .. code-block:: python

        rec = Recommender.load("runs/toys")
        rec.recommend(["A1B2", "C3D4"], k=10).to_dict()

    Args:
        model: A trained model.
        data: Its training data, with graphs.
        content: Settings for new items, which are required to add them.
        seen: Splits whose pairs count as seen.
        progress: Whether to show progress bars.

    Raises:
        InputError: If the data have no original IDs, a split does not exist, or an embedding is
            not finite.

    Attributes:
        users, items: Original IDs by row.
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
        check_graph(data)
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
        """Loads the recommender of a trained run.

        Args:
            folder: Folder of the run.
            data: Folder of its data, if they were moved.
            device: Device to compute on.
            seen: Splits whose pairs count as seen; give all three to exclude all known items of
                a user.
            progress: Whether to show progress bars.

        Raises:
            FileNotFoundError: If the run or its data do not exist.
            InputError: If a file is damaged, or the data differ from the training data.
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
        """Recommends the k items of highest score to each user.

        Args:
            user_ids: One or several users; all if not given.
            k: Length of the lists; they are shorter where fewer items are available.
            exclude_seen: Whether to exclude items that a user has seen.
            allow: Items to choose from; all if not given.
            deny: Items to exclude.

        Raises:
            InputError: If an ID is unknown, or k is not positive.
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
        """Recommends the k items of highest score to users who were not in the training data.

        Their seen items are those of the history. For further arguments see :meth:`recommend`.

        Args:
            histories: Items that a user is known to like, by any name of the user, which also
                names the list; see :meth:`embed_users`.

        Raises:
            InputError: If an item is unknown, a history is empty, or k is not positive.
        """
        pairs = history_pairs(self.items, histories).to(self.item_emb.device)
        queries = np.fromiter(histories, dtype=object, count=len(histories))
        seen = SeenItems(pairs, len(queries)) if exclude_seen else None
        users = torch.arange(len(queries), device=pairs.device)
        emb = self.model.fold_in(self.item_emb, pairs, len(queries))
        return self._rank(emb, queries, users, k, seen, allow, deny)

    def embed_users(self, histories: Mapping[Any, Ids]) -> Tensor:
        """Embeds new users [n, C] by their items; see
        :meth:`BaseRecommender.fold_in() <mentor_pyg.BaseRecommender.fold_in>`.

        Raises:
            InputError: If an item is unknown, or a history is empty.
        """
        pairs = history_pairs(self.items, histories).to(self.item_emb.device)
        return self.model.fold_in(self.item_emb, pairs, len(histories))

    def similar_items(
        self, item_ids: Ids, k: int = 20, allow: Ids | None = None, deny: Ids | None = None
    ) -> Recommendations:
        """Finds the k most similar items of each item, by cosine unless the model defines
        similarities of its own; see
        :meth:`BaseRecommender.similar() <mentor_pyg.BaseRecommender.similar>`.

        Args:
            item_ids: One or several items, which are not on their own lists.
            k: As for :meth:`recommend`.
            allow: As for :meth:`recommend`.
            deny: As for :meth:`recommend`.
        """
        rows = self.items.rows(item_ids)
        device = self.item_emb.device
        query_emb, item_emb = self.model.similar(self.item_emb, rows.to(device))
        queries = torch.arange(rows.numel())
        own = SeenItems(torch.stack([queries, rows]).to(device), rows.numel())
        return self._rank(
            query_emb,
            self.items.ids[rows.numpy()],
            queries.to(device),
            k,
            own,
            allow,
            deny,
            item_emb=item_emb,
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
        r"""Returns a recommender that also ranks new items, without further training.

        New items are embedded by the model's encoder from their features and, over the item
        graphs, from the k most similar trained items. Other embeddings do not change.

        New items receive no messages from users, so their embeddings are shorter (by a sixth
        on TikTok), which keeps them off nearly all lists. Their embeddings are therefore
        multiplied by ``scale``. :obj:`"fair"` calibrates on trained items the factor that
        gives new items their share of places; see
        :func:`~mentor_pyg.serving.new_items.fair_scale`. Larger factors promote new items at
        the expense of others; 1 keeps the encoder's output.

        Args:
            ids: Original IDs of the n new items, of the same type as the others.
            features: Raw features [n, D_m] by modality; other modalities are missing.
            masks: Bool [n] by modality, False where an item has no features.
            scale: Factor of the new embeddings.

        Raises:
            InputError: If the model does not use content, an ID exists already or is repeated,
                features do not fit the training data, the scale is not positive, or an embedding
                is not finite.
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
        IdMap(new_ids, "new item")  # checks for duplicates
        known = self.items.find(new_ids).numpy() >= 0
        if known.any():
            raise InputError(f"new item '{new_ids[known][0]}': is known; expected new ids")
        return new_ids

    def fair_item_scale(self) -> float:
        """Value of :obj:`"fair"` in :meth:`add_items`, computed once."""
        if self._fair_scale is None:
            trained = self.item_emb[: self.num_trained_items]
            rows = torch.arange(0, len(trained), COPY_EVERY, device=trained.device)
            copies = encode(self.model, append_copies(self.data, rows))[1][len(self.items) :]
            self._fair_scale = fair_scale(self.user_emb, trained, copies, rows, self._seen)
        return self._fair_scale
