import hashlib
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mentor_pyg.datasets import MMRecDataset
from mentor_pyg.datasets.amazon import BY_NAME, AmazonBaby, AmazonClothing, AmazonSports
from mentor_pyg.errors import InputError
from mentor_pyg.typing import INTERACTS, ITEM, modalities

SIZES = {"baby": (7050, 160_792), "sports": (18_357, 296_337), "clothing": (23_033, 278_677)}
"""Items and pairs, of Table 1 of the paper."""


@pytest.fixture(autouse=True)
def no_mirror(monkeypatch):
    monkeypatch.delenv("MENTOR_PYG_MIRROR", raising=False)


def test_names():
    assert [BY_NAME[name] for name in SIZES] == [AmazonBaby, AmazonSports, AmazonClothing]
    assert all(cls.category == name for name, cls in BY_NAME.items())


@pytest.mark.parametrize("name", BY_NAME)
def test_sizes_are_those_of_the_arrays(name):
    num_items, num_pairs = SIZES[name]
    text, image, table = BY_NAME[name].files
    header = 128
    assert text[:2] == ("text_feat.npy", header + num_items * 384 * 4)
    assert image[:2] == ("image_feat.npy", header + num_items * 4096 * 8)
    assert table.name == f"{name}.inter"
    assert table.size / num_pairs == pytest.approx(28.5, abs=2)  # bytes of a line
    for file in BY_NAME[name].files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_checksums_differ():
    checksums = [file.sha256 for cls in BY_NAME.values() for file in cls.files]
    assert len(set(checksums)) == 9


@pytest.fixture
def baby_folder(tmp_path, write_mmrec):
    """A folder with a small dataset in place of Baby."""
    return write_mmrec(tmp_path / "data" / "baby", name="baby")


def test_is_an_mmrec_dataset(baby_folder, monkeypatch):
    monkeypatch.chdir(baby_folder.parents[1])
    dataset = AmazonBaby()
    assert str(dataset) == "AmazonBaby()"
    assert dataset.name == "baby"
    expected = MMRecDataset(baby_folder)[0]
    assert dataset[0].to_dict().keys() == expected.to_dict().keys()
    np.testing.assert_array_equal(dataset[0][ITEM].x_visual, expected[ITEM].x_visual)
    assert AmazonBaby(baby_folder.parent, transform=lambda data: "transformed")[0] == "transformed"


def test_needs_the_files_of_its_modalities_alone(baby_folder):
    (baby_folder / "image_feat.npy").unlink()
    dataset = AmazonBaby(baby_folder.parent, modalities=["textual"])
    assert modalities(dataset[0]) == ["textual"]
    assert modalities(AmazonBaby(baby_folder.parent, modalities=[])[0]) == []
    with pytest.raises(InputError, match="has no modality 'acoustic'; expected textual or visual"):
        AmazonBaby(baby_folder.parent, modalities=["acoustic"])


@pytest.mark.parametrize("dataset", [AmazonSports, AmazonClothing])
def test_says_where_to_get_the_files(tmp_path, dataset):
    with pytest.raises(InputError) as error:
        dataset(tmp_path)
    assert f"{tmp_path}/{dataset.category}/text_feat.npy: not found" in str(error.value)
    assert dataset.page in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(baby_folder):
    """Address of a server for what lies above the folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=baby_folder.parent))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_downloads_from_a_mirror(baby_folder, tmp_path, mirror, monkeypatch):
    """As with the published files, but small ones."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    files = []
    for file in AmazonBaby.files:
        content = (baby_folder / file.name).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(file._replace(size=len(content), sha256=sha256))
    monkeypatch.setattr(AmazonBaby, "files", tuple(files))
    data = AmazonBaby(tmp_path / "new", url=mirror, progress=False)[0]
    expected = MMRecDataset(baby_folder)[0]
    assert modalities(data) == ["textual", "visual"]
    np.testing.assert_array_equal(data[ITEM].x_textual, expected[ITEM].x_textual)
    np.testing.assert_array_equal(data[INTERACTS].edge_index, expected[INTERACTS].edge_index)

    monkeypatch.setenv("MENTOR_PYG_MIRROR", mirror)
    AmazonBaby(tmp_path / "text", modalities=["textual"])
    found = sorted(path.name for path in (tmp_path / "text" / "baby").iterdir())
    assert found == ["baby.inter", "text_feat.npy"]


def test_takes_nothing_else_from_a_mirror(tmp_path, mirror, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(InputError, match=r"text_feat\.npy: can't be downloaded .* sha256"):
        AmazonBaby(tmp_path / "new", url=mirror, progress=False)
    assert list((tmp_path / "new" / "baby").iterdir()) == []
