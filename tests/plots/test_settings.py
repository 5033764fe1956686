import numpy as np
import pytest

from mentor_pyg.errors import InputError
from mentor_pyg.plots import Grid, heat_map, read_grid, sensitivity

pytest.importorskip("matplotlib")

VALUES = np.array([[0.1, 0.25, np.nan], [0.3, 0.2, 0.1044]])


def cells(figure):
    ax = figure.axes[0]
    return {
        (round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts
    }


def frame(figure):
    """Row and column of the framed cell."""
    (patch,) = [p for p in figure.axes[0].patches if not p.get_fill()]
    return round(patch.get_y() + patch.get_height() / 2), round(patch.get_x() + 0.46)


def test_cells_carry_their_numbers_and_the_best_is_framed():
    figure = heat_map(Grid(VALUES, [1, 2], ["a", "b", "c"], "k", "lr"), "recall@20")
    expected = {(0, 0): "0.1000", (0, 1): "0.2500", (1, 0): "0.3000", (1, 1): "0.2000"}
    assert cells(figure) == expected | {(1, 2): "0.1044"}
    assert frame(figure) == (1, 0)
    ax = figure.axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array().filled(np.nan), VALUES)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["1", "2"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lr", "k")
    assert ax.get_title(loc="left") == "recall@20"


def test_values_of_a_setting_are_evenly_spaced_with_their_deviations():
    points = [(1e-4, 0.1), (1e-3, 0.3), (0.1, 0.2)]
    (ax,) = sensitivity(points, [0.01, 0.0, 0.02], "lr", "recall@20", "toy").axes
    ((line, _, (bars,)),) = ax.containers
    assert line.get_xydata().tolist() == [[0, 0.1], [1, 0.3], [2, 0.2]]
    spans = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert spans == [pytest.approx(span) for span in ([0.09, 0.11], [0.3, 0.3], [0.18, 0.22])]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0.0001", "0.001", "0.1"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lr", "recall@20")
    assert ax.get_title(loc="left") == "toy"


def test_the_lowest_can_be_best():
    assert frame(heat_map(Grid(VALUES, [1, 2], [1, 2, 3]), lowest=True)) == (0, 0)


@pytest.mark.parametrize(("scale", "text"), [(1, "0.30"), (1000, "300.0"), (1e6, "300000")])
def test_numbers_have_as_many_decimals_as_they_need(scale, text):
    assert cells(heat_map(Grid(scale * VALUES, [1, 2], [1, 2, 3])))[1, 0].startswith(text)


def test_numbers_stand_out_from_their_cells():
    figure = heat_map(Grid(np.linspace(0, 1, 80).reshape(4, 20), range(4), range(20)))
    ax = figure.axes[0]
    for text in ax.texts:
        column, row = map(round, text.get_position())
        rgb = ax.images[0].to_rgba(ax.images[0].get_array()[row, column])[:3]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        luminance = np.dot(linear, [0.2126, 0.7152, 0.0722])
        bright, dark = (1.0, luminance) if text.get_color() == "white" else (luminance, 0.0)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5  # WCAG's contrast for text


def test_a_grid_from_a_file(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("k\\lr,1e-3,1e-2\n5,0.1,\n10,0.2,0.3\n")
    grid = read_grid(path)
    assert (grid.row_name, grid.column_name) == ("k", "lr")
    assert (grid.rows, grid.columns) == (["5", "10"], ["1e-3", "1e-2"])
    np.testing.assert_array_equal(grid.values, [[0.1, np.nan], [0.2, 0.3]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows; expected a grid"),
        ("a,b\n", "has no rows; expected a grid"),
        ("a\n1\n", "holds no grid"),
        ("a,1,2\n5,0.1\n", r"grid\.csv:2: has 2 cells; expected 3"),
        ("a,1,2\n5,0.1,good\n", r"grid\.csv:2: 'good'; expected a finite number"),
        ("a,1\n\n5,good\n", r"grid\.csv:3: 'good'"),
        ("a,1\n5,nan\n", "expected a finite number"),
    ],
)
def test_damaged_grids_are_told(tmp_path, content, message):
    path = tmp_path / "grid.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_grid(path)


def test_other_bad_grids(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a grid in CSV"):
        read_grid(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"the grid is \[2, 3\]; expected \[2, 2\]"):
        Grid(VALUES, [1, 2], [1, 2])
    with pytest.raises(InputError, match="no value in any cell"):
        heat_map(Grid(np.full((1, 2), np.nan), [1], [1, 2]))
