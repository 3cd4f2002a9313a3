"""Tokens to syntax: an operator precedence reader with its own stack, so that nothing recurses.

The result is a tuple of terms in which operands come before their users, as nodes of a graph do:
whatever reads a syntax is a loop. Precedence, from loose to tight: ``+ -``; ``* / @ .* ./``; a
sign; ``^ ** .^``, right associative; ``'`` and ``.T``. Method: Dijkstra's shunting yard (1961).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from calcbench.symbolic.text.parse_errors import ParseError, quoted
from calcbench.symbolic.text.tokens import Token, check_text, number_value, tokenize


DEEPEST = 150  # open brackets and pending powers
MOST_TERMS = 20_000
SUM, PRODUCT, SIGN, POWER = 1, 2, 3, 4
PRECEDENCE = {
    "+": SUM, "-": SUM, ".+": SUM, ".-": SUM,
    "*": PRODUCT, "/": PRODUCT, "@": PRODUCT, ".*": PRODUCT, "./": PRODUCT,
    "^": POWER, "**": POWER, ".^": POWER,
}  # fmt: skip
SPELLED = {"**": "^", "@": "*"}  # operators that mean the same


class Term(NamedTuple):
    """One part of an expression.

    Attributes
    ----------
    kind : {"number", "name", "call", "sign", "operator", "transpose"}
        What it is; a sign is always a minus.
    text : str
        The name, the function or the operator.
    operands : tuple of int
        Indices of earlier terms.
    position, start, end : int
        Where the operator or function stands, and what the whole term spans.
    value : Fraction or None
        The exact value of a number.
    """

    kind: str
    text: str
    operands: tuple[int, ...]
    position: int
    start: int
    end: int
    value: Fraction | None = None


Syntax = tuple[Term, ...]


@dataclass(slots=True)
class Pending:
    """An operator that waits for its right operand, or an open bracket (precedence 0)."""

    symbol: str
    position: int
    precedence: int
    function: Token | None = None
    arguments: int = 0


def read_syntax(text: object) -> Syntax:
    """The terms of an expression, the whole of it last.

    Raises
    ------
    ParseError
        With the position at which reading failed.

    Examples
    --------
    >>> [term.text for term in read_syntax("-x^2")]
    ['x', '2', '^', '-']
    """
    return _Reader(check_text(text)).read()


class _Reader:
    """The state of one reading: terms made, operands that wait, and operators that wait."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.terms: list[Term] = []
        self.operands: list[int] = []
        self.pending: list[Pending] = []
        self.depth = 0
        self.signed_exponent = False  # a sign now belongs to an exponent
        self.powers_quoted = False  # x^y' was just read, and ^ would be ambiguous

    def read(self) -> Syntax:
        if len(self.tokens) == 1:
            raise self.error("the text is empty; write an expression such as x'*A*x", 0)
        wants_operand, index = True, 0
        while (token := self.tokens[index]).kind != "end":
            step = self._operand if wants_operand else self._operator
            wants_operand = step(token, self.tokens[index + 1])
            index += 1
        if wants_operand:
            raise self.error("the text ends where an operand is expected", token.position)
        self._reduce(SUM)
        if self.pending:
            raise self.error("this bracket is never closed", self.pending[-1].position)
        return tuple(self.terms)

    def error(self, problem: str, position: int) -> ParseError:
        return ParseError(problem, self.text, position)

    # --- where an operand is expected: each step says whether one is still expected -------------

    def _operand(self, token: Token, following: Token) -> bool:
        sign, self.signed_exponent = self.signed_exponent, False
        if token.text == "-" or token.text == "+":
            self.signed_exponent = sign
            if token.text == "-":
                self.pending.append(Pending("-", token.position, POWER if sign else SIGN))
            return True
        if token.kind == "name" and following.text == "(":
            self._open(following, token)
            return True
        if token.text == "(":
            if not (self.pending and self.pending[-1].position == token.position):
                self._open(token, None)
            return True
        if token.kind == "operator":
            return self._no_operand(token)
        self._leaf(token)
        return False

    def _open(self, bracket: Token, function: Token | None) -> None:
        self._deeper(bracket.position)
        self.pending.append(Pending("(", bracket.position, 0, function))

    def _no_operand(self, token: Token) -> bool:
        top = self.pending[-1] if self.pending else None
        if token.text == ")" and top and top.function and not top.arguments:
            self.pending.pop()
            self._call(top.function, 0, token)
            return False
        raise self.error(f"an operand is expected, got {token.text!r}", token.position)

    def _leaf(self, token: Token) -> None:
        value = number_value(token, self.text) if token.kind == "number" else None
        end = token.position + len(token.text)
        self._push(Term(token.kind, token.text, (), token.position, token.position, end, value))

    # --- where an operator is expected ----------------------------------------------------------

    def _operator(self, token: Token, following: Token) -> bool:
        quoted_powers, self.powers_quoted = self.powers_quoted, False
        if token.text in ("'", ".T"):
            self._transpose(token)
            return False
        if token.text == ")":
            self._close(token)
            return False
        if token.text == ",":
            self._comma(token)
            return True
        if token.text not in PRECEDENCE:
            raise self.error(
                f"an operator is expected before {quoted(token.text)!r}; to multiply write *",
                token.position,
            )
        if quoted_powers and PRECEDENCE[token.text] == POWER:
            raise self.error("x^y'^z has several meanings; write brackets", token.position)
        self._binary(token)
        return True

    def _binary(self, token: Token) -> None:
        precedence = PRECEDENCE[token.text]
        if precedence == POWER:
            self._deeper(token.position)
            self.signed_exponent = True
        else:
            self._reduce(precedence)
        symbol = SPELLED.get(token.text, token.text)
        self.pending.append(Pending(symbol, token.position, precedence))

    def _transpose(self, token: Token) -> None:
        """A quote after a power is one of the whole power, as numbers need none: A^-1' = (A^-1)'"""
        self.powers_quoted = bool(self.pending) and self.pending[-1].precedence == POWER
        self._reduce(POWER)
        (operand,) = self._pop(1)
        end = token.position + len(token.text)
        start = self.terms[operand].start
        self._push(Term("transpose", "'", (operand,), token.position, start, end))

    def _close(self, token: Token) -> None:
        self._reduce(SUM)
        if not self.pending:
            raise self.error("this bracket was never opened", token.position)
        opened = self.pending.pop()
        self.depth -= 1
        if opened.function:
            self._call(opened.function, opened.arguments + 1, token)
        else:
            inner = self.operands[-1]
            wider = self.terms[inner]._replace(start=opened.position, end=token.position + 1)
            self.terms[inner] = wider

    def _comma(self, token: Token) -> None:
        self._reduce(SUM)
        if not self.pending or self.pending[-1].function is None:
            raise self.error("a comma stands only between arguments of a function", token.position)
        self.pending[-1].arguments += 1

    # --- terms ------------------------------------------------------------------------------------

    def _deeper(self, position: int) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(f"brackets and powers nest deeper than {DEEPEST}", position)

    def _reduce(self, precedence: int) -> None:
        """Make terms of the waiting operators that bind at least as tightly."""
        while self.pending and self.pending[-1].precedence >= precedence:
            self._apply(self.pending.pop())

    def _apply(self, operator: Pending) -> None:
        is_sign = operator.precedence == SIGN or (
            operator.precedence == POWER and operator.symbol == "-"
        )
        self.depth -= operator.precedence == POWER and not is_sign
        operands = self._pop(1 if is_sign else 2)
        kind = "sign" if is_sign else "operator"
        start = operator.position if is_sign else self.terms[operands[0]].start
        end = self.terms[operands[-1]].end
        self._push(Term(kind, operator.symbol, operands, operator.position, start, end))

    def _call(self, function: Token, count: int, closing: Token) -> None:
        operands = self._pop(count)
        start, end = function.position, closing.position + 1
        self._push(Term("call", function.text, operands, start, start, end))

    def _pop(self, count: int) -> tuple[int, ...]:
        popped = tuple(self.operands[len(self.operands) - count :])
        del self.operands[len(self.operands) - count :]
        return popped

    def _push(self, term: Term) -> None:
        if len(self.terms) == MOST_TERMS:
            raise self.error(f"more than {MOST_TERMS} operations and operands", term.position)
        self.operands.append(len(self.terms))
        self.terms.append(term)
