"""Texts: what they mean, what shapes they get, and where an error is."""

import copy
import math
from fractions import Fraction

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.checker import check_graph
from calcbench.symbolic.text.grammar import parse_text
from calcbench.symbolic.text.listed_functions import LISTED, SPELLINGS, find_listed
from calcbench.symbolic.text.syntax import read_syntax


SIZES = {"n": 3, "m": 4, "k": 2, "l": 5, "p": 6}

# text -> its value by NumPy, from the bound variables. Undeclared names follow their letters.
MEANINGS = {
    "A*x": lambda A, x: A @ x,
    "A@x": lambda A, x: A @ x,
    "x'*y": lambda x, y: x @ y,
    "x*y'": lambda x, y: np.outer(x, y),
    "x.T*A*y": lambda x, A, y: x @ A @ y,
    "x'*A": lambda x, A: (x @ A)[None, :],
    "x'": lambda x: x[None, :],
    "x'' - x": lambda x: x - x,
    "a*A*b": lambda a, A, b: a * A * b,
    "A*a*x": lambda A, a, x: a * (A @ x),
    "A/a": lambda A, a: A / a,
    "x/2": lambda x: x / 2,
    "A'*B": lambda A, B: A.T @ B,
    "(A*B)'": lambda A, B: (A @ B).T,
    "(A*B).T*C": lambda A, B, C: (A @ B).T @ C,
    "x.*y": lambda x, y: x * y,
    "x./y": lambda x, y: x / y,
    "x.^y": lambda x, y: x**y,
    "x.^2": lambda x: x**2,
    "2.*x": lambda x: 2 * x,
    "2.^x": lambda x: 2**x,
    "A.*B./2": lambda A, B: A * B / 2,
    "A.^2": lambda A: A**2,
    "A .+ 1": lambda A: A + 1,
    "A .- a": lambda A, a: A - a,
    "1 + x": lambda x: 1 + x,
    "x - a": lambda x, a: x - a,
    "A^2": lambda A: A @ A,
    "A**3": lambda A: A @ A @ A,
    "A^0": lambda A: np.eye(len(A)),
    "A^1*x": lambda A, x: A @ x,
    "A^-1": lambda A: np.linalg.inv(A),
    "A^-2*x": lambda A, x: np.linalg.inv(A @ A) @ x,
    "A^-1'": lambda A: np.linalg.inv(A).T,
    "A^2'*x": lambda A, x: (A @ A).T @ x,
    "A^(1+1)": lambda A: A @ A,
    "-a^2": lambda a: -(a**2),
    "-a'": lambda a: -a,
    "-a'^2": lambda a: -(a**2),
    "2^-1": lambda: 0.5,
    "2^-a": lambda a: 2**-a,
    "2^-a^2": lambda a: 2 ** -(a**2),
    "a^b^c": lambda a, b, c: a ** (b**c),
    "(a^b)^c": lambda a, b, c: (a**b) ** c,
    "a**b*c": lambda a, b, c: a**b * c,
    "a-b-c": lambda a, b, c: a - b - c,
    "a/b/c": lambda a, b, c: a / b / c,
    "a/b*c": lambda a, b, c: a / b * c,
    "a-b*c^2": lambda a, b, c: a - b * c**2,
    "a*-b": lambda a, b: -(a * b),
    "a - -b": lambda a, b: a + b,
    "+a": lambda a: a,
    "---a": lambda a: -a,
    "a^0.5": lambda a: math.sqrt(a),
    "a^(1/3)": lambda a: math.cbrt(a),
    "0.1*a": lambda a: 0.1 * a,
    ".5e1 + 1.": lambda: 6.0,
    "1e-3": lambda: 0.001,
    " a\t+\nb ": lambda a, b: a + b,
    "α*x_1 + β1": lambda α, x_1, β1: α * x_1 + β1,
    "exp(x)": lambda x: np.exp(x),
    "exp(A)": lambda A: np.exp(A),
    "log(x.*x)": lambda x: np.log(x * x),
    "ln(a)": lambda a: math.log(a),
    "sin(a)^2 + cos(a)^2": lambda a: 1.0,
    "tanh(x)'*y": lambda x, y: np.tanh(x) @ y,
    "asin(a/9)": lambda a: math.asin(a / 9),
    "abs(-a)": lambda a: abs(a),
    "sign(x)": lambda x: np.sign(x),
    "erf(a) + erfc(a)": lambda a: 1.0,
    "relu(x - 1)": lambda x: np.maximum(x - 1, 0),
    "sigmoid(x)": lambda x: 1 / (1 + np.exp(-x)),
    "softplus(x)": lambda x: np.log(1 + np.exp(x)),
    "max(x, y)": lambda x, y: np.maximum(x, y),
    "min(A, a)": lambda A, a: np.minimum(A, a),
    "max(max(a, b), c)": lambda a, b, c: max(a, b, c),
    "pow(a, 3)": lambda a: a**3,
    "pow(x, a)": lambda x, a: x**a,
    "det(A)": lambda A: np.linalg.det(A),
    "logdet(A)": lambda A: np.linalg.slogdet(A)[1],
    "inv(A)*x": lambda A, x: np.linalg.solve(A, x),
    "tr(A*B)": lambda A, B: np.trace(A @ B),
    "trace(A)": lambda A: np.trace(A),
    "diag(A)": lambda A: np.diag(A),
    "diag(x)*A": lambda x, A: x[:, None] * A,
    "Diag(x)": lambda x: np.diag(x),
    "sum(x)": lambda x: x.sum(),
    "sum(A)": lambda A: A.sum(),
    "norm(x)": lambda x: math.sqrt(x @ x),
    "norm2(x)^2": lambda x: x @ x,
    "norm1(x)": lambda x: np.abs(x).sum(),
    "norm(A)": lambda A: math.sqrt((A * A).sum()),
    "normF(A*B)": lambda A, B: math.sqrt(((A @ B) ** 2).sum()),
    "outer(x, y)": lambda x, y: x[:, None] * y,
    "dot(x, y)": lambda x, y: x @ y,
    "kron(A, B)": lambda A, B: np.kron(A, B),
    "kron(A, B)*z": lambda A, B, z: np.kron(A, B) @ z,
    "vec(A)": lambda A: A.flatten("F"),
    "vec(A)'*vec(A)": lambda A: (A * A).sum(),
    "transpose(A)*x": lambda A, x: A.T @ x,
    "sum(log(1 + exp(-y.*(X*w))))": lambda y, X, w: np.log(1 + np.exp(-y * (X @ w))).sum(),
    "log(sum(exp(x)))": lambda x: math.log(np.exp(x).sum()),
    "(x'*A*x)/(x'*x)": lambda x, A: (x @ A @ x) / (x @ x),
}


def extent(dim):
    if isinstance(dim, int):
        return dim
    return math.prod(int(f) if f.isdigit() else SIZES[f] for f in str(dim).split("*"))


def example(graph, rng):
    """Values of the inputs, positive, and of square matrices that are far from singular."""
    values = {}
    for name, index in zip(graph.input_names, graph.inputs, strict=True):
        shape = tuple(extent(d) for d in graph.types[index].shape)
        square = len(shape) == 2 and shape[0] == shape[1]
        values[name] = rng.uniform(0.5, 2.0, shape) + (4 * np.eye(shape[0]) if square else 0.0)
    return values


@pytest.mark.parametrize("text", MEANINGS)
def test_a_text_means_what_numpy_computes(text, rng):
    graph = check_graph(cb.parse(text))
    values = example(graph, rng)
    expected = MEANINGS[text](**values)
    found = graph.bind(**values)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_every_function_of_the_table_has_its_value():
    """Entry by entry against the math module, on vectors; the rest is in MEANINGS."""
    own = {
        "abs": abs, "sign": lambda v: math.copysign(1, v), "relu": lambda v: max(v, 0.0),
        "sigmoid": lambda v: 1 / (1 + math.exp(-v)), "softplus": lambda v: math.log1p(math.exp(v)),
        "max": max, "min": min, "ln": math.log, "arcsin": math.asin, "arccos": math.acos,
        "arctan": math.atan, "arcsinh": math.asinh, "arccosh": math.acosh, "arctanh": math.atanh,
        "maximum": max, "minimum": min, "arctan2": math.atan2,
        "digamma": lambda v: (math.lgamma(v + 1e-5) - math.lgamma(v - 1e-5)) / 2e-5,
    }  # fmt: skip
    x, y = np.array([0.3, 0.7]), np.array([0.9, 0.2])
    for name in [*LISTED, *SPELLINGS]:
        listed = find_listed(name)
        if listed.entrywise:
            shift = 1.0 if "cosh" in name and name.startswith("a") else 0.0
            values = {"x": x + shift, "y": y}
            text = f"{name}(x)" if listed.arity == 1 else f"{name}(x, y)"
            graph = cb.parse(text, x="vector(2)")
            found = graph.bind(**{n: values[n] for n in graph.input_names})
            function = own.get(name) or getattr(math, name)
            columns = zip(*[values[n] for n in graph.input_names], strict=True)
            np.testing.assert_allclose(found, [function(*c) for c in columns], rtol=1e-9)


SMOOTH = [text for text in MEANINGS if "sign" not in text and cb.parse(text).inputs]


@pytest.mark.parametrize("text", SMOOTH)
def test_a_parsed_graph_has_both_derivatives(text, rng):
    """Forward against central differences of the bound graph, reverse by the inner product."""
    graph = cb.parse(text)
    values = example(graph, rng)
    tangents = {f"d{n}": rng.normal(size=np.shape(v)) for n, v in values.items()}

    def moved(h):
        return graph.bind(**{n: v + h * tangents[f"d{n}"] for n, v in values.items()})

    expected = (moved(1e-5) - moved(-1e-5)) / 2e-5
    value, tangent = check_graph(cb.jvp_graph(graph)).bind(**values, **tangents)
    np.testing.assert_allclose(tangent, expected, rtol=1e-5, atol=1e-5 * (1 + np.abs(value).max()))
    ct = rng.normal(size=np.shape(value))
    _, *pulled = check_graph(cb.vjp_graph(graph)).bind(**values, ct0=ct)
    adjoint = sum(np.sum(p * tangents[f"d{n}"]) for n, p in zip(values, pulled, strict=True))
    np.testing.assert_allclose(adjoint, np.sum(ct * tangent), rtol=1e-9, atol=1e-9)


# text -> the shapes that letters and operators give
SHAPES = {
    "A*x": "(A: f64[m,n], x: f64[n]) -> (f64[m])",
    "x'*A*y": "(x: f64[n], A: f64[n,m], y: f64[m]) -> (f64[])",
    "x'*A*x": "(x: f64[n], A: f64[n,n]) -> (f64[])",
    "A*B": "(A: f64[m,n], B: f64[n,k]) -> (f64[m,k])",
    "A*A": "(A: f64[n,n]) -> (f64[n,n])",
    "A + A'": "(A: f64[n,n]) -> (f64[n,n])",
    "A + B'": "(A: f64[m,n], B: f64[n,m]) -> (f64[m,n])",
    "X*w - y": "(X: f64[m,n], w: f64[n], y: f64[m]) -> (f64[m])",
    "det(A)": "(A: f64[n,n]) -> (f64[])",
    "a*m": "(a: f64[], m: f64[n]) -> (f64[n])",
    "norm(n) + norm(x)": "(n: f64[m], x: f64[k]) -> (f64[])",
    "x'": "(x: f64[n]) -> (f64[1,n])",
    "h + i'*i": "(h: f64[], i: f64[n]) -> (f64[])",
    "e*pi": "(e: f64[], pi: f64[n]) -> (f64[n])",
    "kron(A, B)": "(A: f64[m,n], B: f64[k,l]) -> (f64[k*m,l*n])",
    "vec(A) + z": "(A: f64[m,n], z: f64[m*n]) -> (f64[m*n])",
    "x*y'*z": "(x: f64[n], y: f64[m], z: f64[m]) -> (f64[n])",
    "outer(x, y)*z": "(x: f64[n], y: f64[m], z: f64[m]) -> (f64[n])",
    "Diag(x)*A": "(x: f64[n], A: f64[n,m]) -> (f64[n,m])",
    "lambda + a": "(lambda: f64[n], a: f64[]) -> (f64[n])",
    "0*a": "(a: f64[]) -> (f64[])",
    "A^0": "(A: f64[n,n]) -> (f64[n,n])",
    "2": "() -> (f64[])",
}


@pytest.mark.parametrize("text", SHAPES)
def test_sizes_are_equated_by_the_operators(text):
    assert cb.parse(text).signature == SHAPES[text]


DECLARED = [
    ("x'*S*x", {"S": "symmetric(n)", "x": "vector(n)"}, "(x: f64[n], S: f64[n,n]) -> (f64[])"),
    ("A*x", {"A": "matrix(2, 3)"}, "(A: f64[2,3], x: f64[3]) -> (f64[2])"),
    ("A*x", {"x": " vector ( 7 ) "}, "(A: f64[n,7], x: f64[7]) -> (f64[n])"),
    ("A*x", {"A": "matrix", "x": "vector(p)"}, "(A: f64[n,p], x: f64[p]) -> (f64[n])"),
    ("x*X", {"x": "matrix(n, n)", "X": "scalar"}, "(x: f64[n,n], X: f64[]) -> (f64[n,n])"),
    ("D*L*U", {"D": "diagonal(n)", "L": "lower(n)", "U": "upper(n)"},
     "(D: f64[n,n], L: f64[n,n], U: f64[n,n]) -> (f64[n,n])"),
    ("e^a*pi", {"e": "constant", "pi": "constant"}, "(a: f64[]) -> (f64[])"),
    ("text*wrt", {"text": "scalar", "wrt": "scalar"}, "(text: f64[], wrt: f64[]) -> (f64[])"),
    ("kron(A, B)", {"A": "matrix(2, n)", "B": "matrix(3, 2)"},
     "(A: f64[2,n], B: f64[3,2]) -> (f64[6,2*n])"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shapes", "signature"), DECLARED)
def test_declared_shapes(text, shapes, signature):
    assert cb.parse(text, **shapes).signature == signature


def test_what_is_found_on_the_way():
    parsed = parse_text("x'*A", {"A": "lower(n)"})
    assert parsed.is_row
    assert {n: d.structure for n, d in parsed.declarations.items()} == {"x": "vector", "A": "lower"}
    assert parsed.declarations["A"].dims == (cb.Dim("n"), cb.Dim("n"))
    scalars = parse_text("x*A*sin(S)", undeclared="scalar")
    assert scalars.graph.signature == "(x: f64[], A: f64[], S: f64[]) -> (f64[])"
    assert scalars.declarations["A"].structure == "scalar"


def test_constants_are_constants_only_if_declared():
    assert cb.parse("e*pi", e="constant", pi="constant").bind() == math.e * math.pi
    assert float(cb.parse("e*2").bind(e=3.0)) == 6.0


EXACT = {"0.1": "1/10", "1/3 + 1/6": "1/2", "2^-2": "1/4", "3e2": "300", "(-2)^3": "-8",
         "0.1 + 0.2": "3/10", "1^999999999": "1", "(-1)^1000001": "-1", "0^5": "0",
         "2^1000/2^998": "4"}  # fmt: skip


@pytest.mark.parametrize("text", EXACT)
def test_numbers_are_exact(text):
    graph = cb.parse(f"a + ({text})")
    names = {"divide": lambda x, y: x / y, "add": lambda x, y: x + y}

    def meaning(node, operands):
        if node.row.name == "fill":
            return Fraction(dict(node.params)["value"].array.item())
        return names[node.row.name](*operands)

    values = graph.run([Fraction(0)], meaning)
    assert values[graph.outputs[0]] == Fraction(EXACT[text])


def test_the_signed_zero_stays():
    assert math.copysign(1.0, cb.parse("-0").bind()) == -1.0
    assert math.copysign(1.0, cb.parse("a*-0.0").bind(a=1.0)) == -1.0


# --- errors ----------------------------------------------------------------------------------

# text -> (position, what the message says)
WRONG_SHAPES = {
    "A*x + B*x'": (7, "transpose one"),
    "x*y": (1, "x'\\*y, x\\*y' or x\\.\\*y"),
    "x + y'": (2, "transpose one with '"),
    "a + A": (2, "\\.\\+"),
    "x/y": (1, "\\./"),
    "1/A": (1, "inv\\(A\\)"),
    "x^2": (1, "\\.\\^"),
    "2^x": (1, "\\.\\^"),
    "A^a": (1, "whole exponent"),
    "A^0.5": (1, "whole exponent"),
    "A^T": (1, "\\.T"),
    "x*A": (1, "x'\\*A"),
    "det(x)": (0, "square matrix"),
    "1 + tr(x')": (4, "square matrix"),
    "sin(norm1(A))": (4, "column or row"),
    "kron(x, A)": (0, "matrix"),
    "outer(A, x)": (0, "column or row"),
    "dot(x, A)": (0, "column or row"),
    "Diag(A)": (0, "column or row"),
    "max(x, A)": (0, "one shape"),
}  # fmt: skip
DECLARED_WRONG = [
    ("A*B", {"A": "matrix(n, m)", "B": "matrix(n, m)"}, 1, "inner sizes m and n"),
    ("2*(A*B)", {"A": "matrix(2, 3)", "B": "matrix(2, 3)"}, 4, r"\(2, 3\)"),
    ("A + B", {"A": "matrix(n, m)", "B": "matrix(m, n)"}, 2, r"\(n, m\).*\(m, n\)"),
    ("det(A)", {"A": "matrix(n, m)"}, 0, r"\(n, m\)"),
    ("x'*y", {"x": "vector(n)", "y": "vector(m)"}, 2, "n and m"),
    ("A^2", {"A": "matrix(2, 3)"}, 1, "square"),
    ("x.*y", {"x": "vector(3)", "y": "vector(4)"}, 1, "one shape"),
    ("x + vec(A)", {"A": "matrix(2, 2)", "x": "vector(3)"}, 2, "one shape"),
]


@pytest.mark.parametrize("text", WRONG_SHAPES)
def test_shapes_that_do_not_fit_are_named_at_the_operator(text):
    position, message = WRONG_SHAPES[text]
    with pytest.raises(cb.TextShapeError, match=message) as caught:
        cb.parse(text)
    assert caught.value.position == position
    assert isinstance(caught.value, cb.ShapeError | cb.ParseError)


@pytest.mark.parametrize(("text", "shapes", "position", "message"), DECLARED_WRONG)
def test_declared_sizes_that_differ_are_errors(text, shapes, position, message):
    with pytest.raises(cb.TextShapeError, match=message) as caught:
        cb.parse(text, **shapes)
    assert caught.value.position == position


# text -> (position, what the message says)
NOT_IN_THE_GRAMMAR = {
    "": (0, "empty"),
    "  \n": (0, "empty"),
    "2x": (1, r"write \*"),
    "x y": (2, r"write \*"),
    "(a)(b)": (3, r"write \*"),
    "a(b)": (0, "'a' is no listed function"),
    "x'y": (2, r"write \*"),
    "a +": (3, "ends"),
    "a ^": (3, "ends"),
    "* a": (0, "operand"),
    "a */ b": (3, "operand"),
    "'a'": (0, "operand"),
    "(a": (0, "never closed"),
    "sin(a": (3, "never closed"),
    "a)": (1, "never opened"),
    "()": (1, "operand"),
    "sin()": (0, "1 argument, got 0"),
    "sin(a, b)": (0, "1 argument, got 2"),
    "max(a)": (0, "2 arguments, got 1"),
    "max(a,)": (6, "operand"),
    "max(,a)": (4, "operand"),
    "a, b": (1, "comma"),
    "(a, b)": (2, "comma"),
    "sine(a)": (0, "sin"),
    "1 + sqr(a)": (4, "sqrt"),
    "Det(A)": (0, "det"),
    "sum + 1": (0, "function"),
    "a^b'^c": (4, "brackets"),
    "a.b": (1, "attribute"),
    "a._T": (1, "attribute"),
    "_a": (0, "starts with a letter"),
    "a$b": (1, "'\\$'"),
    "a − b": (2, "write -"),
    "a × b": (2, "write"),
    "x²": (1, r"\^2"),
    "[a]": (0, r"write \("),
    "|a|": (0, "abs"),
    "х + 1": (0, "U\\+0445 CYRILLIC SMALL LETTER HA.*Latin 'x'"),
    "a\x00b": (1, r"U\+0000"),
    "a\u202eb": (1, r"U\+202E RIGHT-TO-LEFT OVERRIDE"),
    "ﬁ": (0, "LIGATURE FI"),
    "1e400": (0, "overflows"),
    "1 + 1e-400": (4, "underflows"),
    "9" * 5000: (0, "100 characters"),
    "a" * 65: (0, "64 characters"),
    "a/0": (1, "division by zero"),
    "a./(1-1)": (1, "division by zero"),
    "0^-1": (1, "division by zero"),
    "(-8)^(1/3)": (4, "not real"),
    "9^9^9": (1, "bits"),
    "10^400": (2, "overflows"),
    "10^-400": (2, "underflows"),
    "1e300*1e300": (5, "overflows"),
}


@pytest.mark.parametrize("text", NOT_IN_THE_GRAMMAR)
def test_errors_know_their_position(text):
    position, message = NOT_IN_THE_GRAMMAR[text]
    with pytest.raises(cb.ParseError, match=message) as caught:
        cb.parse(text)
    assert caught.value.position == position
    *_, shown, caret = str(caught.value).splitlines()
    place = caret.index("^")
    assert shown[place : place + 1] in (text[position : position + 1], "", "\ufffd")


BAD_DECLARATIONS = [
    ("a", {"a": "tensor(n)"}, "'a' is declared as one of"),
    ("a", {"a": "vector(n, m)"}, "1 size, got 2"),
    ("A", {"A": "matrix(n)"}, "2 sizes, got 1"),
    ("a", {"a": "scalar(n)"}, "0 sizes"),
    ("a", {"a": "vector(0)"}, "from 1"),
    ("a", {"a": "vector(99999999999)"}, "from 1"),
    ("a", {"a": "vector(n+1)"}, "declared as one of"),
    ("a", {"a": "vector(__import__('os'))"}, "declared as one of"),
    ("a", {"a": ""}, "declared as one of"),
    ("a", {"a": "constant"}, "only e and pi"),
    ("i", {"i": "constant"}, "complex"),
    ("x", {"x": "vector(n)", "y": "vector(n)"}, "not in the text: y"),
    ("x/n", {"x": "vector(n)"}, "'n' is a size"),
    ("det", {"det": "scalar"}, "det is a function"),
    ("x(a)", {"x": "scalar"}, r"write x\*"),
]


@pytest.mark.parametrize(("text", "shapes", "message"), BAD_DECLARATIONS)
def test_declarations_that_say_nothing(text, shapes, message):
    with pytest.raises(cb.ParseError, match=message):
        cb.parse(text, **shapes)


@pytest.mark.parametrize("text", [None, 3, b"x", ["x"]])
def test_only_a_str_is_a_text(text):
    with pytest.raises(cb.DTypeError, match="str"):
        cb.parse(text)
    with pytest.raises(cb.DTypeError, match="text such as"):
        cb.parse("x", x=text)


def test_sizes_that_only_a_declaration_can_settle_are_asked_for():
    with pytest.raises(cb.TextShapeError, match="declare the shapes"):
        cb.parse("kron(A, B)*kron(C, D)")


def test_an_error_can_be_copied_and_sent_to_a_process():
    with pytest.raises(cb.TextShapeError) as caught:
        cb.parse("1 + x*y")
    again = copy.copy(caught.value)  # by __reduce__, as processes do
    assert (type(again), str(again), again.position) == (cb.TextShapeError, str(caught.value), 5)


def test_the_text_is_positional_only():
    with pytest.raises(TypeError):
        cb.parse(text="a")


def test_a_reading_is_a_list_of_terms_operands_first():
    syntax = read_syntax("max(a, -b)*2")
    assert [(t.kind, t.text, t.operands) for t in syntax] == [
        ("name", "a", ()),
        ("name", "b", ()),
        ("sign", "-", (1,)),
        ("call", "max", (0, 2)),
        ("number", "2", ()),
        ("operator", "*", (3, 4)),
    ]
    assert ("max(a, -b)*2"[syntax[3].start : syntax[3].end]) == "max(a, -b)"


def test_nesting_and_length_are_bounded():
    deep = "(" * 150 + "a" + ")" * 150
    assert cb.parse(deep).signature == "(a: f64[]) -> (f64[])"
    with pytest.raises(cb.ParseError, match="deeper than 150") as caught:
        cb.parse(f"({deep})")
    assert caught.value.position == 150
    assert float(cb.parse("-" * 5000 + "a").bind(a=2.0)) == 2.0
    assert float(cb.parse("a+" * 5000 + "a").bind(a=2.0)) == 10002.0
    with pytest.raises(cb.ParseError, match="65536"):
        cb.parse("a+" * 40_000 + "a")
    with pytest.raises(cb.ParseError, match="20000 operations") as caught:
        cb.parse("a+" * 20_000 + "a")
    assert 19_990 <= caught.value.position <= 20_010


def test_an_error_of_the_graph_is_one_at_a_position():
    with pytest.raises(cb.TextShapeError, match="entries than an array can have") as caught:
        cb.parse("1 + sum(x*y')", x="vector(2000000000)", y="vector(2000000000)")
    assert caught.value.position == 9
    assert isinstance(caught.value.__cause__, cb.ShapeError)
