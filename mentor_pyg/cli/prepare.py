"""Runs ``mentor-pyg prepare``."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from mentor_pyg._util.files import check_readable
from mentor_pyg.cli import Output, expanded
from mentor_pyg.datasets.problems import MissingColumn
from mentor_pyg.errors import InputError, shown
from mentor_pyg.preparation import (
    AmazonImages,
    ImageFolder,
    InteractionTable,
    ItemTexts,
    PrepareSettings,
    ReadyFeatures,
    amazon_reviews,
    amazon_texts,
    encode_images,
    encode_texts,
    find_amazon,
    find_microlens,
    find_splits,
    prepare,
)
from mentor_pyg.preparation.encoders import check_batch_size
from mentor_pyg.preparation.features import Content
from mentor_pyg.preparation.run import InteractionSource

OF_SHAPE = ("k_core", "split", "held_out", "seed", "duplicates", "min_rating")
"""Options that don't go with splits that are given."""

OF_INTERACTIONS = ("user_column", "item_column", "time_column", "rating_column")
OF_ITEMS = ("item_id_column", "text_columns")
"""Options that name columns of a table."""


def run(args: argparse.Namespace) -> Output:
    check_batch_size(args.batch_size)
    interactions, contents = _source(args)
    contents = [*contents, *_contents(args)]
    unwanted = {"text"} if args.no_text else set()
    unwanted |= {"image"} if args.no_images else set()
    given = {name: getattr(args, name) for name in OF_SHAPE if getattr(args, name) is not None}
    if interactions.has_split and given:
        option = next(iter(given)).replace("_", "-")
        raise InputError(f"--{option}: doesn't go with a given split; expected no such option")
    given.pop("min_rating", None)
    try:
        report = prepare(
            interactions,
            [content for content in contents if content.stem not in unwanted],
            args.out,
            PrepareSettings(**given, on_error=args.on_error),
            name=args.name,
            force=args.force,
            progress=not args.quiet,
        )
    except MissingColumn as error:
        raise InputError(f"{error}{_other_name(args, error)}") from None
    return Output(f"{report}\nwritten to {args.out.resolve()}", report.to_dict())


def _other_name(args: argparse.Namespace, error: MissingColumn) -> str:
    """The options that name a column otherwise, for the end of a message."""
    is_of_items = args.items and str(error).startswith(f"{args.items}: ")
    names = OF_ITEMS if is_of_items else OF_INTERACTIONS
    given = [name for name in names if error.column in (getattr(args, name) or "").split(",")]
    return "".join(f", or another name by --{name.replace('_', '-')}" for name in given[:1])


def _source(args: argparse.Namespace) -> tuple[InteractionSource, list[Content]]:
    """Where the interactions are, and the content that lies beside them."""
    source = args.source
    if (source is None) == (args.reviews is None):
        raise InputError("SOURCE: none or two are named; expected SOURCE or --reviews")
    if source is None:
        return amazon_reviews(args.reviews, args.min_rating), []
    check_readable(source, "raw files")
    if not source.is_dir():
        return InteractionTable(
            [source],
            args.user_column,
            args.item_column,
            args.time_column,
            args.rating_column,
            args.min_rating,
        ), []
    if splits := find_splits(source):
        return splits, list(splits.contents())
    if found := find_microlens(source, args.min_rating, _text_encoder(args)):
        return found
    amazon = find_amazon(source)
    contents: list[Content] = []
    if amazon.images and not args.images:
        contents.append(AmazonImages(amazon.images))
    if amazon.meta and not args.meta:
        contents.append(amazon_texts(amazon.meta, _text_encoder(args)))
    return amazon_reviews(amazon.reviews, args.min_rating), contents


def _contents(args: argparse.Namespace) -> list[Content]:
    """The content that options name."""
    contents: list[Content] = []
    if args.images:
        contents.append(AmazonImages(args.images))
    if args.meta:
        contents.append(amazon_texts(args.meta, _text_encoder(args)))
    if args.items:
        if not args.text_columns:
            raise InputError("--items: without columns of text; expected --text-columns")
        columns = args.text_columns.split(",")
        if not all(columns):
            raise InputError(
                f"--text-columns: is {shown(args.text_columns)}; expected names with commas "
                "between them"
            )
        encode = _text_encoder(args)
        contents.append(ItemTexts([args.items], args.item_id_column, columns, encode))
    if args.image_folder:
        encode_all = partial(
            encode_images,
            model=args.image_model,
            batch_size=args.batch_size,
            skip_broken=args.on_error == "skip",
        )
        contents.append(ImageFolder(args.image_folder, encode_all))
    for text in args.features:
        stem, separator, path = text.partition("=")
        if not separator or not path:
            raise InputError(f"--features: is {shown(text)}; expected STEM=FILE")
        if args.feature_ids is None:
            raise InputError(f"--features: no ids for {path}; expected --feature-ids")
        contents.append(ReadyFeatures(Path(expanded(path)), stem, args.feature_ids))
    return contents


def _text_encoder(args: argparse.Namespace) -> "partial[Any]":
    return partial(encode_texts, model=args.text_model, batch_size=args.batch_size)
