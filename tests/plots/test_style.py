import sys

import pytest

from mentor_pyg.errors import InputError
from mentor_pyg.plots.style import (
    COLORS,
    figure_legend,
    label_axes,
    panels,
    plain,
    render,
    save_figure,
    series_style,
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
