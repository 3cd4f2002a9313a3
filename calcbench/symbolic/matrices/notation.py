"""How matrix forms are written for people: one table of templates a syntax, one writer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from calcbench.symbolic.matrices.forms import Form, num, raised, transposed


Syntax = dict[str, str]

# Levels of binding, loosest first: what stands inside brackets where a tighter one is needed.
SUM, PRODUCT, TIGHT, ATOM = range(4)

UNICODE: Syntax = {
    "brackets": "({0})",
    "call": "{0}({1})",
    "transpose": "{0}ᵀ",
    "inv": "{0}⁻¹",
    "inv transpose": "{0}⁻ᵀ",
    "power": "{0}^{1}",
    "entry power": "{0}^∘{1}",
    "root": "√({0})",
    "norm": "‖{0}‖",
    "norm F": "‖{0}‖_F",
    "fraction": "{0} / {1}",
    "times": " ",
    "hadamard": " ∘ ",
    "over": " ⊘ ",
    "kron": " ⊗ ",
    "logabsdet": "log|det({0})|",
    "det": "det({0})",
    "trace": "tr({0})",
    "diag": "diag({0})",
    "Diag": "Diag({0})",
    "vec": "vec({0})",
    "ones": "𝟏",
    "eye": "I",
    "zero": "0",
    "triangle": "{0}(𝟏 𝟏ᵀ)",
    "triangular": "{0}({1})",
    "commutation": "K",
    "step": "[{0} > {1}]",
    "absolute": "|{0}|",
}

LATEX: Syntax = UNICODE | {
    "brackets": r"\left({0}\right)",
    "call": r"{0}\left({1}\right)",
    "transpose": "{0}^{{\\top}}",
    "inv": "{0}^{{-1}}",
    "inv transpose": "{0}^{{-\\top}}",
    "power": "{0}^{{{1}}}",
    "entry power": "{0}^{{\\circ {1}}}",
    "root": r"\sqrt{{{0}}}",
    "norm": r"\lVert {0} \rVert",
    "norm F": r"\lVert {0} \rVert_F",
    "fraction": r"\frac{{{0}}}{{{1}}}",
    "times": r" \, ",
    "hadamard": r" \odot ",
    "over": r" \oslash ",
    "kron": r" \otimes ",
    "logabsdet": r"\log \lvert \det\left({0}\right) \rvert",
    "det": r"\det\left({0}\right)",
    "trace": r"\operatorname{{tr}}\left({0}\right)",
    "diag": r"\operatorname{{diag}}\left({0}\right)",
    "Diag": r"\operatorname{{Diag}}\left({0}\right)",
    "vec": r"\operatorname{{vec}}\left({0}\right)",
    "ones": r"\mathbf{{1}}",
    "triangle": r"\operatorname{{{0}}}\left(\mathbf{{1}}\mathbf{{1}}^{{\top}}\right)",
    "triangular": r"\operatorname{{{0}}}\left({1}\right)",
    "step": r"\left[{0} > {1}\right]",
    "absolute": r"\lvert {0} \rvert",
}

# Names of functions that act entry by entry, where the row's name is not the field's.
FUNCTIONS = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "sign_at": "sign",
    "sigmoid": "σ",
    "maximum": "max",
    "minimum": "min",
}
STEPS = ("larger_share", "greater", "greater_equal")  # 1 where the first is larger, else 0
TRIANGLES = {"lower": "tril", "upper": "triu"}
_LATEX_FUNCTIONS = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min")


def function_name(name: str) -> str:
    """A row's name without its params, as the field writes it."""
    plain = name.split(",")[0]
    return FUNCTIONS.get(plain, plain)


def written(f: Form, syntax: Syntax) -> str:
    """The form as text.

    Examples
    --------
    >>> from calcbench.symbolic.matrices.forms import product, symbol, transposed
    >>> a, x = symbol("A", (3, 3)), symbol("x", (3, 1))
    >>> written(product([transposed(a), x]), UNICODE)
    'Aᵀ x'
    """
    return _Writer(syntax).at(f, SUM)


class _Writer:
    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.is_latex = syntax is LATEX

    def at(self, f: Form, level: int) -> str:
        """The form, in brackets if it binds more loosely than `level`."""
        own, text = self.text(f)
        return text if own >= level else self.fill("brackets", text)

    def fill(self, template: str, *parts: str) -> str:
        return self.syntax[template].format(*parts)

    def text(self, f: Form) -> tuple[int, str]:
        """How tightly the form binds, and what it reads."""
        writer = getattr(self, f"_{f.op}", None)
        if writer is None:
            return ATOM, self.fill(f.op, *(self.at(a, SUM) for a in f.args))
        level, text = writer(f)
        return level, text

    def _symbol(self, f: Form) -> tuple[int, str]:
        name = f.data[0]
        return ATOM, name if len(name) == 1 or not self.is_latex else rf"\mathit{{{name}}}"

    def _number(self, f: Form) -> tuple[int, str]:
        if f.data.denominator == 1:
            return (ATOM if f.data >= 0 else SUM), str(f.data)
        if f.data.denominator > 10**6:
            return (ATOM if f.data >= 0 else SUM), repr(float(f.data))
        sign = "-" if f.data < 0 else ""
        shown = self.fill("fraction", str(abs(f.data.numerator)), str(f.data.denominator))
        return PRODUCT, sign + shown.replace(" / ", "/")

    def _size(self, f: Form) -> tuple[int, str]:
        return ATOM, str(f.data)

    def _triangle(self, f: Form) -> tuple[int, str]:
        return ATOM, self.fill("triangle", TRIANGLES[f.data])

    def _triangular(self, f: Form) -> tuple[int, str]:
        return ATOM, self.fill("triangular", TRIANGLES[f.data], self.at(f.args[0], SUM))

    def _sum(self, f: Form) -> tuple[int, str]:
        shown = ""
        for sign, a in zip(f.data, f.args, strict=True):
            text = self.at(a, SUM if sign > 0 else PRODUCT)
            joint = (" + " if sign > 0 else " − ") if shown else ("" if sign > 0 else "−")
            shown += joint + text
        return SUM, shown.replace("−", "-")

    def _product(self, f: Form) -> tuple[int, str]:
        norm = norm_of(f) if f.is_scalar else None
        if norm is not None and norm.op not in ("symbol", "ones"):
            return TIGHT, self.fill("power", self.fill("norm", self.at(norm, SUM)), "2")
        runs = [(a, len(list(run))) for a, run in itertools.groupby(f.args)]
        parts = [
            self.at(a, TIGHT) if n == 1 else self.fill("power", self.at(a, ATOM), str(n))
            for a, n in runs
        ]
        return (TIGHT if len(runs) == 1 else PRODUCT), self.syntax["times"].join(parts)

    def _scale(self, f: Form) -> tuple[int, str]:
        over, under = fraction(f)
        sign = "-" if f.data < 0 else ""
        level = SUM if sign else PRODUCT
        if not under:
            return level, sign + self._times(over)
        if self.is_latex:
            return level, sign + self.fill("fraction", self._times(over), self._times(under))
        several = len(under) > 1
        below = self.fill("brackets", self._times(under)) if several else self.at(under[0], TIGHT)
        return level, sign + self.fill("fraction", self._times(over), below)

    def _times(self, forms: Sequence[Form]) -> str:
        """Factors side by side; numbers alone when there is nothing else."""
        if len(forms) == 1:
            return self.at(forms[0], PRODUCT)
        last = PRODUCT if forms[-1].op in ("product", "kron") else TIGHT
        shown = [*(self.at(a, TIGHT) for a in forms[:-1]), self.at(forms[-1], last)]
        return self.syntax["times"].join(shown)

    def _trace(self, f: Form) -> tuple[int, str]:
        norm = norm_of(f)
        if norm is not None and norm.op != "symbol":
            return TIGHT, self.fill("power", self.fill("norm F", self.at(norm, SUM)), "2")
        return ATOM, self.fill("trace", self.at(f.args[0], SUM))

    def _hadamard(self, f: Form) -> tuple[int, str]:
        over = [a for a in f.args if not _is_reciprocal(a)]
        under = [raised(a, Fraction(-1)) for a in f.args if _is_reciprocal(a)]
        text = self.syntax["hadamard"].join(self.at(a, TIGHT) for a in over) or "1"
        for a in under:
            text += self.syntax["over"] + self.at(a, TIGHT)
        return PRODUCT, text

    def _kron(self, f: Form) -> tuple[int, str]:
        return PRODUCT, self.syntax["kron"].join(self.at(a, TIGHT) for a in f.args)

    def _transpose(self, f: Form) -> tuple[int, str]:
        (inner,) = f.args
        if inner.op == "inv":
            return TIGHT, self.fill("inv transpose", self.at(inner.args[0], ATOM))
        return TIGHT, self.fill("transpose", self.at(inner, ATOM))

    def _inv(self, f: Form) -> tuple[int, str]:
        (inner,) = f.args
        if inner.op == "transpose":
            return TIGHT, self.fill("inv transpose", self.at(inner.args[0], ATOM))
        return TIGHT, self.fill("inv", self.at(inner, ATOM))

    def _power(self, f: Form) -> tuple[int, str]:
        (inner,) = f.args
        norm = norm_of(inner)
        if f.is_scalar and f.data > 0 and norm is not None and f.data.denominator == 2:
            shown = self.fill(*self._norm(norm, inner))
            twice = f.data * 2
            return TIGHT, shown if twice == 1 else self.fill("power", shown, str(twice))
        if f.data == Fraction(1, 2) and f.is_scalar:
            return ATOM, self.fill("root", self.at(inner, SUM))
        if f.data < 0 and not f.is_scalar:
            return PRODUCT, "1" + self.syntax["over"] + self.at(raised(inner, -f.data), TIGHT)
        if f.data < 0 and f.is_scalar:
            return PRODUCT, self.fill("fraction", "1", self.at(raised(inner, -f.data), TIGHT))
        template = "power" if f.is_scalar else "entry power"
        exponent = str(f.data) if f.data.denominator == 1 or self.is_latex else f"({f.data})"
        return TIGHT, self.fill(template, self.at(inner, ATOM), exponent)

    def _norm(self, norm: Form, inner: Form) -> tuple[str, str]:
        return ("norm F" if inner.op == "trace" else "norm"), self.at(norm, SUM)

    def _function(self, f: Form) -> tuple[int, str]:
        name = function_name(f.data)
        if name in STEPS:
            return ATOM, self.fill("step", *(self.at(a, SUM) for a in f.args))
        if name == "abs":
            return ATOM, self.fill("absolute", self.at(f.args[0], SUM))
        if self.is_latex:
            plain = {"σ": r"\sigma"}.get(name, rf"\operatorname{{{name}}}")
            name = f"\\{name}" if name in _LATEX_FUNCTIONS else plain
        return ATOM, self.fill("call", name, ", ".join(self.at(a, SUM) for a in f.args))


def _is_reciprocal(f: Form) -> bool:
    return f.op == "power" and f.data < 0


def fraction(f: Form) -> tuple[list[Form], list[Form]]:
    """What stands above and below the line of a scaled form, signs aside."""
    above: list[Form] = []
    below: list[Form] = []
    number = abs(f.data)
    for a in f.args:
        if a.is_scalar and _is_reciprocal(a):
            below.append(raised(a.args[0], -a.data))
        elif a != num(1):
            above.append(a)
    if number.denominator > 10**6:
        above.insert(0, num(number))
    else:
        if number.numerator != 1 or not above:
            above.insert(0, num(number.numerator))
        if number.denominator != 1:
            below.insert(0, num(number.denominator))
    return above, below


def norm_of(f: Form) -> Form | None:
    """x if the form is x'x, X if it is tr(X'X): the squares of norms."""
    inner = f.args[0] if f.op == "trace" else f
    if inner.op != "product" or len(inner.args) % 2:
        return None
    half = len(inner.args) // 2
    left, right = inner.args[:half], inner.args[half:]
    if tuple(transposed(a) for a in reversed(left)) != right:
        return None
    if f.op != "trace" and not f.is_scalar:
        return None
    shape = (right[0].shape[0], right[-1].shape[1])
    return right[0] if half == 1 else Form("product", right, shape)
