"""A graph as a picture: boxes of text in layers, joined by curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calcbench.graph.layering import Layout, place_nodes
from calcbench.graph.markup import element, escaped, picture


LETTER, LINE, PAD = 7.25, 16, 8  # pixels: of a monospaced letter of 12, of a line, around the text
BETWEEN, MARGIN, HEAD = 34, 20, 84
MONOSPACED = "DejaVu Sans Mono, Consolas, Menlo, monospace"


@dataclass(frozen=True)
class Look:
    """How boxes of one kind look, and what that means; an edge looks as the weaker of its ends."""

    meaning: str
    fill: str
    stroke: str
    ink: str
    dashes: str
    strength: int


@dataclass(frozen=True)
class Box:
    """One node.

    Attributes
    ----------
    lines : tuple of str
        What stands in it; the first in bold.
    operands : tuple of int
        The boxes that it reads, all before it.
    look : Look
    hint : str
        What is shown where the pointer rests.
    is_result : bool
        Results have a second frame.
    """

    lines: tuple[str, ...]
    operands: tuple[int, ...]
    look: Look
    hint: str = ""
    is_result: bool = False

    @property
    def width(self) -> float:
        """In pixels."""
        return LETTER * max(map(len, self.lines)) + 2 * PAD

    @property
    def height(self) -> float:
        """In pixels."""
        return float(LINE * len(self.lines) + 2 * PAD)


def boxes_svg(boxes: Sequence[Box], title: str, note: str = "") -> str:
    """An SVG document with all boxes, those that read others below them."""
    layout = place_nodes([b.operands for b in boxes], [b.width for b in boxes])
    tops = _tops(boxes, layout)
    right = max((layout.x[i] + b.width / 2 for i, b in enumerate(boxes)), default=0.0)
    bottom = max((tops[layout.layer[i]] + b.height for i, b in enumerate(boxes)), default=HEAD)
    looks = sorted({b.look for b in boxes}, key=lambda found: -found.strength)
    words = [*_header(title, note), *_legend(looks)]
    edges = [edge for i in range(len(boxes)) for edge in _edges(boxes, layout, tops, i)]
    drawn = [_box(b, layout.x[i] + MARGIN, tops[layout.layer[i]]) for i, b in enumerate(boxes)]
    width = max(right + 2 * MARGIN, _wide(title, 9), _wide(note, 7), _legend_width(looks))
    return picture(width, bottom + MARGIN, title, [*words, *edges, *drawn])


def _tops(boxes: Sequence[Box], layout: Layout) -> list[float]:
    """Where each layer begins, from the heights of the boxes above."""
    tallest = [0.0] * (max(layout.layer, default=-1) + 1)
    for layer, box in zip(layout.layer, boxes, strict=True):
        tallest[layer] = max(tallest[layer], box.height)
    tops = [float(HEAD)]
    for height in tallest:
        tops.append(tops[-1] + height + BETWEEN)
    return tops


def _wide(text: str, letter: float) -> float:
    return letter * len(text) + 2 * MARGIN


def _header(title: str, note: str) -> Iterator[str]:
    yield element("text", escaped(title), x=MARGIN, y=26, font_size=14, font_weight="bold")
    yield element("text", escaped(note), x=MARGIN, y=46, font_size=12, fill="#555555")


def _legend(looks: Sequence[Look]) -> Iterator[str]:
    x = float(MARGIN)
    for look in looks:
        yield element("rect", x=x, y=56, width=20, height=13, rx=3, **_paint(look))
        yield element("text", escaped(look.meaning), x=x + 26, y=67, font_size=12, fill="#333333")
        x += _legend_width([look]) - 2 * MARGIN


def _legend_width(looks: Sequence[Look]) -> float:
    return sum(26 + 7 * len(look.meaning) + 18 for look in looks) + 2.0 * MARGIN


def _paint(look: Look) -> dict[str, str]:
    return {"fill": look.fill, "stroke": look.stroke, "stroke_dasharray": look.dashes}


def _box(box: Box, x: float, top: float) -> str:
    left, paint = x - box.width / 2, _paint(box.look)
    parts = [element("title", escaped(box.hint))] if box.hint else []
    if box.is_result:
        parts.append(element("rect", x=left - 3, y=top - 3, width=box.width + 6,
                             height=box.height + 6, rx=7, **{**paint, "fill": "none"}))  # fmt: skip
    parts.append(element("rect", x=left, y=top, width=box.width, height=box.height, rx=5, **paint))
    for rank, line in enumerate(box.lines):
        style = {"font_size": 12, "font_family": MONOSPACED, "fill": box.look.ink}
        style |= {"font_weight": "bold"} if rank == 0 else {}
        y = top + PAD + LINE * (rank + 0.78)
        parts.append(element("text", escaped(line), x=left + PAD, y=y, **style))
    return element("g", *parts)


def _edges(boxes: Sequence[Box], layout: Layout, tops: list[float], index: int) -> Iterator[str]:
    """From a box down its lane, and from there to all that read it; the weakest looks lie below."""
    readers = [i for i, b in enumerate(boxes) if index in b.operands]
    if not readers:
        return
    depth, x = layout.layer[index], layout.x[index] + MARGIN
    ground = tops[depth + 1] - BETWEEN
    points = [(x, ground)]
    look = {i: min(boxes[i].look, boxes[index].look, key=_strength) for i in readers}
    strongest = max(look.values(), key=_strength)
    yield _line(f"M {x:.1f} {tops[depth] + boxes[index].height:.1f} V {ground:.1f}", strongest)
    for rank, lane in enumerate(layout.lanes[index], start=depth + 1):
        top, bottom = (lane + MARGIN, tops[rank]), (lane + MARGIN, tops[rank + 1] - BETWEEN)
        yield _line(f"{_curve(points[-1], top)} V {bottom[1]:.1f}", strongest)
        points.append(bottom)
    for reader in sorted(readers, key=lambda i: _strength(look[i])):
        x, y = layout.x[reader] + MARGIN, tops[layout.layer[reader]]
        yield _line(_curve(points[layout.layer[reader] - depth - 1], (x, y - 5)), look[reader])
        tip = f"M {x:.1f} {y - 1:.1f} l -4 -8 h 8 z"
        yield element("path", d=tip, fill=look[reader].stroke)


def _strength(look: Look) -> int:
    return look.strength


def _curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x0, y0), (x1, y1) = start, end
    middle = (y0 + y1) / 2
    return f"M {x0:.1f} {y0:.1f} C {x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"


def _line(d: str, look: Look) -> str:
    return element("path", d=d, fill="none", stroke=look.stroke, stroke_width=1.4,
                   stroke_dasharray=look.dashes)  # fmt: skip
