"""Shapes of derivatives in every layout, against the textbook's table and Jacobians of arrays."""

import numpy as np
import pytest

import calcbench as cb


m, l, n, k = (cb.Dim(name) for name in "mlnk")  # noqa: E741
Y, X = [(), (m,), (m, l)], [(), (n,), (n, k)]
# Written out by hand; rows are y scalar, vector, matrix, columns x scalar, vector, matrix.
# Numerator: the table of Dive into Deep Learning. Denominator: every axis of it reversed. Mixed: as
# NumPy has them.
NUMERATOR = [
    [(1,), (1, n), (k, n)],
    [(m, 1), (m, n), (m, k, n)],
    [(m, l), (m, l, n), (m, l, k, n)],
]
DENOMINATOR = [
    [(1,), (n, 1), (n, k)],
    [(1, m), (n, m), (n, k, m)],
    [(l, m), (n, l, m), (n, k, l, m)],
]
MIXED = [
    [(), (n,), (n, k)],
    [(m,), (m, n), (m, n, k)],
    [(m, l), (m, l, n), (m, l, n, k)],
]
TABLES = {"numerator": NUMERATOR, "denominator": DENOMINATOR, "mixed": MIXED}
CASES = [(layout, i, j) for layout in TABLES for i in range(3) for j in range(3)]
KINDS = ["scalar", "vector", "matrix"]


@pytest.mark.parametrize(("layout", "i", "j"), CASES)
def test_the_nine_shapes(layout, i, j):
    expected = TABLES[layout][i][j]
    assert cb.derivative_shape(Y[i], X[j], layout) == expected
    assert cb.shape_table(layout).shapes[KINDS[i], KINDS[j]] == expected


SIZES = {m: 2, l: 3, n: 4, k: 5}


def sized(shape):
    return tuple(SIZES.get(e, e) for e in shape)


@pytest.mark.parametrize(("layout", "i", "j"), CASES)
def test_a_jacobian_in_a_layout_has_that_shape_and_the_right_entries(layout, i, j, rng):
    """The function multiplies every entry of x by its own weight; the entry is looked up."""
    y_shape, x_shape = sized(Y[i]), sized(X[j])
    weights = rng.normal(size=(*y_shape, *x_shape))

    def function(x):
        return np.tensordot(weights, x, axes=len(x_shape)) if x_shape else weights * x

    jacobian = cb.jacobian(function)(rng.normal(size=x_shape))
    arranged = cb.in_layout(jacobian, len(y_shape), layout)
    assert arranged.shape == sized(TABLES[layout][i][j])
    assert arranged.shape == cb.derivative_shape(y_shape, x_shape, layout)
    axes = np.array(TABLES[layout][i][j], dtype=object)
    for index in np.ndindex(*arranged.shape):
        place = dict(zip(axes, index, strict=True))
        key = tuple(place[a] for a in (*Y[i], *X[j]))
        assert arranged[index] == pytest.approx(weights[key])


def test_square_sizes_do_not_hide_a_transpose():
    jacobian = np.array([[1.0, 2.0], [3.0, 4.0]])  # row: entry of y
    np.testing.assert_array_equal(cb.in_layout(jacobian, 1, "numerator"), jacobian)
    np.testing.assert_array_equal(cb.in_layout(jacobian, 1, "denominator"), jacobian.T)
    np.testing.assert_array_equal(cb.in_layout(jacobian, 1, "mixed"), jacobian)
    np.testing.assert_array_equal(cb.in_layout(jacobian, 0, "numerator"), jacobian.T)
    np.testing.assert_array_equal(cb.in_layout(jacobian, 0, "mixed"), jacobian)


def test_the_result_is_a_copy():
    jacobian = np.eye(3)
    cb.in_layout(jacobian, 1)[0, 0] = 7.0
    assert jacobian[0, 0] == 1.0


@pytest.mark.parametrize("layout", TABLES)
def test_the_table_prints_every_shape_with_its_label(layout):
    text = str(cb.shape_table(layout))
    assert layout in text
    for row in TABLES[layout]:
        for shape in row:
            assert f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})" in text


def test_the_chain_rule_in_both_layouts_keeps_the_shape(rng):
    """dz/dx = dz/dy dy/dx in numerator layout, and in the other order in denominator layout."""
    weights, x = rng.normal(size=(3, 4)), rng.normal(size=4)
    outer, inner = cb.jacobian(lambda y: np.sum(y**3))(weights @ x), weights
    whole = cb.jacobian(lambda v: np.sum((weights @ v) ** 3))(x)
    for layout, swap in (("numerator", False), ("denominator", True)):
        factors = [cb.in_layout(outer, 0, layout), cb.in_layout(inner, 1, layout)]
        factors = factors[::-1] if swap else factors
        chain = cb.check_chain([f.shape for f in factors])
        product = factors[0] @ factors[1]
        assert chain.shape == product.shape == cb.derivative_shape((), (4,), layout)
        np.testing.assert_allclose(product, cb.in_layout(whole, 0, layout))


def test_a_chain_is_written_as_an_equation():
    chain = cb.check_chain([(1, "k"), ("k", 3), (3, n)])
    assert str(chain) == "(1, n) = (1, k)(k, 3)(3, n)"
    assert chain.shape == (1, n)
    assert cb.check_chain([(2, 3)]).shape == (2, 3)


BAD_CHAINS = [
    ([(1, "k"), ("m", "n")], "link 1 .*with columns k and rows m"),
    ([(1, 2), (2, 3), (4, 5)], r"link 2 .*\(2, 3\)\(4, 5\)"),
    ([(1, 3), (4, 3)], "link 1 .*transpose"),
    ([("k", "n"), (1, "k")], "link 1 .*reversed"),
    ([(1, 2), (2,)], r"factor 2 .*\(1, n\)"),
    ([(1, 2), (2, 3, 4)], "factor 2"),
    ([(1, -2)], "negative"),
    ([(1, 2.0)], "int or a Dim"),
    ([], "list of shapes"),
    ("12", "list of shapes"),
    (None, "list of shapes"),
    (["ab"], "factor 1"),
]


@pytest.mark.parametrize(("shapes", "message"), BAD_CHAINS)
def test_a_chain_that_does_not_fit_names_the_link(shapes, message):
    with pytest.raises(cb.ShapeError, match=message):
        cb.check_chain(shapes)


def test_bad_input_says_what_is_expected():
    for shape in (3, "n", None, (1.5,), (-1,)):
        with pytest.raises(cb.ShapeError):
            cb.derivative_shape(shape, ())
    for call in (cb.shape_table, lambda s: cb.derivative_shape((), (), s)):
        with pytest.raises(cb.GraphError, match="numerator, denominator, mixed, got 'Numerator'"):
            call("Numerator")
    for count in (3, -1, True, 1.0, None):
        with pytest.raises(cb.ShapeError, match="y_ndim"):
            cb.in_layout(np.eye(2), count)
    with pytest.raises(cb.GraphError, match="layout"):
        cb.in_layout(np.eye(2), 1, "row")
