"""The sheet of a prompt's variants, and what is drawn along an axis: each value has its place."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import sheets
import variants
from PIL import Image
from support.drawn_study import HOSTILE, STYLE, pixels

from promptflux.figures.of_study import along_an_axis, variants_of_a_prompt
from promptflux.figures.sheet import ALARM, FAINT, Style
from promptflux.files.costs import Cost, read_costs, write_costs
from promptflux.files.tables import read_table
from promptflux.metrics.truth import OWN_IMAGES, Asked, write_truth
from promptflux.paths import Results


def color(*place: int) -> tuple[int, int, int]:
    """A color of its own for each place of a grid, none of them a figure's."""
    return (250, *(10 + 17 * number for number in (*place, 0, 0)[:2]))


def draw(
    tmp_path, *sizes: int, text: str = "a forest", gone: int | None = None, size=(48, 32), **style
) -> np.ndarray:
    """The sheet of a grid of so many values on each axis, whose images are of one color each."""
    results = Results(f"{tmp_path}/")
    places = list(product(*(range(number) for number in sizes)))
    names = ["-".join(map(str, place)) for place in places]
    for number, (name, place) in enumerate(zip(names, places, strict=True)):
        path = Path(results.image(f"{name}/it_1"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if number != gone:
            Image.new("RGB", size, color(*place)).save(path)
    axes = [
        {"title": f"axis {n}", "values": [f"value {k}" for k in range(number)]}
        for n, number in enumerate(sizes)
    ]
    sheets.main(
        rows=[{"name": "it", "text": text}],
        axes=axes,
        variants=names,
        sheets=[results.sheet("it")],
        style=STYLE | style,
    )
    return pixels(results.sheet("it"))


def where(sheet: np.ndarray, shade: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box of a color: top, left, height, width; it fills it."""
    rows, columns = np.nonzero((sheet == shade).all(axis=2))
    top, left = rows.min(), columns.min()
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    assert len(rows) == height * width
    return int(top), int(left), height, width


@pytest.mark.parametrize("sizes", [(2, 2), (6, 8), (1, 3), (3, 1)])
def test_rows_and_columns_are_those_of_the_axes(tmp_path, sizes):
    sheet = draw(tmp_path, *sizes, dpi=40)
    boxes = {place: where(sheet, color(*place)) for place in product(*map(range, sizes))}
    for (row, column), (top, left, _, _) in boxes.items():
        assert top == boxes[row, 0][0] and left == boxes[0, column][1]
        if row:
            assert top > boxes[row - 1, column][0] + boxes[row - 1, column][2]
        if column:
            assert left > boxes[row, column - 1][1] + boxes[row, column - 1][3]


def test_cells_stay_large_where_there_are_many(tmp_path):
    few, many = draw(tmp_path / "few", 2, 2, dpi=100), draw(tmp_path / "many", 6, 8, dpi=100)
    assert where(few, color(1, 1))[3] == 240
    assert where(many, color(5, 7))[3] >= 130  # 1.3 inches


def test_one_axis_goes_on_in_lines_of_equal_length(tmp_path):
    sheet = draw(tmp_path, 10, dpi=40)
    tops = [where(sheet, color(number))[0] for number in range(10)]
    assert len(set(tops[:5])) == len(set(tops[5:])) == 1 and tops[5] > tops[4]


def test_a_third_axis_makes_blocks(tmp_path):
    results = Results(f"{tmp_path}/")
    draw(tmp_path, 2, 2, 3, dpi=40)
    sheet = pixels(results.sheet("it"))
    rows, _ = np.nonzero((sheet == color(0, 1)).all(axis=2))
    gaps = np.diff(np.unique(rows)) > 1
    assert gaps.sum() == 2  # three blocks of the same cell


def test_a_picture_that_cannot_be_read_leaves_a_marked_gap(tmp_path):
    shown = draw(tmp_path, 2, 2, gone=3, dpi=100)
    for shade in (FAINT, ALARM):
        assert (shown == tuple(bytes.fromhex(shade[1:]))).all(axis=2).any()


@pytest.mark.parametrize("name", HOSTILE)
def test_every_text_has_its_place(tmp_path, name):
    text = HOSTILE[name]
    axes = [{"title": text[:30], "values": [text, "b"]}, {"title": "b", "values": ["a", text]}]
    image = tmp_path / "a.png"
    Image.new("RGB", (32, 48), "navy").save(image)
    for shown in (axes[:1], axes):
        count = 2 ** len(shown)
        sheet = variants_of_a_prompt.draw("it", text, shown, [str(image)] * count, Style(**STYLE))
        sheet.save(tmp_path / "sheet.png")
        assert sheet.width < 8


def test_the_same_bytes_each_time(tmp_path):
    draw(tmp_path, 2, 3)
    first = Path(Results(f"{tmp_path}/").sheet("it")).read_bytes()
    draw(tmp_path, 2, 3)
    assert Path(Results(f"{tmp_path}/").sheet("it")).read_bytes() == first


# Tables and figures along axes --------------------------------------------------------


@pytest.fixture
def compared(tmp_path):
    """Run `variants.main` on four variants with known answers; the results."""
    results = Results(f"{tmp_path}/")
    rows = [("image", "variant", "prompt", "predicted", "confidence", "forest", "sea")]
    # At 1 both prompts are seen as a forest, at 3 each as what it is.
    for variant, sea in (("g1_a", 0.2), ("g1_b", 0.4), ("g3_a", 0.9), ("g3_b", 0.7)):
        for prompt, share in (("wood", 0.9), ("ocean", 1 - sea)):
            label = "forest" if share > 0.5 else "sea"
            confidence = max(share, 1 - share)
            cells = (f"{variant}/{prompt}_1", variant, prompt, label, confidence, share, 1 - share)
            rows.append(tuple(cell if isinstance(cell, str) else f"{cell:.6f}" for cell in cells))
    rows.append(("mine", "", "", "sea", "1.000000", "0.000000", "1.000000"))
    table = tmp_path / "table.tsv"
    table.write_text("".join("\t".join(row) + "\n" for row in rows))
    asked = {
        "wood": Asked("forest", "prompt"),
        "ocean": Asked("sea", "label column"),
        "": Asked(None, OWN_IMAGES),
    }
    write_truth(results.truth("small"), {row[0]: asked[row[2]] for row in rows[1:]})
    names = ["g1_a", "g1_b", "g3_a", "g3_b"]
    costs = [tmp_path / f"{name}.tsv" for name in names]
    for name, path in zip(names[:3], costs, strict=False):
        write_costs(path, {f"{name}/wood_1": Cost(1.5, 700), f"{name}/ocean_1": Cost(2.5, 800)})
    variants.main(
        predictions=[str(table)],
        truth=[results.truth("small")],
        costs=list(map(str, costs)),
        classifiers={"small": ["forest", "sea"]},
        variants=[
            {"name": name, "settings": {"guidance_scale": name[1], "kind": name[3]}, "place": [n // 2, n % 2]}
            for n, name in enumerate(names)
        ],
        axes=[
            {"title": "guidance scale", "values": ["1", "3"], "numbers": [1.0, 3.0]},
            {"title": "kind", "values": ["a", "b"], "numbers": None},
        ],
        answers=[results.variants_table("small")],
        costs_table=results.costs_table,
        figures=[results.axis_figure("guidance_scale")],
        style=STYLE,
    )
    return results


def test_a_row_for_each_variant(compared):
    header, *rows = read_table(compared.variants_table("small"))
    assert header == ["variant", "guidance_scale", "kind", "images", "agrees", "confidence", "forest", "sea"]
    assert rows[0] == ["g1_a", "1", "a", "2", "0.500000", "0.850000", "0.850000", "0.150000"]
    assert [row[4] for row in rows] == ["0.500000", "0.500000", "1.000000", "1.000000"]
    header, *rows = read_table(compared.costs_table)
    assert header == ["variant", "guidance_scale", "kind", "images_timed", "seconds_an_image", "memory_mb"]
    assert rows[0] == ["g1_a", "1", "a", "2", "2.0000", "800.0"]
    assert rows[3] == ["g3_b", "3", "b", "0", "", ""]  # of which nothing is known


def test_the_figure_of_an_axis_shows_its_line(compared):
    shown = pixels(compared.axis_figure("guidance_scale"))
    line = tuple(bytes.fromhex(along_an_axis.COLORS[0][1:]))
    assert (shown == line).all(axis=2).any()


def test_a_line_goes_through_the_means(tmp_path):
    def rightmost(values: list[tuple[float, float]]) -> int:
        """How far down the last mean lies, in pixels."""
        sheet = along_an_axis.draw(
            "steps", {"Sees what was asked (share)": {"cnn": values}}, Style("viridis", 100)
        )
        sheet.save(tmp_path / "axis.png")
        shown = pixels(tmp_path / "axis.png")[120:320]
        marked = (shown == tuple(bytes.fromhex(along_an_axis.COLORS[0][1:]))).all(axis=2)
        rows, columns = np.nonzero(marked)
        return int(rows[columns > columns.max() - 4].mean())

    low = rightmost([(1, 0.1), (2, 0.2), (2, 0.4)])
    high = rightmost([(1, 0.1), (2, 0.7), (2, 0.9)])
    assert low - high == pytest.approx(0.5 * 100 * along_an_axis.HEIGHT, abs=2)


def test_costs_come_back_and_a_damaged_table_has_none(tmp_path):
    costs = {"a/b_1": Cost(1.25, 512.5), "a/c_1": Cost(0.0, 1.0)}
    write_costs(tmp_path / "costs.tsv", costs)
    assert read_costs(tmp_path / "costs.tsv") == costs
    (tmp_path / "costs.tsv").write_text("image\tseconds\n")
    assert read_costs(tmp_path / "costs.tsv") == {} == read_costs(tmp_path / "nothing.tsv")
