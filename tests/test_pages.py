"""Plots and pages of compared modes: what they say, that they stand alone, whole or not at all."""

import builtins
import os
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.markup import element, escaped, plain
from calcbench.measure import device_columns, mode_pages, pages, writing
from calcbench.measure.chart_pictures import DASHES, chart_svg
from calcbench.measure.charts import Dot, DotChart, GrowthChart, Line, LogAxis, Mark
from calcbench.measure.device_columns import DeviceColumns
from calcbench.measure.fitting import fit_power
from calcbench.measure.mode_charts import STYLES
from calcbench.measure.mode_pages import crossover_ratios
from calcbench.measure.mode_plans import MODES
from calcbench.measure.plotting import LINES


HOSTILE = "</pre></svg><script src='http://x.y/z.js'>alert(1)</script>\"'&\x00\x1b\ud800$x^2$"


def squares(n):
    return lambda x: np.sum(x * x), np.ones(n)


@pytest.fixture(scope="module")
def grown():
    return cb.sweep(squares, [4, 8, 16], engines=["numpy"], budget=0.001)


@pytest.fixture(scope="module")
def compared(grown):
    return grown.comparisons[0]


# --- a reader of pages ---------------------------------------------------------------------------

VOID = {"meta"}
REACHING = {"src", "href", "xlink:href", "action", "data", "srcset", "poster", "formaction"}


class Reader(HTMLParser):
    """Collects what is wrong with a page, its words, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.words, self.seen = [], [], [], []
        self.feed(text)
        self.close()
        self.faults += [f"<{name}> is not closed" for name in self.open]

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        names = [name for name, _ in attrs]
        self.faults += [f"two {n} in <{tag}>" for n in names if names.count(n) > 1]
        self.faults += [f"{n} in <{tag}>" for n in names if n in REACHING or n.startswith("on")]
        if tag in ("script", "link", "iframe", "object", "embed", "img"):
            self.faults.append(f"<{tag}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] == "style" and ("url(" in data or "@import" in data):
            self.faults.append("a style that loads something")

    @property
    def text(self):
        return " ".join(self.words)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<p><b>x</p></b>", "closes nothing"),
        ("<p>x", "not closed"),
        ("<p><img src='http://a/b.png'></p>", "src in <img>"),
        ("<script>x</script>", "<script>"),
        ("<p onclick='x'>y</p>", "onclick"),
        ("<style>@import 'x';</style>", "loads"),
        ("<p class='a' class='b'>y</p>", "two class"),
    ],
)
def test_the_reader_notices(text, fault):
    assert any(fault in found for found in Reader(text).faults)


def read(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    found = Reader(text)
    assert found.faults == []
    for svg in re.findall(r"<svg .*?</svg>", text, flags=re.S):
        ElementTree.fromstring(svg)
    links = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert links <= {"http://www.w3.org/2000/svg"}  # a name, which nothing is loaded from
    return found


# --- pages ---------------------------------------------------------------------------------------


def test_a_comparison_is_one_page_that_needs_nothing_else(compared, tmp_path):
    found = read(compared.report(tmp_path / "out.html"))
    assert found.seen.count("svg") >= 2
    for row in compared.table:
        assert all(cell in found.text for cell in row)
    said = compared.recommendation
    assert said[1:] in found.text
    assert "by counted operations at m/n = " in found.text
    assert str(compared.counts) in "".join(found.words)
    assert [p.name for p in tmp_path.iterdir()] == ["out.html"]


def cells(path):
    """The rows of each table of a page."""
    tables = re.findall(r"<table>(.*?)</table>", path.read_text(encoding="utf-8"), flags=re.S)
    rows = [re.findall(r"<tr>(.*?)</tr>", t, flags=re.S) for t in tables]
    return [[re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", r, flags=re.S) for r in t] for t in rows]


def test_first_calls_and_kernels_have_tables_of_their_own(compared, grown, tmp_path):
    columns = DeviceColumns("reverse", 2, 31, 0, 4096, 2048, "no time was taken")
    with_devices = replace(compared, devices=(columns,))
    tables = cells(with_devices.report(tmp_path / "out.html"))
    filled = [[*r, *[""] * (6 - len(r))] for r in compared.stages]
    assert filled in tables
    assert [device_columns.HEADING, columns.row] in tables
    without = cells(compared.report(tmp_path / "out.html"))
    assert len(tables) == len(without) + 1
    assert grown.comparisons[-1].stages in cells(grown.report(tmp_path / "grown.html"))


def test_a_mode_that_is_not_taken_is_told_on_both_pages(compared, grown, tmp_path):
    assert set(compared.missing) == {"mixed", "checkpointed"}
    one, all_sizes = compared.report(tmp_path / "a.html"), grown.report(tmp_path / "b.html")
    assert "mixed mode is not taken: no cut is narrower" in read(one).text
    assert "mixed mode was not taken at 4, 8, 16, so that it has no fit" in read(all_sizes).text


def test_every_mode_has_a_line_of_its_own_in_charts():
    styles = set(STYLES.values())
    assert set(STYLES) == set(MODES)
    assert len(styles) == len(MODES)
    assert styles == set(range(len(DASHES))) == set(range(len(LINES)))


def test_verdicts_stand_beside_the_table(compared, tmp_path, monkeypatch):
    """Once there, and once more in the text as it is printed."""
    said = "a bound < 5 holds"
    monkeypatch.setattr(type(compared), "verdicts", property(lambda _: (said,)))
    text = read(compared.report(tmp_path / "out.html")).text
    assert text.count(said) == 2
    assert text.index(said) < text.index("Where forward and reverse mode cost the same")


def test_a_growth_is_one_page_with_exponents_and_crossovers(grown, tmp_path):
    found = read(grown.report(str(tmp_path / "out.html")))
    for fit in (*grown.fits.values(), *grown.operations.values()):
        assert str(fit) in found.text
    assert "numpy: forward and reverse mode " in found.text
    assert "At size 16, for 16 inputs and 1 output take " in found.text
    assert found.text.count("95 %") >= 3


def with_bytes(grown, forward, reverse):
    """The same growth, with predicted peaks as functions of the size."""
    held = {"forward": forward, "reverse": reverse}
    comparisons = [
        replace(c, records=tuple(replace(r, predicted=held[r.mode](n)) for r in c.records))
        for n, c in zip(grown.sizes, grown.comparisons, strict=True)
    ]
    return replace(grown, comparisons=tuple(comparisons))


def test_memory_has_exponents_and_a_crossover_of_its_own(grown, tmp_path):
    """Bytes 5 n and n^2 are equal at n = 5, between the sizes 4 and 16."""
    found = with_bytes(grown, lambda n: 5 * n, lambda n: n * n)
    text = read(found.report(tmp_path / "out.html")).text
    for words in ("∝ size^1.00 (1.00 .. 1.00)", "∝ size^2.00 (2.00 .. 2.00)"):
        assert words in text
    assert "numpy: forward and reverse mode hold as many bytes at size 5 " in text
    assert "numpy: forward and reverse hold as many bytes at size 5" in text
    flat = read(with_bytes(grown, lambda n: 80, lambda n: 80).report(tmp_path / "out.html"))
    assert "numpy: forward and reverse mode hold bytes that grow alike" in flat.text
    none = read(with_bytes(grown, lambda n: 0, lambda n: n).report(tmp_path / "out.html"))
    assert "no fit" in none.text


def test_the_ratio_at_which_modes_cost_the_same_follows_from_the_counts(compared):
    """m reverse sweeps cost what n forward sweeps do where m V = n J."""
    counts = compared.counts
    ratio = float(re.search(r"m/n = (\S+):", crossover_ratios(compared)[0])[1])
    forward, reverse = counts.jvp.operations.total, counts.vjp.operations.total
    assert ratio * reverse == pytest.approx(forward, rel=1e-2)
    assert "here m/n = 1/4 = 0.25" in crossover_ratios(compared)[0]


def test_whatever_is_written_on_a_page_is_escaped(tmp_path):
    parts = [
        pages.heading(HOSTILE),
        pages.paragraph(HOSTILE),
        pages.bullets([HOSTILE]),
        pages.listing(HOSTILE),
        pages.table([[HOSTILE, "b"], ["1"]]),
        chart_svg(chart(label=HOSTILE)),
        chart_svg(DotChart(HOSTILE, "seconds", (Dot(HOSTILE, 1.0, 1.0, 1.0),))),
    ]
    path = pages.write_page(tmp_path / "out.html", HOSTILE, parts)
    text = path.read_text(encoding="utf-8").replace("http://x.y/z.js", "")
    path.write_text(text, encoding="utf-8")
    found = read(path)
    assert found.text.count("alert(1)") >= 10
    assert not re.search("[\x00-\x08\x0e-\x1f\x7f-\x9f]", text)


def test_without_escaping_the_reader_would_notice(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "escaped", str)
    path = pages.write_page(tmp_path / "out.html", "a", [pages.paragraph(HOSTILE)])
    assert Reader(path.read_text(encoding="utf-8")).faults


@pytest.mark.parametrize("code", [0x9, 0xA, 0x20, 0x7E, 0xA0, 0xFFFD, 0x1F600])
def test_what_xml_allows_stays(code):
    assert plain(chr(code)) == chr(code)


@pytest.mark.parametrize("code", [0x0, 0x8, 0x1B, 0x7F, 0x9F, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF])
def test_what_xml_forbids_goes(code):
    assert plain(chr(code)) == "\ufffd"


def test_attributes_are_escaped():
    made = element("text", escaped("<"), x=1.50, font_size='1" onload="x')
    assert made == '<text x="1.5" font-size="1&quot; onload=&quot;x">&lt;</text>'


# --- charts --------------------------------------------------------------------------------------


def chart(label="forward", costs=(1e-3, 4e-3, 16e-3), marks=(), style=0):
    sizes = (1.0, 2.0, 4.0)
    fit = fit_power(sizes, costs) if min(costs) > 0 else None
    return GrowthChart(label, "seconds", sizes, (Line(label, costs, fit, style, "#000000"),), marks)


def circles(svg):
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}circle")
    return [(float(c.get("cx")), float(c.get("cy"))) for c in found]


def test_points_lie_on_a_straight_line_where_a_cost_is_a_power():
    """Equal factors are equal distances on both axes; the last circle belongs to the legend."""
    (x0, y0), (x1, y1), (x2, y2), _ = circles(chart_svg(chart()))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.02)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.02)
    assert y0 > y1


@pytest.mark.parametrize(("style", "shape"), [(0, "circle"), (1, "rect"), (2, "path")])
def test_each_kind_of_line_has_points_of_its_own_shape(style, shape):
    """Three sizes and the legend; two rectangles are the ground and the frame."""
    svg, others = chart_svg(chart(style=style)), 2 if shape == "rect" else 0
    assert svg.count(f"<{shape} ") == 3 + 1 + others


def test_the_legend_has_the_exponent_and_its_interval():
    assert "forward ∝ size^2.00 (2.00 .. 2.00)" in chart_svg(chart())
    assert "forward (no fit)" in chart_svg(chart(costs=(1.0, 0.0, 2.0)))


def test_what_has_no_place_on_a_logarithmic_axis_is_left_out():
    assert len(circles(chart_svg(chart(costs=(1.0, 0.0, 2.0))))) == 2 + 1
    dots = DotChart("memory", "bytes", (Dot("none", 0.0, 0.0, 0.0), Dot("some", 8.0, 8.0, 8.0)))
    assert len(circles(chart_svg(dots))) == 1
    assert "0: no place on this axis" in chart_svg(dots)


@pytest.mark.parametrize(("size", "lines"), [(2.0, 1), (1e6, 0)])
def test_a_crossover_is_marked_where_it_is_in_the_picture_and_told_anyway(size, lines):
    svg = chart_svg(chart(marks=(Mark(f"equal at {size}", size),)))
    assert svg.count('stroke-dasharray="2 3"') == lines
    assert f"equal at {size}" in svg


@pytest.mark.parametrize(
    "numbers", [[], [1.0], [1e-9, 1e9], [3.0, 4.0], [1e-300, 1e300], [float("nan"), 2.0]]
)
def test_an_axis_has_ticks_that_lie_on_it(numbers):
    axis = LogAxis.around(numbers)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(-1e-9 <= axis.place(t) <= 1 + 1e-9 for t in ticks)
    assert ticks == sorted(ticks)


# --- files ---------------------------------------------------------------------------------------


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("broken", ["replace", "fdopen", "chmod"])
@pytest.mark.parametrize("before", [None, "what was there"])
def test_an_interrupted_write_leaves_no_half_file(compared, tmp_path, monkeypatch, broken, before):
    path = tmp_path / "out.html"
    if before:
        path.write_text(before)
    monkeypatch.setattr(writing.os, broken, interrupt)
    with pytest.raises(KeyboardInterrupt):
        compared.report(path)
    assert [p.name for p in tmp_path.iterdir()] == (["out.html"] if before else [])
    assert not before or path.read_text() == before


def test_a_file_is_as_readable_as_others(compared, tmp_path):
    (tmp_path / "other").write_text("x")
    path = compared.report(tmp_path / "out.html")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


REFUSED = {
    "no suffix": ("out", "ends in 'no suffix'"),
    "another suffix": ("out.jpg", "ends in '.jpg'"),
    "no folder": (os.path.join("nowhere", "out{}"), "make '.*nowhere' first"),
    "a folder": ("folder{}", "is a folder"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize(("method", "suffix"), [("plot", ".png"), ("report", ".html")])
def test_paths_that_cannot_be_written_are_refused(compared, tmp_path, name, method, suffix):
    file, message = REFUSED[name]
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(cb.CalcbenchError, match=message):
        getattr(compared, method)(tmp_path / file.format(suffix))


@pytest.mark.parametrize("path", [None, 3, b"x"])
def test_what_is_no_path_is_refused(grown, path):
    with pytest.raises(cb.CalcbenchError, match=r"a path is expected|the suffix says"):
        grown.report(path)


# --- plots ---------------------------------------------------------------------------------------


def test_without_matplotlib_a_plot_says_what_to_install_and_a_page_has_its_charts(
    compared, tmp_path, monkeypatch
):
    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(cb.CalcbenchError, match=r"pip install 'calcbench\[plots\]'") as caught:
        compared.plot(tmp_path / "out.png")
    assert isinstance(caught.value, ImportError)
    assert list(tmp_path.iterdir()) == []
    assert read(compared.report(tmp_path / "out.html")).seen.count("svg") >= 2


@pytest.mark.parametrize(("found", "suffix"), [("grown", ".PNG"), ("compared", ".svg")])
def test_a_plot_is_the_kind_of_picture_that_its_suffix_says(request, tmp_path, found, suffix):
    pytest.importorskip("matplotlib")
    path = request.getfixturevalue(found).plot(tmp_path / f"out{suffix}")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG") if suffix == ".PNG" else b"<svg" in data[:1000]
    assert "matplotlib.pyplot" not in sys.modules


def test_a_label_that_looks_like_mathematics_is_drawn_as_it_is(tmp_path):
    pytest.importorskip("matplotlib")
    from calcbench.measure.plotting import write_plot

    path = write_plot(tmp_path / "out.svg", [chart(label=r"$\frac{a", marks=(Mark("$^$", 2.0),))])
    assert path.stat().st_size > 1000


# --- the graph on the page -----------------------------------------------------------------------


def test_the_page_draws_the_graph_with_values_cotangents_and_bytes(tmp_path):
    """x * x at 2 and 3: values 4 and 9, their sum 13 with cotangent 1, the gradient 2 x."""
    found = cb.compare_modes(
        lambda x: np.sum(x * x), np.array([2.0, 3.0]), engines=["numpy"], budget=0.001
    )
    text = read(found.report(tmp_path / "out.html")).text
    for words in ("value [4, 9]", "value 13", "cotangent [4, 6]", "f64[2], 16 bytes"):
        assert words in text


def deep(x):
    for _ in range(60):
        x = np.sin(x) * 1.01
    return np.sum(np.outer(x, x) @ x)


def shown_instead(function, x, tmp_path):
    found = cb.compare_modes(function, x, engines=["numpy"], modes=["reverse"], budget=0.001)
    page = read(found.report(tmp_path / "out.html"))
    assert "cotangent " not in page.text
    assert page.seen.count("svg") == 2
    return page.text


def test_of_a_large_graph_the_most_expensive_nodes_are_listed(tmp_path):
    text = shown_instead(deep, np.ones(3), tmp_path)
    assert re.search(r"The graph has 1\d\d nodes, more than the 80 that can be read", text)
    table = text.split("bytes written")[1]
    assert re.search(r"v\d+ = (\w+)", table)[1] == "matmul"
    assert "test_pages.py:" in table


def test_large_inputs_are_not_kept_for_a_picture(tmp_path):
    text = shown_instead(lambda x: np.sum(x * x), np.ones(2**17 + 1), tmp_path)
    assert "The inputs are too large to be kept" in text


def test_large_values_are_not_computed_for_a_picture(tmp_path, monkeypatch):
    """A vector of 10, its square, the sum: 168 bytes, and one fewer allowed."""
    monkeypatch.setattr(mode_pages, "MOST_HELD", 167)
    text = shown_instead(lambda x: np.sum(x * x), np.ones(10), tmp_path)
    assert "All values of the graph together take 168 bytes" in text


def test_the_counts_keep_a_copy_of_the_point():
    x, w = np.ones(2), np.array([3.0, 4.0])
    counts = cb.cost(lambda x: np.dot(x, w), x)
    x[:] = w[:] = 0.0
    assert [list(v) for v in counts.point.inputs] == [[1.0, 1.0], [3.0, 4.0]]
    assert counts.point.graph is counts.function.graph
    assert cb.cost(counts.function.graph).point is None
    assert "point" not in repr(counts)
