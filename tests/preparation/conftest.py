import json

import pytest
from raw_files import ASINS, image, lines, meta, record, reviews, write


@pytest.fixture
def amazon(tmp_path):
    """A folder of Amazon's files: 10 users, 8 items, an image missing, a text missing."""
    folder = tmp_path / "raw"
    write(folder / "reviews_Toys_5.json.gz", lines(map(json.dumps, reviews())))
    write(folder / "meta_Toys.json.gz", lines(map(repr, meta())))
    records = [record(asin, image(n)) for n, asin in enumerate(ASINS[1:], 1)]
    write(folder / "image_features_Toys.b", b"".join([record("B0000OTHER", image(9)), *records]))
    return folder
