"""Pages of HTML that need nothing beside themselves: no network, no script, no other file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from calcbench.graph.markup import element, escaped, plain
from calcbench.measure.writing import checked_path, write_whole


SUFFIXES = (".html", ".htm")
STYLE = """
body { font-family: "DejaVu Sans", Helvetica, Arial, sans-serif; color: #222222; margin: 2em auto;
       max-width: 72em; padding: 0 1em; line-height: 1.45; }
.said { font-size: 1.15em; border-left: 4px solid #0072b2; padding: 0.3em 0.8em; }
table { border-collapse: collapse; font-size: 0.9em; margin: 0.8em 0; }
th, td { border-bottom: 1px solid #dddddd; padding: 0.25em 0.8em; text-align: right;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
pre { background: #f6f6f6; padding: 0.8em; font-size: 0.85em; }
svg { max-width: 100%; height: auto; }
.graph svg { max-width: none; }
"""


def heading(text: object) -> str:
    """The head of a section."""
    return element("h2", escaped(text))


def paragraph(text: object, kind: str = "text") -> str:
    """Words of one kind, which the style knows."""
    return element("p", escaped(text), class_=kind)


def bullets(lines: Iterable[object]) -> str:
    """Sentences one below the other; nothing at all for none."""
    items = [element("li", escaped(line)) for line in lines]
    return element("ul", *items) if items else ""


def listing(text: object) -> str:
    """Text whose columns are aligned."""
    return wide(element("pre", escaped(text)))


def table(rows: Sequence[Sequence[object]]) -> str:
    """A table whose first row is its head; short rows are filled up."""
    columns = max(map(len, rows))
    head, *body = [[*row, *[""] * (columns - len(row))] for row in rows]
    lines = [element("tr", *(element("th", escaped(c), scope="col") for c in head))]
    lines += [element("tr", *(element("td", escaped(c)) for c in row)) for row in body]
    return wide(element("table", "\n".join(lines)))


def wide(markup: str, kind: str = "wide") -> str:
    """Markup that scrolls where the window is too narrow for it."""
    return element("div", markup, class_=kind)


def page(title: str, parts: Iterable[str]) -> str:
    """The whole document."""
    head = element("title", escaped(title)) + element("style", STYLE)
    body = element("h1", escaped(title)) + "\n" + "\n".join(parts)
    charset = '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">'
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en">\n<head>{charset}\n{head}</head>\n<body>\n{body}\n</body>\n</html>\n'
    )


def write_page(path: object, title: str, parts: Iterable[str]) -> Path:
    """Write the document; the parts are computed once the path is known to be one.

    Raises
    ------
    PathError
        If the path does not end in .html, or its folder is not there.
    """
    place = checked_path(path, SUFFIXES)
    write_whole(place, plain(page(title, parts)).encode("utf-8"))
    return place
