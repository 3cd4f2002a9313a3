"""Text to tokens: numbers, names, operators and brackets, each with its position."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from calcbench.graph.arraytype import DTypeError
from calcbench.symbolic.text.parse_errors import ParseError, quoted


LONGEST_TEXT = 64 * 1024
LONGEST_NAME = 64
LONGEST_NUMBER = 100  # characters

# Greek letters that look like no Latin letter.
GREEK = "αβγδεζηθκλμξπρσςτφχψωΓΔΘΛΞΠΣΦΨΩ"
NAME = rf"[A-Za-z{GREEK}][A-Za-z0-9_{GREEK}]*"
# A dot right before an operator or a T belongs to that: `2.*x` is `2 .* x`, and `2.T` is `2 .T`.
NUMBER = r"(?:[0-9]+(?:\.(?![*/^+\-]|T\b)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
OPERATOR = r"\.[*/^+\-]|\.T\b|\*\*|[-+*/^@'(),]"
TOKEN = re.compile(rf"(?P<number>{NUMBER})|(?P<name>{NAME})|(?P<operator>{OPERATOR})")
BLANK = " \t\r\n"

# Characters that are often meant for something else, with what to write instead.
INSTEAD = {
    "−": "-", "–": "-", "×": "* or .*", "·": "*", "⋅": "*", "÷": "/", "∗": "*", "′": "'",
    "’": "'", "ᵀ": "' or .T", "²": "^2", "³": "^3", "√": "sqrt(...)", "[": "(", "{": "(",
    "]": ")", "}": ")", "|": "abs(...), norm(...) or det(...)", "µ": "μ", "∂": "cb.diff",
}  # fmt: skip
# Letters of other alphabets that are drawn like Latin ones.
LOOKS_LIKE = dict(zip("аеорсухіјАВЕКМНОРСТХνοιυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
                      "aeopcyxijABEKMHOPCTXvoiuABEZHIKMNOPTYX", strict=True))  # fmt: skip


class Token(NamedTuple):
    """One word of a text; its kind is number, name, operator or end."""

    kind: str
    text: str
    position: int


def check_text(text: object, what: str = "text") -> str:
    """The text, if it is one of a length that can be read."""
    if not isinstance(text, str):
        raise DTypeError(f'{what} is a str such as "x\'*A*x", got {type(text).__name__}')
    if len(text) > LONGEST_TEXT:
        raise ParseError(
            f"the text has {len(text)} characters, and at most {LONGEST_TEXT} are read; build "
            "larger graphs in Python with calcbench.var",
            text,
            LONGEST_TEXT,
        )
    return text


def tokenize(text: str) -> list[Token]:
    """The tokens of a text, the last one of kind "end"."""
    found, position = [], 0
    while position < len(text):
        if text[position] in BLANK:
            position += 1
            continue
        token = _token_at(text, position)
        found.append(token)
        position += len(token.text)
    return [*found, Token("end", "", len(text))]


def _token_at(text: str, position: int) -> Token:
    match = TOKEN.match(text, position)
    if match is None:
        raise ParseError(_why_not(text, position), text, position)
    kind = str(match.lastgroup)
    if kind == "name" and len(match[0]) > LONGEST_NAME:
        raise ParseError(f"a name has at most {LONGEST_NAME} characters", text, position)
    return Token(kind, match[0], position)


def _why_not(text: str, position: int) -> str:
    character = text[position]
    if character == ".":
        return "attributes are not part of the grammar; after a dot may stand T, *, /, ^, + or -"
    if character == "_":
        return "a name starts with a letter"
    if character in INSTEAD:
        return f"{character!r} is not part of the grammar; write {INSTEAD[character]}"
    if character.isascii() and character.isprintable():
        return f"{character!r} is not part of the grammar: + - * / ^ ** @ .* ./ .^ .+ .- ' .T ( ) ,"
    return f"{_described(character)} is not part of the grammar; {_meant(character)}"


def _described(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'without a name')}"


def _meant(character: str) -> str:
    if character in LOOKS_LIKE:
        return f"it only looks like the Latin {LOOKS_LIKE[character]!r}"
    return f"names are made of ASCII letters, digits, _ and {GREEK}"


def number_value(token: Token, text: str) -> Fraction:
    """The exact value of a number, once it is sure that float64 can hold one near it."""
    if len(token.text) > LONGEST_NUMBER:
        raise ParseError(
            f"a number has at most {LONGEST_NUMBER} characters, this one {len(token.text)}",
            text,
            token.position,
        )
    nearest = float(token.text)
    if nearest == float("inf"):
        raise ParseError(f"{quoted(token.text)} overflows float64", text, token.position)
    if nearest == 0 and re.search("[1-9]", re.split("[eE]", token.text)[0]):
        raise ParseError(f"{quoted(token.text)} underflows float64", text, token.position)
    return Fraction(token.text) if nearest else Fraction(0)
