"""Recommend items by a trained run.

  mentor-pyg recommend runs/toys --user A1B2 C3D4 --k 10
  mentor-pyg recommend runs/toys --all-users --out lists.parquet
  mentor-pyg recommend runs/toys --items-of-new-user B001,B002
  mentor-pyg recommend runs/toys --similar-to B001
  mentor-pyg recommend runs/toys --new-items arrivals --user A1B2 --allow arrivals/item_ids.txt
  mentor-pyg recommend runs/toys --embeddings out --faiss out/items.index

Files of ids have one a line. Ids may begin with a dash; --items-of-new-user takes those with
commas in quotes: '"Smith, John",B001'. A folder of new items holds item_ids.txt and, in the
same order, <stem>_feat.npy (and <stem>_mask.npy) as the data does.
"""

import argparse
from pathlib import Path
from typing import Any

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.extras import optional
from mentor_pyg._util.file_sets import check_targets
from mentor_pyg.cli import Output, expanded
from mentor_pyg.cli.arguments import identifier, split_ids
from mentor_pyg.datasets.features import find_features, read_features, read_ids
from mentor_pyg.errors import InputError, shown
from mentor_pyg.serving import Recommendations, Recommender
from mentor_pyg.serving.export import embedding_files, faiss_files, save_embeddings, save_faiss
from mentor_pyg.serving.recommendations import check_format
from mentor_pyg.typing import SPLITS

NEW_USER = "new user"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="RUN", type=expanded, help="folder of a trained run")
    parser.add_argument(
        "--data", type=expanded, help="folder of its data, where it isn't at its old place"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    whom = parser.add_argument_group("for whom").add_mutually_exclusive_group()
    whom.add_argument(
        "--user", nargs="+", action="extend", type=identifier, metavar="ID", help="these users"
    )
    whom.add_argument("--users", metavar="FILE", type=expanded, help="the users in a file")
    whom.add_argument("--all-users", action="store_true", help="all users of the data")
    whom.add_argument(
        "--items-of-new-user",
        type=identifier,
        metavar="ID,ID",
        help='somebody new who likes these items; ids with commas in quotes: a,"b, c"',
    )
    whom.add_argument(
        "--similar-to", type=identifier, metavar="ID", help="the items most like this one"
    )
    what = parser.add_argument_group("what")
    what.add_argument("--k", type=int, default=20, help="length of the lists (default: 20)")
    what.add_argument(
        "--new-items", metavar="FOLDER", type=expanded, help="add items that training didn't see"
    )
    what.add_argument(
        "--new-scale",
        default="fair",
        help="factor of their embeddings; fair gives them their share of places (default: fair)",
    )
    what.add_argument(
        "--allow", metavar="FILE", type=expanded, help="the only items that may appear"
    )
    what.add_argument("--deny", metavar="FILE", type=expanded, help="items that may not")
    what.add_argument("--include-seen", action="store_true", help="seen items, too")
    what.add_argument(
        "--seen",
        nargs="+",
        choices=SPLITS,
        default=["train"],
        metavar="SPLIT",
        help=f"splits whose pairs count as seen, out of {', '.join(SPLITS)} (default: train)",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--out", metavar="FILE", type=expanded, help="lists, as .csv, .jsonl or .parquet"
    )
    files.add_argument(
        "--safe-csv",
        action="store_true",
        help="put ' before ids that a spreadsheet would take for formulas (=, +, -, @)",
    )
    files.add_argument(
        "--embeddings", metavar="DIR", type=expanded, help="embeddings as .npy, with their ids"
    )
    files.add_argument(
        "--faiss", metavar="FILE", type=expanded, help="items as an inner-product index of FAISS"
    )


def run(args: argparse.Namespace) -> Output:
    _check(args)
    recommender = Recommender.load(
        args.folder, args.data, choose_device(args.device), args.seen, progress=not args.quiet
    )
    if args.new_items:
        recommender = _add_items(recommender, Path(args.new_items), args.new_scale)
    lists = _recommend(recommender, args)
    written = _write(recommender, lists, args)
    if lists is None or args.out:
        lines = [f"{what} written to {path}" for what, path in written.items()]
        return Output("\n".join(lines), written)
    return Output(str(lists), {"lists": lists.to_records(), **written})


def _check(args: argparse.Namespace) -> None:
    """What can be told before the run is loaded."""
    if not (_asks(args) or args.embeddings or args.faiss):
        raise InputError(
            "nothing is asked for; expected --user, --users, --all-users, --items-of-new-user, "
            "--similar-to, --embeddings or --faiss"
        )
    if args.out:
        if not _asks(args):
            raise InputError(f"--out {args.out}: there are no lists; expected --user or the like")
        check_format(args.out)
    if args.safe_csv and Path(args.out or "").suffix != ".csv":
        raise InputError(f"--safe-csv: --out is {args.out}; expected a .csv file")
    if args.faiss:
        optional("faiss")
    targets = embedding_files(args.embeddings) if args.embeddings else []
    targets += faiss_files(args.faiss) if args.faiss else []
    targets += [Path(args.out)] if args.out else []
    check_targets(targets)


def _asks(args: argparse.Namespace) -> bool:
    return bool(
        args.user or args.users or args.all_users or args.items_of_new_user or args.similar_to
    )


def _recommend(recommender: Recommender, args: argparse.Namespace) -> Recommendations | None:
    filters: dict[str, Any] = {
        "allow": _read_ids(args.allow) if args.allow else None,
        "deny": _read_ids(args.deny) if args.deny else None,
    }
    if args.similar_to:
        return recommender.similar_items(args.similar_to, args.k, **filters)
    filters["exclude_seen"] = not args.include_seen
    if args.items_of_new_user:
        history = _history(recommender, args.items_of_new_user)
        return recommender.recommend_new_users({NEW_USER: history}, args.k, **filters)
    if args.all_users:
        return recommender.recommend(None, args.k, **filters)
    if args.user or args.users:
        users = args.user or _read_ids(args.users)
        return recommender.recommend(users, args.k, **filters)
    return None


def _history(recommender: Recommender, text: str) -> list[str]:
    history, items = split_ids("--items-of-new-user", text), recommender.items
    if "," in text and not items.is_numeric and items.find(text) >= 0 > items.find(history).min():
        raise InputError(
            f"--items-of-new-user: {shown(text)} is one id with a comma; expected it in quotes, "
            f"'\"{text}\"'"
        )
    return history


def _add_items(recommender: Recommender, folder: Path, scale: str) -> Recommender:
    ids = _read_ids(folder / "item_ids.txt")
    found = {m: read_features(path, len(ids)) for m, path in find_features(folder).items()}
    try:
        factor: Any = scale if scale == "fair" else float(scale)
    except ValueError:
        raise InputError(f"--new-scale: is {shown(scale)}; expected 'fair' or a number") from None
    features = {m: x for m, (x, _) in found.items()}
    return recommender.add_items(ids, features, {m: mask for m, (_, mask) in found.items()}, factor)


def _read_ids(path: str | Path) -> list[str]:
    ids = read_ids(Path(path))
    if ids is None:
        raise FileNotFoundError(f"{path}: not found; expected a file with an id a line")
    return ids


def _write(
    recommender: Recommender, lists: Recommendations | None, args: argparse.Namespace
) -> dict[str, str]:
    """Writes what was asked for; the files by what they hold."""
    written = {}
    if args.embeddings:
        save_embeddings(recommender, args.embeddings)
        written["embeddings"] = args.embeddings
    if args.faiss:
        save_faiss(recommender, args.faiss)
        written["index"] = args.faiss
    if args.out and lists is not None:
        lists.save(args.out, args.safe_csv)
        written["lists"] = args.out
    return written
