"""Reading and writing entries by every kind of key: equal to NumPy's, and exactly linear."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.arraytype import Dim, DTypeError, ShapeError, TraceError, array_type
from calcbench.graph.checker import check_graph
from calcbench.graph.indexing import IndexingError, get, put
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import Builder, Graph
from calcbench.graph.lifting import Value
from calcbench.reverse_mode.pullback import vjp_graph


SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape)


@st.composite
def basic_keys(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    return draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))


@st.composite
def mixed_keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Index arrays of one broadcast shape, masks over one axis, ints, slices and new axes."""
    common = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    items: list[Any] = []
    for extent in shape:
        if draw(st.booleans()) and draw(st.booleans()):
            items.append(None)
        items.append(draw(_item(extent, common)))
    return tuple(items[: draw(st.integers(1, len(items)))])


def _item(extent: int, common: tuple[int, ...]) -> st.SearchStrategy[Any]:
    choices = [st.slices(extent)]
    if extent:
        entries = st.integers(-extent, extent - 1)
        choices += [entries, hnp.arrays(np.int64, common, elements=entries)]
        choices += [hnp.arrays(np.int32, common[-1:], elements=entries)]
    return st.one_of(choices)


@st.composite
def arrays_and_keys(draw: st.DrawFn) -> tuple[np.ndarray, Any]:
    shape = draw(SHAPES)
    masks = hnp.arrays(bool, shape)
    return numbered(shape), draw(st.one_of(basic_keys(shape), mixed_keys(shape), masks))


def graph_of(function: Any, *arrays: np.ndarray) -> Graph:
    builder = Builder()
    inputs = [
        Value(builder, builder.add_input(f"x{i}", array_type(a.shape, a.dtype)))
        for i, a in enumerate(arrays)
    ]
    return check_graph(builder.freeze([function(*inputs).id]))


def assert_same(got: Any, expected: Any) -> None:
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected, strict=True)


def written(x: np.ndarray, key: Any, new: Any) -> np.ndarray:
    x = x.copy()
    x[key] = new
    return x


# --- reading ---------------------------------------------------------------------------------


@given(arrays_and_keys())
def test_reading_is_numpys_and_so_is_its_tangent(sample: Any) -> None:
    x, key = sample
    graph = graph_of(lambda v: get(v, key), x)
    assert_same(evaluate(graph, x)[0], x[key])
    assert_same(evaluate(check_graph(jvp_graph(graph)), x, -x)[1], -x[key])


@given(arrays_and_keys())
def test_reading_backwards_adds_up_at_repeated_entries(sample: Any) -> None:
    x, key = sample
    ct = 1.0 + np.arange(float(np.size(x[key]))).reshape(np.shape(x[key]))
    expected = np.zeros_like(x)
    np.add.at(expected, key, ct)
    pulled = check_graph(vjp_graph(graph_of(lambda v: get(v, key), x)))
    assert_same(evaluate(pulled, x, ct[()])[1], expected)


@st.composite
def computed_keys(draw: st.DrawFn) -> tuple[np.ndarray, tuple[Any, ...], list[int]]:
    """A key and which of its index arrays are values of the graph."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    key = draw(mixed_keys(shape))
    arrays = [i for i, item in enumerate(key) if isinstance(item, np.ndarray)]
    chosen = draw(st.lists(st.sampled_from(arrays), unique=True)) if arrays else []
    return numbered(shape), key, sorted(chosen)


def substituted(key: tuple[Any, ...], ranks: list[int], values: Any) -> tuple[Any, ...]:
    items = list(key)
    for rank, value in zip(ranks, values, strict=True):
        items[rank] = value
    return tuple(items)


@given(computed_keys())
def test_computed_indices_read_as_numpy_does(sample: Any) -> None:
    x, key, ranks = sample
    indices = [key[r].astype(np.int64) for r in ranks]
    graph = graph_of(lambda v, *ix: get(v, substituted(key, ranks, ix)), x, *indices)
    assert_same(evaluate(graph, x, *indices)[0], x[key])


@given(computed_keys())
def test_computed_indices_write_as_numpy_does(sample: Any) -> None:
    x, key, ranks = sample
    indices = [key[r].astype(np.int64) for r in ranks]
    new = -1.0 - np.arange(float(np.size(x[key]))).reshape(np.shape(x[key]))

    def update(v: Any, w: Any, *ix: Any) -> Any:
        return put(v, substituted(key, ranks, ix), w)

    graph = graph_of(update, x, new, *indices)
    assert_same(evaluate(graph, x, new, *indices)[0], written(x, key, new))


# --- writing ---------------------------------------------------------------------------------


@given(arrays_and_keys(), st.integers(0, 3), st.booleans())
def test_writing_is_numpys_and_so_are_its_derivatives(
    sample: Any, dropped: int, thin: bool
) -> None:
    x, key = sample
    shape = np.shape(x[key])[dropped:]
    shape = tuple(1 for _ in shape) if thin else shape
    new = -1.0 - np.arange(float(np.prod(shape))).reshape(shape)
    graph = graph_of(lambda v, w: put(v, key, w), x, new)
    assert_same(evaluate(graph, x, new)[0], written(x, key, new))
    pushed = check_graph(jvp_graph(graph))
    assert_same(evaluate(pushed, x, new, 2 * x, 3 * new)[1], written(2 * x, key, 3 * new))
    pulled = check_graph(vjp_graph(graph))
    ct = numbered(x.shape)
    to_x, to_new = evaluate(pulled, x, new, ct)[1:]
    assert_same(to_x, written(ct, key, 0.0))
    backward = np.sum(to_x * 2 * x) + np.sum(to_new * 3 * new)
    assert backward == np.sum(ct * written(2 * x, key, 3 * new))


def test_where_an_index_repeats_the_last_writer_wins() -> None:
    x, new = np.zeros(4), np.array([1.0, 2.0, 3.0])
    graph = graph_of(lambda v, w: put(v, [2, 0, 2], w), x, new)
    assert_same(evaluate(graph, x, new)[0], [2.0, 0, 3, 0])
    assert_same(evaluate(vjp_graph(graph), x, new, np.ones(4))[2], [0.0, 1, 1])


# fmt: off
STORED = [
    (np.zeros(3), 1, 2), (np.zeros(3), True, 2), (np.zeros(3), np.float32(1), 2),
    (np.zeros(3, np.float32), np.float64(0.1), 1), (np.zeros(3, np.int64), True, 0),
    (np.zeros(3, np.int64), 7, 0), (np.zeros(3, bool), True, 0), (np.zeros(3), 1.0, slice(None)),
]
# fmt: on


@pytest.mark.parametrize(("x", "new", "key"), STORED)
def test_what_is_stored_is_cast_as_numpy_casts(x: np.ndarray, new: Any, key: Any) -> None:
    assert_same(evaluate(graph_of(lambda v: put(v, key, new), x), x)[0], written(x, key, new))


# --- refusals --------------------------------------------------------------------------------

# fmt: off
UNFIT = [
    ((3,), 3, "index 3 is out of bounds for axis 0"),
    ((3,), -4, "key [-4] does not fit an array of shape (3,)"),
    ((3, 2), (0, 0, 0), "3 indices for 2 axes"),
    ((3, 2), (..., 0, ...), "more than one Ellipsis"),
    ((3,), 1.0, "integers or truth values"),
    ((3,), "a", "integers or truth values"),
    ((3,), [0, 3], "out of bounds"),
    ((3,), np.array([True, False]), "boolean index did not match"),
    ((3,), np.array([0.0]), "integers or truth values"),
    ((3,), slice(0.5), "no slice of ints"),
    ((3, 3), (np.array([0, 1]), np.array([0, 1, 2])), "could not be broadcast"),
    ((3,), [[0], [1, 2]], "no array of indices"),
]
# fmt: on


@pytest.mark.parametrize(("shape", "key", "expected"), UNFIT)
def test_keys_that_do_not_fit_name_shape_and_key(shape: Any, key: Any, expected: str) -> None:
    for touch in (lambda v: get(v, key), lambda v: put(v, key, 0.0)):
        with pytest.raises(IndexError, match=r".") as caught:
            graph_of(touch, np.zeros(shape))
        assert isinstance(caught.value, IndexingError)
        assert expected in str(caught.value)


def test_what_numpy_refuses_of_such_keys_is_what_is_refused_here() -> None:
    for shape, key, _ in UNFIT:
        with pytest.raises((IndexError, ValueError, TypeError)):
            np.zeros(shape)[key]


def test_storing_floats_in_integers_is_refused() -> None:
    with pytest.raises(DTypeError, match="would truncate"):
        graph_of(lambda v: put(v, 0, 1.5), np.zeros(3, np.int64))
    with pytest.raises(DTypeError, match="would truncate"):
        graph_of(lambda v: put(v, [0, 1], np.ones(2)), np.zeros(3, np.int64))


@pytest.mark.parametrize("key", [slice(0, 2), [0, 1], np.array([True, True, False])])
def test_storing_a_wrong_shape_is_refused(key: Any) -> None:
    with pytest.raises(ShapeError, match=r"cannot be stored|do not broadcast"):
        graph_of(lambda v: put(v, key, np.ones(3)), np.zeros(3))


def test_a_computed_index_out_of_bounds_raises_when_the_graph_runs() -> None:
    x, index = numbered((3, 2)), np.array([0, 3])
    graph = graph_of(lambda v, i: get(v, i), x, index)
    assert_same(evaluate(graph, x, np.array([0, -3]))[0], x[[0, -3]])
    with pytest.raises(IndexingError, match="index 3 is out of bounds for an axis of 3"):
        evaluate(graph, x, index)


def test_an_unbound_mask_is_refused() -> None:
    with pytest.raises(TraceError, match="unbound mask"):
        graph_of(lambda v: get(v, v > 0), np.zeros(3))


def test_writing_one_number_by_a_mask_needs_no_guard() -> None:
    x = np.array([1.0, -2.0, 3.0])
    graph = graph_of(lambda v: put(v, v < 0, 0.0), x)
    assert not graph.guards
    assert_same(evaluate(graph, -x)[0], [0.0, 2.0, 0.0])


def test_named_dimensions_take_whole_axes_only() -> None:
    builder = Builder()
    a = Value(builder, builder.add_input("a", array_type((3, Dim("n")))))
    assert get(a, 0).type.shape == (Dim("n"),)
    assert get(a, (slice(None), None)).type.shape == (3, 1, Dim("n"))
    assert put(a, 0, 1.0).type.shape == a.type.shape
    with pytest.raises(IndexingError, match="named dimension n"):
        get(a, (0, 0))
    with pytest.raises(ShapeError, match="indexing by arrays needs numbers"):
        get(a, [0, 1])


# --- while tracing ---------------------------------------------------------------------------


def test_a_traced_mask_is_a_guard() -> None:
    gradient = cb.grad(lambda x: np.sum(x[x > 0] ** 2))
    for x in ([1.0, -2.0, 3.0], [-1.0, 2.0, 3.0], [-1.0, -1.0, -1.0], [1.0, -5.0, 2.0]):
        x = np.array(x)
        assert_same(gradient(x), np.where(x > 0, 2 * x, 0.0))
    assert cb.trace(lambda x: x[x > 0], np.array([1.0, -1.0])).guards


def test_indices_that_depend_on_the_data() -> None:
    x = np.array([3.0, 1.0, 2.0])
    weights = np.array([1.0, 10.0, 100.0])
    gradient = cb.grad(lambda v: np.sum(v[np.argsort(v)] * weights))
    assert_same(gradient(x), [100.0, 1.0, 10.0])
    assert_same(gradient(x[::-1].copy()), [10.0, 1.0, 100.0])
    assert_same(cb.grad(lambda v: v[np.argmax(v)])(x), [1.0, 0.0, 0.0])


def test_an_index_array_changed_in_place_is_seen() -> None:
    index = np.array([0, 2])
    gradient = cb.grad(lambda x: np.sum(x[index] ** 2))
    x = np.array([1.0, 2.0, 3.0])
    for change in (0, 1, 1, 2):
        index[0] = change
        expected = np.zeros(3)
        np.add.at(expected, index, 2 * x[index])
        assert_same(gradient(x), expected)


# fmt: off
FIXED = [
    lambda x: x[[0, 2]], lambda x: np.take(x, [1, 1]), lambda x: np.repeat(x, [1, 2, 0]),
    lambda x: np.delete(x, 1), lambda x: np.pad(x, 1, mode="edge"), np.diag,
    lambda x: np.tril(x * x[:, None]), lambda x: np.compress([True, False], x),
    lambda x: np.take_along_axis(x, np.argsort(x), 0),
]
# fmt: on


@pytest.mark.parametrize("function", FIXED)
def test_indices_that_cannot_change_are_neither_inputs_nor_guards(function: Any) -> None:
    graph = cb.trace(function, np.array([3.0, 1.0, 2.0]))
    assert len(graph.inputs) == 1
    assert not graph.guards


def test_updates_in_a_loop_are_differentiated() -> None:
    def smoothed(x: Any) -> Any:
        y = np.zeros_like(x)
        for i in range(1, 4):
            y[i] = 0.5 * y[i - 1] + x[i] ** 2
        return np.sum(y)

    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert_same(cb.grad(smoothed)(x), [0.0, 4 * 1.75, 6 * 1.5, 8.0])
