import sys
from itertools import pairwise

import pytest

from mentor_pyg.errors import InputError
from mentor_pyg.plots.style import (
    COLORS,
    figure_legend,
    label_axes,
    log_scale,
    panels,
    plain,
    render,
    save_figure,
    series_style,
    setting_ticks,
)

pytest.importorskip("matplotlib")

PNG, SVG = b"\x89PNG\r\n", b"<?xml"


@pytest.fixture
def figure():
    figure, (ax,) = panels(1, 1)
    ax.plot([1, 2], [3, 4], label="a")
    label_axes(ax, "title", "x [s]", "y")
    return figure


@pytest.mark.parametrize(("suffix", "magic"), [(".png", PNG), (".svg", SVG), (".SVG", SVG)])
def test_the_suffix_decides_the_format(figure, tmp_path, suffix, magic):
    path = tmp_path / f"new folder/plot{suffix}"
    save_figure(figure, path)
    assert path.read_bytes().startswith(magic)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["plot.pdf", "plot", "plot.png.txt"])
def test_other_suffixes_are_refused(figure, tmp_path, name):
    with pytest.raises(InputError, match=r"expected \.png or \.svg"):
        save_figure(figure, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_told(figure, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a writable folder"):
        save_figure(figure, tmp_path / "file/plot.png")


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_figures_give_equal_files_without_a_date(figure, suffix):
    assert render(figure, suffix) == render(figure, suffix)
    assert b"dc:date" not in render(figure, ".svg")


def test_no_global_state_is_touched(figure):
    import matplotlib

    before = dict(matplotlib.rcParams)
    render(figure, ".svg")
    assert dict(matplotlib.rcParams) == before


def test_labels_are_on_the_axes(figure):
    (ax,) = figure.axes
    assert ax.get_title(loc="left") == "title"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x [s]", "y")


@pytest.mark.parametrize("name", ["$x^2$", "$", "_hidden", "$\\frac$ and $", "a\nb"])
def test_names_are_shown_as_they_are(name):
    figure, (ax,) = panels(1, 1)
    (line,) = ax.plot([1], [1])
    label_axes(ax, name, name, name)
    legend = figure_legend(figure, [line], [name])
    render(figure, ".png")  # fails if it reads a name as mathematics
    (text,) = legend.get_texts()
    shown = text.get_text().replace(r"\$", "$")
    assert shown.strip() == " ".join(name.split())


def test_long_names_are_cut():
    assert len(plain("x" * 100)) == 40
    assert plain("x" * 100).endswith("x…")
    assert plain("x" * 40) == "x" * 40


def test_series_differ_even_when_colours_are_used_up():
    styles = [tuple(series_style(i).items()) for i in range(3 * len(COLORS))]
    assert len(set(styles)) == len(styles)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"matplotlib isn't installed; .*mentor_pyg\[plot\]"):
        panels(1, 1)


def draw(figure):
    pytest.importorskip("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    figure.draw_without_rendering()


def overlapping(labels):
    """Whether one of the texts in a row covers another."""
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return any(a.overlaps(b) for a, b in pairwise(boxes))


@pytest.mark.parametrize(
    ("low", "high", "some"),
    [(3, 20, "10"), (6, 9, "8"), (5, 5, "5"), (1, 40_000, "10,000"), (1, 2e9, "1e+08")],
)
def test_labels_of_logarithmic_axes_are_plain_and_apart(low, high, some):
    figure, (ax,) = panels(1, 1)
    ax.plot([low, high], [1e-4 * low, 1e-4 * high])
    for which in ("x", "y"):
        log_scale(ax, which)
    draw(figure)
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert some in labels
    assert not any("$" in label for label in labels)
    assert not overlapping(ax.get_xticklabels() + ax.get_xticklabels(minor=True))
    assert not overlapping(ax.get_yticklabels())


def test_long_values_of_a_setting_are_slanted():
    values = [0.1 + 0.2, 1e-5, "a long value", True, 7]
    for room, is_slanted in ((0.6, True), (2.0, False)):
        figure, (ax,) = panels(1, 1, room * len(values))
        setting_ticks(ax, values, room)
        draw(figure)
        labels = ax.get_xticklabels()
        assert [x.get_text() for x in labels] == ["0.3", "1e-05", "a long value", "True", "7"]
        assert (labels[0].get_rotation() > 0) == is_slanted


@pytest.mark.parametrize("width", [3, 12])
def test_a_legend_lies_within_its_figure(width):
    figure, (ax,) = panels(1, 1, width)
    (line,) = ax.plot([0, 1])
    figure_legend(figure, 5 * [line], [f"{i} {20 * 'x'}" for i in range(5)])
    draw(figure)
    box = figure.legends[0].get_window_extent()
    assert box.x1 <= figure.bbox.x1
    assert ax.get_window_extent().height > 0.5 * figure.dpi * 2.7
