"""Reports as figures: what stands in the tables stands on the sheet, and nothing points outside."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text as Drawn
from PIL import Image
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.errors import UsageError
from deployx_edge.report.bench import bench_report
from deployx_edge.report.figures import export_report, figure_of
from deployx_edge.units import sparkline
from tests.unit.report.results import result

# What an SVG file names without anybody fetching it.
NAMESPACES = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def layers(shares: list[float]) -> Table:
    table = Table(title="Layers [of] a model")
    for heading in ("layer", "type"):
        table.add_column(heading)
    for heading in ("time", "share"):
        table.add_column(heading, justify="right")
    for place, share in enumerate(shares):
        bar = "█" * round(20 * share)
        table.add_row(f"/features/{place}/Conv", "Conv", f"{share:.3g} ms", f"{share:6.1%} {bar}")
    return table


def words(figure: Figure) -> list[Drawn]:
    (axes,) = figure.axes
    return list(axes.texts)


def bars(figure: Figure) -> list[Rectangle]:
    (axes,) = figure.axes
    return [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.zorder == 3]


def check_layout(figure: Figure) -> None:
    """All that is written lies on the sheet, and no words lie on others."""
    figure.canvas.draw()  # type: ignore[attr-defined]
    places = [each.get_window_extent() for each in words(figure)]
    whole = figure.bbox
    for place in places:
        assert whole.x0 <= place.x0 and place.x1 <= whole.x1
        assert whole.y0 <= place.y0 and place.y1 <= whole.y1
    corners = np.asarray([(p.x0, p.y0, p.x1, p.y1) for p in places])
    for one in range(len(corners)):
        apart = (
            (corners[one, 2] <= corners[:, 0] + 1)
            | (corners[:, 2] <= corners[one, 0] + 1)
            | (corners[one, 3] <= corners[:, 1] + 3)
            | (corners[:, 3] <= corners[one, 1] + 3)
        )
        apart[one] = True
        assert apart.all(), words(figure)[one]


REPORTS: dict[str, RenderableType] = {
    "one run": bench_report([result(samples=range(1_000_000, 3_000_000, 10_000))]),
    "several runs": bench_report([result(threads=n, emulated=True) for n in (1, 2, 4)]),
    "layers": Group(layers([0.5, 0.31, 0.19]), Text("sum", "red"), Text("note\nof two lines")),
    "long words": Group(
        layers([1.0]),
        Text("a warning that goes on and on " * 12, style="yellow"),
        Text("/a/path/without/any/space" * 20),
    ),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_words_lie_on_the_sheet_and_on_no_others(report: RenderableType) -> None:
    check_layout(figure_of(report))


def test_everything_of_a_table_is_written() -> None:
    figure = figure_of(REPORTS["several runs"])
    said = {each.get_text() for each in words(figure)}
    report = REPORTS["several runs"]
    assert isinstance(report, Group)
    table = report.renderables[0]
    assert isinstance(table, Table)
    wanted = {str(cell) for column in table.columns for cell in (column.header, *column.cells)}
    assert wanted <= said
    assert str(table.title) in said and str(table.caption) in said


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    # Of a terminal's twenty signs two of these would be the same.
    shares = [0.504, 0.296, 0.19, 0.01]
    figure = figure_of(layers(shares))
    widths = [bar.get_width() for bar in bars(figure)]
    assert [width / widths[0] for width in widths] == pytest.approx(
        [share / shares[0] for share in shares]
    )
    assert not any("█" in each.get_text() for each in words(figure))


def test_a_course_is_drawn_from_nothing_up() -> None:
    samples = [1.0] * 50 + [2.0] * 50
    table = Table(show_header=False)
    table.add_row("over time", sparkline(samples))
    heights = [bar.get_height() for bar in bars(figure_of(table))]
    assert len(heights) == 60
    assert heights[0] / heights[-1] == pytest.approx(0.5, abs=0.1)


def test_numbers_are_aligned_by_their_units() -> None:
    table = Table()
    table.add_column("p50")
    table.add_column("name")
    for value, name in (("2 ms", "a"), ("500 µs", "b"), ("–", "c"), ("1,000 ns", "d")):
        table.add_row(value, name)
    aligned = {each.get_text(): each.get_ha() for each in words(figure_of(table))}
    assert {aligned[value] for value in ("p50", "2 ms", "500 µs", "–")} == {"right"}
    assert {aligned[value] for value in ("name", "a")} == {"left"}


def test_what_others_wrote_is_written_as_it_is() -> None:
    table = Table(title="a $x^2$ of [red]y[/red]")
    table.add_column("name")
    table.add_row("\x1b[31m$\\frac{1}{2}$ 模型 :smile:")
    table.add_row(Text("[bold]z", style="red"))
    said = {each.get_text(): each for each in words(figure_of(table))}
    assert "\\x1b[31m$\\frac{1}{2}$ 模型 :smile:" in said
    assert said["[bold]z"].get_color() != said["name"].get_color()


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".html", ".SVG"])
def test_each_kind_of_file_is_whole_and_the_same_again(tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / "new" / f"{name}{suffix}" for name in ("a", "b")]
    for path in paths:
        export_report(REPORTS["layers"], path)
    content = paths[0].read_bytes()
    assert content == paths[1].read_bytes()
    assert len(list(paths[0].parent.iterdir())) == 2  # nothing is left beside them
    if suffix == ".png":
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert image.width > 500 and len(image.convert("RGB").getcolors(1 << 20) or ()) > 4
    elif suffix == ".pdf":
        assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
    else:
        check_alone(content.decode("utf-8"), svg=suffix != ".html")


def check_alone(text: str, *, svg: bool) -> None:
    """Nothing in it names anything that would have to be fetched."""
    inner = text if svg else text[text.index("<svg") : text.index("</svg>") + 6]
    root = ElementTree.fromstring(inner)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert set(re.findall(r"\w+://[^\"'\s<>)]+", text)) <= NAMESPACES
    assert "@import" not in text and "<script" not in text and "<text" not in text
    assert "font-family" not in text  # letters are outlines: no font is looked for
    for element in root.iter():
        for name, value in element.attrib.items():
            if name.endswith("href"):
                assert value.startswith("#"), value
    assert "/features/0/Conv" in text  # what is drawn is named beside its outlines


def test_a_long_table_stays_an_image(tmp_path: Path) -> None:
    table = Table("lines")
    table.add_row("\n".join("word" for _ in range(1200)))
    export_report(table, tmp_path / "long.png")
    with Image.open(tmp_path / "long.png") as image:
        assert image.height == pytest.approx(30_000, abs=100)  # of 37,500 in full size


@pytest.mark.parametrize("name", ["bench", "bench.txt", "bench.jpeg"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.svg, \.png, \.pdf nor in \.html"):
        export_report(REPORTS["layers"], tmp_path / name)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        export_report(REPORTS["layers"], tmp_path / "file" / "a.svg")
