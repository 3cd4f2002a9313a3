"""What shape every term of a syntax has: one loop, in which unknown sizes are equated."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from calcbench.symbolic.text.constants import folded
from calcbench.symbolic.text.declarations import Draft
from calcbench.symbolic.text.forms import OPERATOR_FORMS, SCALAR, Form, Operand, transposed
from calcbench.symbolic.text.listed_functions import find_listed, near_matches
from calcbench.symbolic.text.parse_errors import ParseError, TextShapeError
from calcbench.symbolic.text.sizes import Misfit, Sizes
from calcbench.symbolic.text.syntax import Syntax, Term


def infer_forms(
    text: str, syntax: Syntax, drafts: Mapping[str, Draft], sizes: Sizes
) -> list[Operand]:
    """The form of every term, and its value where it is a number.

    Raises
    ------
    ParseError
        At the operator or function whose operands do not fit.
    """
    found: list[Operand] = []
    for term in syntax:
        operands = [found[i] for i in term.operands]
        try:
            form = _form(term, operands, drafts, sizes)
            constant = _constant(term, operands)
            found.append(Operand(form, text, term.start, term.end, constant))
        except Misfit as misfit:
            kind = TextShapeError if misfit.of_shapes else ParseError
            raise kind(str(misfit), text, term.position) from None
    return found


def _form(term: Term, operands: list[Operand], drafts: Mapping[str, Draft], sizes: Sizes) -> Form:
    if term.kind == "operator":
        return OPERATOR_FORMS[term.text](operands[0], operands[1], sizes)
    if term.kind == "call":
        return _call_form(term, operands, sizes)
    if term.kind == "name":
        return _variable_form(term.text, drafts[term.text])
    if term.kind == "transpose":
        return transposed(operands[0].form)
    return operands[0].form if term.kind == "sign" else SCALAR


def _variable_form(name: str, draft: Draft) -> Form:
    if find_listed(name) is not None:
        raise Misfit(
            f"{name} is a function: write {name}(...), or rename the variable", of_shapes=False
        )
    kinds = {"scalar": "scalar", "constant": "scalar", "vector": "column"}
    return Form(kinds.get(draft.structure, "matrix"), draft.sizes)


def _call_form(term: Term, operands: list[Operand], sizes: Sizes) -> Form:
    listed = find_listed(term.text)
    if listed is None:
        unknown = f"{term.text!r} is no listed function; {near_matches(term.text)}"
        raise Misfit(unknown, of_shapes=False)
    if len(operands) != listed.arity:
        plural = "" if listed.arity == 1 else "s"
        raise Misfit(
            f"{term.text} takes {listed.arity} argument{plural}, got {len(operands)}",
            of_shapes=False,
        )
    return listed.form(operands, sizes)


def _constant(term: Term, operands: list[Operand]) -> Fraction | None:
    if term.kind == "number":
        return term.value
    return folded(term, [o.constant for o in operands])
