"""The files of MicroLens: a table of pairs, titles, and features."""

import re
from pathlib import Path

from mentor_pyg._util.files import check_folder
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.preparation.contents import Encode, ItemTexts, ReadyFeatures
from mentor_pyg.preparation.encoders import encode_texts
from mentor_pyg.preparation.features import Content
from mentor_pyg.preparation.interactions import InteractionTable

FEATURES = re.compile(r"([a-z]+)_features")
"""In names such as ``MicroLens-100k_title_en_text_features_BgeM3.npy``."""

FOLDERS = (".", "extracted_modality_features")
"""Where features lie; the second is their folder on the authors' server."""


@checked
def find_microlens(
    folder: Path, min_rating: float | None = None, encode: Encode[str] = encode_texts
) -> tuple[InteractionTable, list[Content]] | None:
    """The interactions and the content of a folder of MicroLens, None if it is no such folder.

    Pairs are in ``*_pairs.csv`` with the columns ``user``, ``item`` and ``timestamp``. Features
    are in ``*_<modality>_features_*.npy``, whose row i is of item i + 1; without features of
    texts, the titles in ``*_titles.csv`` are encoded.

    Args:
        folder: The folder.
        min_rating: Not possible, since there are no ratings.
        encode: The encoder of titles.

    Raises:
        InputError: If there are several files of pairs, or pairs without times.
    """
    check_folder(folder, "a folder")
    pairs = sorted(folder.glob("*_pairs.csv"))
    if not pairs:
        lists = sorted(folder.glob("*_pairs.tsv"))
        if not lists:
            return None
        raise InputError(
            f"{lists[0]}: has lists of items without times; expected "
            f"{lists[0].with_suffix('.csv').name} from the same page"
        )
    if len(pairs) > 1:
        names = ", ".join(path.name for path in pairs)
        raise InputError(f"{folder}: has {names}; expected one *_pairs.csv")
    contents: list[Content] = []
    for path in sorted(path for name in FOLDERS for path in (folder / name).glob("*.npy")):
        if found := FEATURES.search(path.name):
            contents.append(ReadyFeatures(path, found[1], first_item=1))
    titles = sorted(folder.glob("*_titles.csv"))
    if titles and "text" not in [content.stem for content in contents]:
        contents.append(ItemTexts(titles, "item", ["title"], encode))
    table = InteractionTable(pairs, "user", "item", "timestamp", min_rating=min_rating)
    return table, contents
