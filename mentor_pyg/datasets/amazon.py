"""Amazon Baby, Sports and Clothing, as published with the MMRec toolbox."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mentor_pyg.datasets.download import RemoteFile, download
from mentor_pyg.datasets.features import MODALITY_NAMES, SUFFIX
from mentor_pyg.datasets.mmrec import MMRecDataset
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked

FOLDER = "https://drive.google.com/drive/folders/"
FILE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="


@checked
class AmazonDataset(MMRecDataset):
    r"""A category of the Amazon reviews, in the version that most papers compare on.

    It holds the pairs of the 5-core, split per user, with 4096-d visual features of a
    convolutional network and 384-d textual features of a sentence transformer, published with
    the `MMRec <https://arxiv.org/abs/2302.03497>`_ toolbox. Items without an image have the
    mean of the others' visual features, and no mask marks them.

    Files missing in ``root/<name>`` are downloaded; existing ones are not changed. Sources are
    ``url``, the environment variable ``MENTOR_PYG_MIRROR``, or the authors' own address, in
    this order. Files are accepted only with the known SHA-256, so mirrors need not be trusted.

    Args:
        root: Parent folder of the dataset's folder.
        modalities: Modalities to download and load; all if not given.
        transform: Applied at each access.
        pre_transform: Applied once, before caching.
        force_reload: Whether to ignore the cache.
        url: Address of a mirror with ``<name>/<file>``.
        progress: Whether to show progress bars.

    Raises:
        InputError: If a file is missing and cannot be downloaded; the message says where
            to get it manually.
    """

    category: ClassVar[str]
    page: ClassVar[str]
    files: ClassVar[tuple[RemoteFile, ...]]
    """The table comes last, so that incomplete folders are not taken for a dataset."""

    def __init__(
        self,
        root: str | Path = "data",
        modalities: Sequence[str] | None = None,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        force_reload: bool = False,
        url: str | None = None,
        progress: bool = True,
    ) -> None:
        folder = Path(os.path.expanduser(root)) / self.category
        download(self._wanted(modalities), folder, self.page, url, progress)
        super().__init__(folder, self.category, modalities, transform, pre_transform, force_reload)

    def _wanted(self, modalities: Sequence[str] | None) -> list[RemoteFile]:
        *features, table = self.files
        if modalities is None:
            return [*features, table]
        stems = (file.name.removesuffix(SUFFIX) for file in features)
        published = dict(zip((MODALITY_NAMES[stem] for stem in stems), features))
        for modality in modalities:
            if modality not in published:
                raise InputError(
                    f"{self.category}: has no modality '{modality}'; expected "
                    f"{' or '.join(published)}"
                )
        return [*(published[modality] for modality in modalities), table]


# Checksums are those of the Git LFS pointers in data/ of
# github.com/phamuyen171/22CQ-MultimodalRecommendation (commit 2452e9d), except that of
# baby.inter. The authors publish none.
# - Baby: several other projects list the same checksums for their downloads, including that of
#   baby.inter, with the file IDs on the authors' drive.
# - Sports: another project lists the same for the two arrays.
# - Clothing: there is no second source.
# The tables there use CRLF; with LF, their sizes equal those of the copies in data/ of
# github.com/sunflower82/5090_Professional_Original_paper_MMHCL_randoms (commit b8bda5a).
# github.com/HubuKG/HEARec links the drive's folders, and early versions of
# github.com/enoche/BM3 Baby's; github.com/enoche/MMRec links their parent folder.


class AmazonBaby(AmazonDataset):
    """19,445 users, 7,050 items, 160,792 pairs; 250 MB. See :class:`AmazonDataset`."""

    category = "baby"
    page = f"{FOLDER}1Fk21441EO1l7wgOOARh2thu4FjgtKWQp"
    files = (
        RemoteFile(
            "text_feat.npy",
            10_828_928,
            "6667f2ad655c9ecc97cb3383f58988864ef51ec0b39c158b15986c66769f2dc4",
            f"{FILE}1EP-Ro9Lq-RQV_Urrh8Xpa-mvr635tytj",
        ),
        RemoteFile(
            "image_feat.npy",
            231_014_528,
            "36c3be592b98506189a7d5de71b21577cf626f0293b539d861534673b3e9fd70",
            f"{FILE}103Pxo73naIwmKI6CR71d3t7A5k-lpk9c",
        ),
        RemoteFile(
            "baby.inter",
            4_362_239,
            "e0abb033ea5cc538bb2becd8c3dc50b619f28f7974ba61f5ed11ce27cf405940",
            f"{FILE}1i2IB2bdxu_jMSxr2IvZ04MG54ySgI2JN",
        ),
    )


class AmazonSports(AmazonDataset):
    """35,598 users, 18,357 items, 296,337 pairs; 640 MB. See :class:`AmazonDataset`."""

    category = "sports"
    page = f"{FOLDER}1iJtyDmgeYdZsvO5297dNafyPDya21e8D"
    files = (
        RemoteFile(
            "text_feat.npy",
            28_196_480,
            "27d6087f0d8644b8245c60052425530c6446dffe61024b8126db0009ad94de84",
        ),
        RemoteFile(
            "image_feat.npy",
            601_522_304,
            "222f924a0694b6c7e2bc26ea4bc2ef4ec89f7045aa5105ef463af8455c7a7695",
        ),
        RemoteFile(
            "sports.inter",
            8_574_721,
            "2ee5b37ea88672ef94660db3e85f37cef0efa57536aa6e1f4e1b2986e63d53bb",
        ),
    )


class AmazonClothing(AmazonDataset):
    """39,387 users, 23,033 items, 278,677 pairs; 800 MB. See :class:`AmazonDataset`."""

    category = "clothing"
    page = f"{FOLDER}1Suzbyc26BEPPLQJzT_5-EDz_wMf6r7u6"
    files = (
        RemoteFile(
            "text_feat.npy",
            35_378_816,
            "17d9e036514283fb0a0dda71789fe56d0c128b60d8f350e7b7ab83ac4c5960dd",
        ),
        RemoteFile(
            "image_feat.npy",
            754_745_472,
            "050ea2d0d05bdd441053cc4d9ac38fd570c9611cc49357f442c1c7b8c9943fbc",
        ),
        RemoteFile(
            "clothing.inter",
            8_119_186,
            "f9fe8f98a7b7ebc04fa151803bbc37c6e184b30f2d56d54c491695cf990e869c",
        ),
    )


BY_NAME = {cls.category: cls for cls in (AmazonBaby, AmazonSports, AmazonClothing)}
"""The datasets by their usual names in papers."""
