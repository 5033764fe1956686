"""Runs ``mentor-pyg recommend``."""

import argparse
from pathlib import Path
from typing import Any

from mentor_pyg._util.environment import choose_device
from mentor_pyg._util.extras import optional
from mentor_pyg._util.file_sets import check_targets
from mentor_pyg.cli import Output
from mentor_pyg.cli.parser import split_ids
from mentor_pyg.datasets.features import find_features, read_features, read_ids
from mentor_pyg.errors import InputError, shown
from mentor_pyg.serving import Recommendations, Recommender
from mentor_pyg.serving.export import embedding_files, faiss_files, save_embeddings, save_faiss
from mentor_pyg.serving.recommendations import check_format

NEW_USER = "new user"


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
        raise FileNotFoundError(f"{path}: not found; expected a file with one id per line")
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
