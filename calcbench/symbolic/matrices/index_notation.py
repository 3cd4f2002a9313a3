"""How tensors in index notation are written: for people, and for np.einsum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from calcbench.symbolic.matrices.indexed import (
    Base,
    Delta,
    Factor,
    Function,
    Group,
    Index,
    MatrixFunction,
    Pack,
    Size,
    Symbol,
    Tensor,
    Term,
    Triangle,
)
from calcbench.symbolic.matrices.notation import (
    LATEX,
    STEPS,
    UNICODE,
    Syntax,
    function_name,
    written,
)
from calcbench.symbolic.matrices.recognition import recognised
from calcbench.symbolic.matrices.sources import MATRIX_CALLS, call_text, extent, safe_name


LETTERS = "ijklpqrstuvwabcdefgh"


def named(tensor: Tensor, names: Sequence[str], latex: bool = False) -> str:
    """The sum with its slots called `names`.

    Examples
    --------
    >>> from calcbench.symbolic.matrices.algebra import bind, factor, times
    >>> from calcbench.symbolic.matrices.indexed import Symbol, fresh
    >>> i, j = fresh(3), fresh(4)
    >>> terms = bind(times(factor(Symbol("A"), i, j), factor(Symbol("x"), j)), [j])
    >>> named(Tensor((i,), terms), ["i"])
    'Σ_j A_ij x_j'
    """
    labels = dict(zip(tensor.slots, names, strict=True))
    return _sum(tensor, labels, latex)


def _sum(tensor: Tensor, labels: Mapping[Index, str], latex: bool) -> str:
    shown = ""
    for term in tensor.terms:
        sign = "-" if term.coefficient < 0 else ("+" if shown else "")
        gap = " " if shown else ""
        shown += f"{gap}{sign}{gap}{_term(term, labels, latex)}"
    return shown or "0"


def _term(term: Term, labels: Mapping[Index, str], latex: bool) -> str:
    taken = set(labels.values())
    free = (letter for letter in LETTERS if letter not in taken)
    ordered = dict.fromkeys(i for f in term.factors for i in f.indices if i in term.bound)
    bound = {i: next(free) for i in ordered}
    every = {**labels, **bound}
    size = abs(term.coefficient)
    parts = [] if size == 1 and term.factors else [_number(size)]
    if bound:
        letters = "".join(bound.values())
        parts.append(rf"\sum_{{{letters}}}" if latex else f"Σ_{letters}")
    parts += [_factor(f, every, latex) for f in term.factors]
    return " ".join(parts)


def _number(value: Fraction) -> str:
    return str(value) if value.denominator < 10**6 else repr(float(value))


def _factor(f: Factor, labels: Mapping[Index, str], latex: bool) -> str:
    letters = "".join(labels[i] for i in f.indices)
    text = _base(f.base, f.indices, letters, labels, latex)
    if f.exponent == 1:
        return text
    power = f"^{{{f.exponent}}}" if latex else f"^{f.exponent}"
    return (f"({text})" if "_" in text or " " in text else text) + power


def _base(
    base: Base, indices: Sequence[Index], letters: str, labels: Mapping[Index, str], latex: bool
) -> str:
    below = f"_{{{letters}}}" if latex and letters else f"_{letters}" if letters else ""
    if isinstance(base, Group):
        return f"({_inside(base.tensor, indices, labels, latex)})"
    if isinstance(base, Function):
        inner = ", ".join(_inside(a, indices, labels, latex) for a in base.arguments)
        if function_name(base.name) in STEPS:
            return f"[{inner.replace(', ', ' > ')}]"
        return f"{function_name(base.name)}({inner})"
    if isinstance(base, MatrixFunction):
        form = recognised(base.argument.terms, base.argument.slots)
        shown = _alone(base.argument, latex) if form is None else written(form, _syntax(latex))
        return f"{base.name}({shown}){below}"
    if isinstance(base, Symbol):
        return base.name + below
    if isinstance(base, Size):
        return str(base.dim)
    name = {Delta: r"\delta" if latex else "δ", Pack: "pack"}.get(type(base), base.key)
    return name + below


def _syntax(latex: bool) -> Syntax:
    return LATEX if latex else UNICODE


def _alone(tensor: Tensor, latex: bool) -> str:
    """A tensor that has no matrix notation, with letters of its own."""
    letters = dict(zip(tensor.slots, LETTERS, strict=False))
    left = "".join(letters[i] for i in tensor.slots)
    return f"{left}: {_sum(tensor, letters, latex)}"


def _inside(
    tensor: Tensor, indices: Sequence[Index], labels: Mapping[Index, str], latex: bool
) -> str:
    renamed = {slot: labels[i] for slot, i in zip(tensor.slots, indices, strict=True)}
    return _sum(tensor, {**{i: t for i, t in labels.items() if i not in renamed}, **renamed}, latex)


# --- np.einsum -----------------------------------------------------------------------------------


def einsum_text(tensor: Tensor) -> str:
    """The sum as NumPy source made of calls of np.einsum."""
    shown = ""
    for term in tensor.terms:
        sign = " - " if term.coefficient < 0 else " + " if shown else ""
        shown += (sign if shown else sign.strip()) + _einsum(term, tensor.slots)
    return shown or f"np.zeros({_shape(tensor.slots)})"


def _shape(indices: Sequence[Index]) -> str:
    return f"({', '.join(_extent(i) for i in indices)}{',' if len(indices) == 1 else ''})"


def _extent(index: Index) -> str:
    return extent(index.size)


def _einsum(term: Term, slots: Sequence[Index]) -> str:
    order = dict.fromkeys([*slots, *(i for f in term.factors for i in f.indices)])
    letters = {i: LETTERS[k] for k, i in enumerate(order)}
    used = {i for f in term.factors for i in f.indices}
    operands = [_operand(f) for f in term.factors]
    labels = ["".join(letters[i] for i in f.indices) for f in term.factors]
    for slot in slots:  # what does not depend on an axis is repeated along it
        if slot not in used:
            operands.append(f"np.ones({_extent(slot)})")
            labels.append(letters[slot])
    size = abs(term.coefficient)
    front = "" if size == 1 and operands else f"{_source_number(size)} * "
    if not operands:
        return front.removesuffix(" * ")
    target = "".join(letters[i] for i in slots)
    if labels == [target]:
        return front + operands[0]
    return f"{front}np.einsum('{','.join(labels)}->{target}', {', '.join(operands)})"


def _source_number(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value)
    return (
        f"{value.numerator} / {value.denominator}"
        if value.denominator < 10**6
        else repr(float(value))
    )


def _operand(f: Factor) -> str:
    base, text = f.base, ""
    if isinstance(base, Symbol):
        text = safe_name(base.name)
    elif isinstance(base, Delta):
        text = f"np.eye({_extent(f.indices[0])})"
    elif isinstance(base, Triangle):
        name = {"lower": "tril", "upper": "triu"}[base.side]
        text = f"np.{name}(np.ones({_shape(f.indices)}))"
    elif isinstance(base, Size):
        text = str(base.dim)
    elif isinstance(base, Group):
        text = f"({einsum_text(base.tensor)})"
    elif isinstance(base, Function):
        text = call_text(base.name, [einsum_text(a) for a in base.arguments])
    elif isinstance(base, MatrixFunction):
        text = MATRIX_CALLS[base.name].format(einsum_text(base.argument))
    else:
        whole, first, second = map(_extent, f.indices)
        text = (
            f"(np.arange({whole})[:, None, None] == np.arange({first})[:, None] * {second}"
            f" + np.arange({second})) * 1.0"
        )
    return text if f.exponent == 1 else f"({text}) ** ({_source_number(f.exponent)})"
