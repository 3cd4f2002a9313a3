"""Elements of SVG and HTML as text, in which whatever comes from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def plain(text: object) -> str:
    """The text without what no XML document may hold: control characters and lone surrogates.

    Examples
    --------
    >>> plain("a" + chr(0) + chr(0xD800) + "b")
    'a��b'
    """
    return "".join(c if _is_allowed(ord(c)) else "\ufffd" for c in str(text))


def _is_allowed(code: int) -> bool:
    """Section 2.2 of XML 1.0, without the controls from 0x7f that it discourages."""
    if code < 0xA0:
        return code in (0x9, 0xA, 0xD) or 0x20 <= code < 0x7F
    return not 0xD800 <= code <= 0xDFFF and code & 0xFFFE != 0xFFFE


def escaped(text: object) -> str:
    """The text as content or attribute of an element.

    Examples
    --------
    >>> escaped('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return escape(plain(text), quote=True)


def element(name: str, *content: str, **attributes: object) -> str:
    """An element; `content` is markup already, attributes are escaped here.

    In names of attributes `_` stands for `-`, and one at the end is dropped.

    Examples
    --------
    >>> element("text", escaped("a < b"), x=1.5, font_size=12, class_="value")
    '<text x="1.5" font-size="12" class="value">a &lt; b</text>'
    """
    pairs = (f' {k.strip("_").replace("_", "-")}="{_shown(v)}"' for k, v in attributes.items())
    return f"<{name}{''.join(pairs)}>{''.join(content)}</{name}>"


def _shown(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escaped(value)


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """An SVG document of that many pixels on a white ground."""
    ground = element("rect", width=width, height=height, fill="#ffffff")
    return element(
        "svg",
        element("title", escaped(title)),
        ground,
        *(f"\n{part}" for part in parts),
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=height,
        viewBox=f"0 0 {_shown(width)} {_shown(height)}",
        role="img",
        font_family="DejaVu Sans, Helvetica, Arial, sans-serif",
    )
