"""Long forms with names for parts that occur twice: text that stays as small as a graph."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection

from calcbench.symbolic.matrices.forms import Form, symbol


SHORT = 400  # parts; what is shorter is written whole
_WORTH_A_NAME = 6

Definitions = list[tuple[str, Form]]


def with_names(form: Form, taken: Collection[str]) -> tuple[Definitions, Form]:
    """Definitions in order, and the form in their terms; none for a form that is short.

    Examples
    --------
    >>> from calcbench.symbolic.matrices.forms import function, symbol
    >>> with_names(function("sin", [symbol("x", (3, 1))], (3, 1)), ["x"])[0]
    []
    """
    if form.weight <= SHORT:
        return [], form
    uses = _uses(form)
    names = (n for n in (f"t{k}" for k in itertools.count(1)) if n not in taken)
    definitions: Definitions = []
    renamed: dict[Form, Form] = {}

    def rewritten(f: Form) -> Form:
        if f not in renamed:
            inner = Form(f.op, tuple(map(rewritten, f.args)), f.shape, f.data)
            if uses[f] > 1 and f.weight >= _WORTH_A_NAME:
                definitions.append((next(names), inner))
                inner = symbol(definitions[-1][0], f.shape)
            renamed[f] = inner
        return renamed[f]

    whole = rewritten(form)
    return definitions, whole


def _uses(form: Form) -> Counter[Form]:
    """How many different forms (or the whole) each part is an argument of."""
    uses, pending, seen = Counter[Form]([form]), [form], {form}
    while pending:
        for a in pending.pop().args:
            uses[a] += 1
            if a not in seen:
                seen.add(a)
                pending.append(a)
    return uses
