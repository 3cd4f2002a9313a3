"""Errors of texts: each knows the position that is meant and draws a caret under it."""

from __future__ import annotations

from calcbench.graph.arraytype import CalcbenchError, ShapeError


SHOWN = 60  # characters of the text that a message quotes


class ParseError(CalcbenchError, ValueError):
    """A text that the grammar does not read.

    Attributes
    ----------
    text : str
        What was read.
    position : int
        Index of the first character that is meant, from 0; the length of the text at its end.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        self.problem = problem
        self.text = text
        self.position = min(position, len(text))
        super().__init__(f"position {self.position}: {problem}\n{picture(text, self.position)}")

    def __reduce__(self) -> tuple[type[ParseError], tuple[str, str, int]]:
        return type(self), (self.problem, self.text, self.position)


class TextShapeError(ParseError, ShapeError):
    """A text whose operands have shapes that do not fit."""


def picture(text: str, position: int) -> str:
    """The surroundings of a position, and a caret under it.

    Examples
    --------
    >>> print(picture("a + ? b", 4))
      a + ? b
          ^
    """
    start = max(0, position - SHOWN // 2)
    end = min(len(text), start + SHOWN)
    ahead, behind = "..." if start else "", "..." if end < len(text) else ""
    return (
        f"  {ahead}{visible(text[start:end])}{behind}\n  {' ' * (len(ahead) + position - start)}^"
    )


def visible(text: str) -> str:
    """The text with one harmless character for each that a terminal would not show as itself."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def quoted(text: str, most: int = 30) -> str:
    """A piece of the text, short enough for a message."""
    clean = visible(" ".join(text.split()))
    return clean if len(clean) <= most else f"{clean[: most - 3]}..."
