"""One page that shows runs side by side."""

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import mentor_pyg
from mentor_pyg._util.extras import optional
from mentor_pyg._util.files import check_writable, write_text
from mentor_pyg.choices import NUM_SAMPLED
from mentor_pyg.errors import InputError
from mentor_pyg.options import checked
from mentor_pyg.report.results import read_results
from mentor_pyg.report.sections import make_sections
from mentor_pyg.report.tables import overview_table, settings_table


@checked
def report_page(
    folders: Sequence[str | Path],
    data: str | Path | None = None,
    title: str | None = None,
    num_items: int = NUM_SAMPLED,
    seed: int = 0,
    progress: bool = True,
) -> str:
    """A page of HTML that needs no other file and no network.

    Args:
        folders: Finished runs.
        data: Folder of their data, where it isn't at its old place.
        title: Title of the page.
        num_items: Items whose embeddings are drawn by t-SNE, of models that have an
            embedding for each modality; none for 0.
        seed: Which ones, and the seed of t-SNE.
        progress: Whether to show progress bars.

    Raises:
        FileNotFoundError: If a run isn't there or not finished, or its data are gone.
        InputError: If a file is damaged, or the data are others than a run was trained on.
    """
    jinja2 = optional("jinja2")
    runs = read_results(folders)
    if not runs:
        raise InputError("no runs are named; expected at least one")
    sections = make_sections(runs, data, num_items, seed, progress)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mentor_pyg.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html").render(
        title=title or "Report of " + ", ".join(run.name for run in runs),
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=mentor_pyg.__version__,
        synthetic=[run.name for run in runs if run.is_synthetic],
        overview=overview_table(runs),
        sections=sections,
        settings=settings_table(runs),
    )


@checked
def write_report(folders: Sequence[str | Path], out: str | Path, **options: object) -> None:
    """Writes :func:`report_page` to a file.

    Args:
        folders: Finished runs.
        out: A ``.html`` file.
        **options: Further arguments of :func:`report_page`.

    Raises:
        FileNotFoundError, InputError: As :func:`report_page`, and if the file can't be
            written.
    """
    check_page(out)
    write_text(out, report_page(folders, **options))  # type: ignore[arg-type]


def check_page(path: str | Path) -> None:
    """Fails before any work if a page can't be written there.

    Raises:
        InputError: If it isn't a ``.html`` file in a writable folder.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise InputError(f"{path}: isn't a page; expected a .html file")
    check_writable(path.parent)
