"""Image files give the pixels that a viewer shows."""

import json
import os
import unicodedata

import numpy as np
import pytest
import torch
from raw_files import encode, lines, write

from mentor_pyg import InputError
from mentor_pyg.preparation import ImageFolder, InteractionTable, PrepareSettings, prepare
from mentor_pyg.preparation.encoders import ImageEncoder, encode_images
from mentor_pyg.preparation.pictures import ENDINGS, NOT_READ, read_picture

image = pytest.importorskip("PIL.Image")

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
RGB = np.stack([RAMP, RAMP[::-1].T, 255 - RAMP], axis=2)
DEEP = RAMP.astype(np.uint16) * 257
DISC = ((np.indices((64, 64)) - 32) ** 2).sum(axis=0) < 400


def grey(values):
    return np.repeat(values[:, :, None], 3, axis=2)


ON_WHITE = np.where(DISC[:, :, None], RGB, np.uint8(255))
PALETTE = image.fromarray(RGB).quantize(16)
FIRST_CLEAR = np.asarray(PALETTE.convert("RGB")).copy()
FIRST_CLEAR[np.asarray(PALETTE) == 3] = 255
CLEAR_RAMP = np.where(RAMP[0, 5] == RAMP, 255, RAMP).astype(np.uint8)
FILES = {
    "8 bits": ("x.png", RAMP, {}, grey(RAMP)),
    "16 bits": ("x.png", DEEP, {}, grey(RAMP)),
    "16 bits in a TIFF": ("x.tif", DEEP, {}, grey(RAMP)),
    "16 bits in a PGM": ("x.pgm", DEEP, {}, grey(RAMP)),
    "16 bits and a clear level": (
        "x.png",
        DEEP,
        {"transparency": int(DEEP[0, 5])},
        grey(CLEAR_RAMP),
    ),
    "32 bits": ("x.tif", DEEP.astype(np.int32), {}, grey(RAMP)),
    "32 bits up to 255": ("x.tif", RAMP.astype(np.int32), {}, grey(RAMP)),
    "floats up to 1": ("x.tif", RAMP.astype(np.float32) / 255, {}, grey(RAMP)),
    "floats up to 255": ("x.tif", RAMP.astype(np.float32), {}, grey(RAMP)),
    "1 bit": ("x.png", DISC, {}, grey(DISC * np.uint8(255))),
    "alpha": ("x.png", np.dstack([RGB, DISC * np.uint8(255)]), {}, ON_WHITE),
    "alpha over black": (
        "x.png",
        np.dstack([RGB * DISC[:, :, None], DISC * np.uint8(255)]),
        {},
        ON_WHITE,
    ),
    "grey and alpha": (
        "x.png",
        np.dstack([RAMP, DISC * np.uint8(255)]),
        {},
        grey(np.where(DISC, RAMP, np.uint8(255))),
    ),
    "a clear level": ("x.png", RAMP, {"transparency": int(RAMP[0, 5])}, grey(CLEAR_RAMP)),
    "a palette": ("x.png", PALETTE, {}, np.asarray(PALETTE.convert("RGB"))),
    "a palette with a clear colour": ("x.png", PALETTE, {"transparency": 3}, FIRST_CLEAR),
    "a palette with alphas": (
        "x.png",
        PALETTE,
        {"transparency": bytes(0 if n == 3 else 255 for n in range(16))},
        FIRST_CLEAR,
    ),
    "a GIF with a clear colour": ("x.gif", PALETTE, {"transparency": 3}, FIRST_CLEAR),
    "CMYK": (
        "x.tif",
        image.fromarray(RGB).convert("CMYK"),
        {},
        RGB,
    ),
    "several frames": (
        "x.gif",
        image.fromarray(RAMP),
        {"save_all": True, "append_images": [image.fromarray(255 - RAMP)]},
        grey(RAMP),
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_pixels(tmp_path, case):
    name, picture, options, pixels = FILES[case]
    picture = picture if hasattr(picture, "save") else image.fromarray(picture)
    picture.save(tmp_path / name, **options)
    read = read_picture(tmp_path / name)
    assert read.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(read), pixels)


@pytest.mark.parametrize("orientation", range(1, 10))
@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_orientation(tmp_path, orientation, name):
    picture = image.fromarray(RGB[:40])
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / name, exif=exif)
    turned = RGB[:40].transpose(1, 0, 2) if orientation in range(5, 9) else RGB[:40]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / name)), turned)


def test_damaged_exif_is_no_damage_of_the_picture(tmp_path):
    image.fromarray(RGB).save(tmp_path / "x.png", exif=b"Exif\0\0MM\0*" + b"\xff" * 20)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "x.png")), RGB)


BROKEN = {
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "text": (lambda path: path.write_text("<html>"), "cannot identify"),
    "bomb": (lambda path: image.new("1", (80, 80)).save(path), r"6400 pixels\) exceeds limit"),
    "NaN": (
        lambda path: image.fromarray(np.full((4, 4), np.nan, np.float32)).save(path, "TIFF"),
        "grey levels from nan",
    ),
    "negative": (
        lambda path: image.fromarray(np.full((4, 4), -1, np.int32)).save(path, "TIFF"),
        "grey levels from -1 to -1",
    ),
    "EPS, which is a program": (
        lambda path: image.fromarray(RGB).save(path, "EPS"),
        "cannot identify",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(tmp_path, case, monkeypatch):
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 5000)
    make, message = BROKEN[case]
    make(tmp_path / "x.png")
    encoder = ImageEncoder(torch.nn.Flatten(), lambda picture: torch.zeros(3, 2, 2))
    with pytest.raises(InputError, match=rf"x\.png: can't be read \(.*{message}.*\); expected an"):
        encode_images([tmp_path / "x.png"], encoder, progress=False)


def test_pipes_and_folders_are_no_images(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    (tmp_path / "y.png").mkdir()
    for name, kind in (("x.png", "a pipe"), ("y.png", "a folder")):
        with pytest.raises(InputError, match=f"{name}: is {kind}; expected an image"):
            encode_images([tmp_path / name], skip_broken=True)


# Names ##################################################################


def test_every_ending_that_pillow_reads():
    image.init()
    known = {e for e, name in image.registered_extensions().items() if name in image.OPEN}
    not_read = {e for e, name in image.registered_extensions().items() if name in NOT_READ}
    assert known - not_read <= ENDINGS
    assert not not_read & ENDINGS


@pytest.fixture
def shop(tmp_path):
    """Interactions with eight items, two of them with an accent in one character."""
    ids = ["thé-vert", "café", "12", *(f"x{k}" for k in range(5))]
    rows = [f"u{u},{unicodedata.normalize('NFC', i)}" for u in range(8) for i in ids]
    write(tmp_path / "log.csv", lines(["u,i", *rows]))
    (tmp_path / "photos").mkdir()
    return tmp_path, ids


def coverage(folder, on_error="fail"):
    return prepare(
        InteractionTable([folder / "log.csv"], "u", "i"),
        [ImageFolder(folder / "photos", encode)],
        folder / "out",
        PrepareSettings(k_core=0, on_error=on_error),
        force=True,
        progress=False,
    )


def test_names_in_other_forms(shop):
    folder, ids = shop
    endings = [".png", ".tif", ".jfif", ".JPG", ".avif", ".jp2", ".TIFF", ".webp"]
    for item, ending in zip(ids, endings):
        (folder / "photos" / (unicodedata.normalize("NFD", item) + ending)).write_text(item)
    (folder / "photos" / "12.0.txt").write_text("notes")
    os.close(os.open(os.fsencode(folder / "photos") + b"/\xff\n.png", os.O_CREAT))
    assert coverage(folder).coverage == {"image": 1.0}


def test_photos_in_other_formats_are_reported(shop, caplog):
    """But not those of items that have another picture, or that aren't in the interactions."""
    folder, ids = shop
    for item in ids[2:]:
        (folder / "photos" / f"{item}.png").write_text(item)
    for item in (*ids[:3], "somebody"):
        (folder / "photos" / f"{item}.heic").write_text(item)
    (folder / "photos" / "café").mkdir()
    report = coverage(folder)
    assert report.coverage == {"image": 6 / 8}
    assert report.skipped == {"image of another format": 2}
    (example,) = report.examples.values()
    assert example == str(folder / "photos" / "café.heic")
    assert caplog.messages == [
        f"skipped: {example} ends in '.heic'; expected a format that Pillow reads"
    ]
    skipped = [line.strip() for line in str(report).splitlines() if "another" in line]
    assert skipped == [
        "skipped     image of another format 2",
        f"image of another format: e.g. {example}",
    ]
    written = json.loads((folder / "out" / "preparation.json").read_text())
    assert written["examples"] == {"image of another format": example}


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_what_is_named_like_an_image_but_is_none(shop, kind):
    folder, ids = shop
    for item in ids[1:]:
        (folder / "photos" / f"{item}.png").write_text(item)
    path = folder / "photos" / f"{ids[0]}.png"
    {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "dangling link": lambda: path.symlink_to("nowhere"),
    }[kind]()
    with pytest.raises(InputError, match=r"thé-vert.png isn't a file; expected an image"):
        coverage(folder)
    report = coverage(folder, "skip")
    assert report.coverage == {"image": 7 / 8}
    assert report.skipped == {"image isn't a file": 1}
