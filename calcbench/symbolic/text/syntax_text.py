"""A syntax as text that reads back the same, and as LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from calcbench.symbolic.text.syntax import POWER, PRECEDENCE, SIGN, SUM, Syntax


ATOM = POWER + 1


class Piece(NamedTuple):
    """A text and how tightly its outermost operator binds."""

    text: str
    precedence: int = ATOM


def format_syntax(syntax: Syntax) -> str:
    """The text of a syntax, with no more brackets than reading it back needs.

    Examples
    --------
    >>> from calcbench.symbolic.text.syntax import read_syntax
    >>> format_syntax(read_syntax("((a*b))*(c+d)^(2)"))
    'a*b*(c + d)^2'
    """
    return _written(syntax, text_piece)


def format_latex(syntax: Syntax) -> str:
    r"""The LaTeX of a syntax.

    Examples
    --------
    >>> from calcbench.symbolic.text.syntax import read_syntax
    >>> print(format_latex(read_syntax("sin(a)^2/(b+1)")))
    \frac{\sin\left(a\right)^{2}}{b + 1}
    """
    return _written(syntax, latex_piece)


def _written(syntax: Syntax, write: Callable[[str, str, list[Piece]], Piece]) -> str:
    pieces: list[Piece] = []
    for term in syntax:
        pieces.append(write(term.kind, term.text, [pieces[i] for i in term.operands]))
    return pieces[-1].text


def _at_least(piece: Piece, precedence: int, brackets: str) -> str:
    return piece.text if piece.precedence >= precedence else brackets.format(piece.text)


# --- text ------------------------------------------------------------------------------------


def text_piece(kind: str, text: str, pieces: list[Piece]) -> Piece:
    """The text of one term, from those of its operands."""
    brackets = "({})"
    if kind == "derivative":
        return Piece(f"d/d{text}[{pieces[0].text}]")
    if kind == "call":
        return Piece(f"{text}({', '.join(p.text for p in pieces)})")
    if kind == "transpose":
        return Piece(f"{_at_least(pieces[0], ATOM, brackets)}'")
    if kind == "sign":
        return Piece(f"-{_at_least(pieces[0], SIGN, brackets)}", SIGN)
    if kind == "operator":
        return _operator_text(text, pieces, brackets)
    return Piece(text)


def _operator_text(symbol: str, pieces: list[Piece], brackets: str) -> Piece:
    precedence = PRECEDENCE[symbol]
    right_first = precedence == POWER
    left = _at_least(pieces[0], precedence + right_first, brackets)
    right = _at_least(pieces[1], precedence + (not right_first), brackets)
    space = " " if precedence == SUM or symbol.startswith(".") else ""
    return Piece(f"{left}{space}{symbol}{space}{right}", precedence)


# --- LaTeX -----------------------------------------------------------------------------------

GREEK_NAMES = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "varepsilon", "ζ": "zeta",
    "η": "eta", "θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "ξ": "xi", "π": "pi",
    "ρ": "rho", "σ": "sigma", "ς": "varsigma", "τ": "tau", "φ": "varphi", "χ": "chi", "ψ": "psi",
    "ω": "omega", "Γ": "Gamma", "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Ξ": "Xi", "Π": "Pi",
    "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip
# Functions that LaTeX has a command for; others are set upright.
COMMANDS = (
    "exp", "log", "ln", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan",
    "det", "max", "min",
)  # fmt: skip
LATEX_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
SHAPED = {
    "sqrt": r"\sqrt{{{}}}", "abs": r"\left|{}\right|", "norm": r"\left\|{}\right\|",
    "inv": r"\left({}\right)^{{-1}}", "transpose": r"\left({}\right)^{{\top}}",
}  # fmt: skip
SYMBOLS = {
    "*": r" \, ", ".*": r" \odot ", "./": r" \oslash ", "+": " + ", "-": " - ", ".+": " + ",
    ".-": " - ",
}  # fmt: skip


def latex_name(name: str) -> str:
    """A name, with Greek letters as commands and the part after the first _ as an index."""
    head, _, index = name.partition("_")
    letters = "".join(f"\\{GREEK_NAMES[c]} " if c in GREEK_NAMES else c for c in head).strip()
    main = letters if len(head) == 1 else rf"\mathrm{{{letters}}}"
    return rf"{main}_{{{index.replace('_', ',')}}}" if index else main


def latex_piece(kind: str, text: str, pieces: list[Piece]) -> Piece:
    """The LaTeX of one term, from that of its operands."""
    brackets = r"\left({}\right)"
    if kind == "derivative":
        by = latex_name(text)
        return Piece(rf"\frac{{d}}{{d{by}}}\left[{pieces[0].text}\right]")
    if kind == "call":
        return Piece(_call_latex(text, [p.text for p in pieces]))
    if kind == "transpose":
        return Piece(rf"{_at_least(pieces[0], ATOM, brackets)}^{{\top}}", POWER)
    if kind == "sign":
        return Piece(f"-{_at_least(pieces[0], SIGN, brackets)}", SIGN)
    if kind == "operator":
        return _operator_latex(text, pieces, brackets)
    return Piece(text if kind == "number" else latex_name(text))


def _call_latex(name: str, arguments: list[str]) -> str:
    if name in SHAPED:
        return SHAPED[name].format(*arguments)
    known = LATEX_NAMES.get(name, name)
    command = f"\\{known}" if known in COMMANDS else rf"\operatorname{{{name}}}"
    return rf"{command}\left({', '.join(arguments)}\right)"


def _operator_latex(symbol: str, pieces: list[Piece], brackets: str) -> Piece:
    if symbol == "/":
        return Piece(rf"\frac{{{pieces[0].text}}}{{{pieces[1].text}}}", POWER)
    precedence = PRECEDENCE[symbol]
    if precedence == POWER:
        base = _at_least(pieces[0], ATOM, brackets)
        circle = r"\circ " if symbol == ".^" else ""
        return Piece(f"{base}^{{{circle}{pieces[1].text}}}", POWER)
    left = _at_least(pieces[0], precedence, brackets)
    right = _at_least(pieces[1], SUM + 1 if precedence == SUM else POWER, brackets)
    return Piece(f"{left}{SYMBOLS[symbol]}{_unsigned(right, brackets)}", precedence)


def _unsigned(text: str, brackets: str) -> str:
    return brackets.format(text) if text.startswith("-") else text
