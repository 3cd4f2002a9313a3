"""A cached recording is never used once what it rests on has changed."""

import functools
import itertools
import random
import threading
import types

import numpy as np
import pytest

import calcbench as cb
from calcbench.graph.environment import Environment
from calcbench.graph.paths import MAX_PATHS, Paths


X = np.array([1.0, 2.0, 3.0])
SCALE = 2.0
TABLE = {"a": 1.0}


def settled(gradient, *args):
    """The gradient's value once its recording is trusted: after three calls."""
    return [gradient(*args) for _ in range(3)][-1]


def test_a_closure_that_is_rebound():
    factor = 2.0
    gradient = cb.grad(lambda x: np.sum(factor * x))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    factor = 5.0
    np.testing.assert_array_equal(gradient(X), 5.0)


def test_a_global_that_is_rebound(monkeypatch):
    gradient = cb.grad(lambda x: np.sum(SCALE * x))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    monkeypatch.setitem(globals(), "SCALE", 7.0)
    np.testing.assert_array_equal(gradient(X), 7.0)


def inner(x):
    return SCALE * x


def test_a_global_of_a_called_function(monkeypatch):
    gradient = cb.grad(lambda x: np.sum(inner(x)))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    np.testing.assert_array_equal(gradient(X), 3.0)


def test_a_captured_array_written_in_place():
    weights = np.ones(3)
    gradient = cb.grad(lambda x: np.sum(weights * x))
    settled(gradient, X)
    weights[:] = [1.0, 5.0, 9.0]
    np.testing.assert_array_equal(gradient(X), weights)


def test_an_array_computed_from_a_captured_one():
    weights = np.ones(3)
    gradient = cb.grad(lambda x: np.sum(np.exp(weights) * x))
    settled(gradient, X)
    weights[:] = 0.0
    np.testing.assert_array_equal(gradient(X), 1.0)


def test_an_array_written_while_the_function_runs():
    buffer = np.zeros(3)

    def f(x):
        buffer[:] = 1.0
        first = np.sum(buffer * x)
        buffer[:] = 10.0
        return first + np.sum(buffer * x)

    gradient = cb.grad(f)
    for _ in range(4):
        np.testing.assert_array_equal(gradient(X), 11.0)


@pytest.mark.parametrize("holder", [{"k": 2.0}, [2.0]])
def test_a_list_or_dict_that_is_changed(holder):
    key = "k" if isinstance(holder, dict) else 0
    gradient = cb.grad(lambda x: np.sum(holder[key] * x))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    holder[key] = 4.0
    np.testing.assert_array_equal(gradient(X), 4.0)


class Model:
    def __init__(self):
        self.scale = 2.0

    def loss(self, x):
        return np.sum(self.scale * x)

    def __call__(self, x):
        return self.loss(x)


@pytest.mark.parametrize("use", [lambda m: m.loss, lambda m: m, lambda m: lambda x: m.loss(x)])
def test_an_attribute_that_is_changed(use):
    model = Model()
    gradient = cb.grad(use(model))
    np.testing.assert_array_equal(settled(gradient, X), 2.0)
    model.scale = 6.0
    np.testing.assert_array_equal(gradient(X), 6.0)


def test_a_partial_and_a_default():
    def f(x, k=2.0):
        return np.sum(k * x)

    np.testing.assert_array_equal(settled(cb.grad(functools.partial(f, k=3.0)), X), 3.0)
    gradient = cb.grad(f)
    settled(gradient, X)
    f.__defaults__ = (8.0,)
    np.testing.assert_array_equal(gradient(X), 8.0)


def test_what_lies_deep_is_seen_without_the_cache():
    class Deep:
        inner = type("Inner", (), {})()

    deep = Deep()
    deep.inner.config = type("Config", (), {})()
    deep.inner.config.scale = 2.0
    gradient = cb.grad(lambda x: np.sum(deep.inner.config.scale * x), cache=False)
    settled(gradient, X)
    deep.inner.config.scale = 5.0
    np.testing.assert_array_equal(gradient(X), 5.0)


# --- one table: a function of x, and a change after which its slope is another one ---------------


class Holder:
    """An object with attributes, and a class with one of its own."""

    kind = 2.0

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def method(self, x):
        return self.kind * x * self.helper()

    def helper(self):
        return self.value

    @property
    def shown(self):
        return self.value

    @staticmethod
    def fixed(x):
        return Holder.kind * x

    @classmethod
    def of_class(cls, x):
        return cls.kind * x


class Slotted:
    __slots__ = ("value",)


def changes():
    """Per name: a function of a scalar, a change of its outside, the slope before and after."""
    array, scalar, big = np.ones(3), np.array(2.0), np.ones(5000)
    nested = {"layer": {"w": 2.0}}
    holder = Holder(value=2.0, array=np.ones(3), inner=Holder(value=2.0), items=[2.0])
    slotted = Slotted()
    slotted.value = 2.0
    module = types.ModuleType("own_module")
    exec("k = 2.0\ndef f(x): return k * x", vars(module))  # noqa: S102
    functions = [lambda x: module.k * x]
    mutable = [2.0]

    def with_default(x, k=mutable):
        return k[0] * x

    def with_keyword(x, *, k=2.0):
        return k * x

    wrapped = functools.lru_cache(lambda n: module.k * n)
    inner = cb.grad(lambda y: module.k * y * y / 2)
    return {
        "sum of an array": (lambda x: array.sum() * x, lambda: array.__setitem__(0, 5.0), 3, 7),
        "number from an array": (lambda x: float(scalar) * x, lambda: scalar.fill(5.0), 2, 5),
        "branch on an array": (
            lambda x: x if scalar > 3 else 2 * x, lambda: scalar.fill(5.0), 2, 1,
        ),
        "array in arithmetic": (lambda x: np.sum(array * x), lambda: array.fill(5.0), 3, 15),
        "array before arithmetic": (
            lambda x: np.sum((2 * array) * x), lambda: array.fill(5.0), 6, 30,
        ),
        "permuted rows": (lambda x: big[0] * x, lambda: big.__setitem__(0, 7.0), 1, 7),
        "dict of dicts": (
            lambda x: nested["layer"]["w"] * x, lambda: nested["layer"].update(w=5.0), 2, 5,
        ),
        "object in an object": (
            lambda x: holder.inner.value * x, lambda: setattr(holder.inner, "value", 5.0), 2, 5,
        ),
        "list in an object": (
            lambda x: holder.items[0] * x, lambda: holder.items.__setitem__(0, 5.0), 2, 5,
        ),
        "array in an object": (
            lambda x: np.sum(holder.array) * x, lambda: holder.array.fill(5.0), 3, 15,
        ),
        "slots": (lambda x: slotted.value * x, lambda: setattr(slotted, "value", 5.0), 2, 5),
        "property": (lambda x: holder.shown * x, lambda: setattr(holder, "value", 5.0), 2, 5),
        "method": (holder.method, lambda: setattr(holder, "value", 5.0), 4, 10),
        "class attribute by method": (holder.method, lambda: setattr(Holder, "kind", 5.0), 4, 10),
        "class attribute by name": (
            lambda x: Holder.kind * x, lambda: setattr(Holder, "kind", 5.0), 2, 5,
        ),
        "static method": (Holder.fixed, lambda: setattr(Holder, "kind", 5.0), 2, 5),
        "class method": (Holder.of_class, lambda: setattr(Holder, "kind", 5.0), 2, 5),
        "method that is replaced": (
            lambda x: holder.helper() * x, lambda: setattr(holder, "helper", lambda: 5.0), 2, 5,
        ),
        "module attribute": (lambda x: module.k * x, lambda: setattr(module, "k", 5.0), 2, 5),
        "global of a module's function": (
            lambda x: module.f(x), lambda: setattr(module, "k", 5.0), 2, 5,
        ),
        "function of a module": (
            lambda x: module.f(x), lambda: setattr(module, "f", lambda x: 5.0 * x), 2, 5,
        ),
        "function in a list": (
            lambda x: functions[0](x), lambda: setattr(module, "k", 5.0), 2, 5,
        ),
        "function by map": (
            lambda x: sum(map(functions[0], [x, x])), lambda: setattr(module, "k", 5.0), 4, 10,
        ),
        "list as default": (with_default, lambda: mutable.__setitem__(0, 5.0), 2, 5),
        "keyword default": (
            with_keyword, lambda: with_keyword.__kwdefaults__.update(k=5.0), 2, 5,
        ),
        "list in a partial": (
            functools.partial(lambda k, x: k[0] * x, mutable),
            lambda: mutable.__setitem__(0, 5.0), 2, 5,
        ),
        "own code replaced": (
            with_keyword,
            lambda: setattr(with_keyword, "__code__", (lambda x, *, k: 5 * x).__code__), 2, 5,
        ),
        "wrapped function": (
            lambda x: wrapped.__wrapped__(1.0) * x, lambda: setattr(module, "k", 5.0), 2, 5,
        ),
        "gradient made before": (
            lambda x: inner(x), lambda: setattr(module, "k", 5.0), 2, 5,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", changes())
@pytest.mark.parametrize("use", ["grad", "jacfwd", "jvp", "vjp"])
def test_a_change_outside_is_seen_at_the_next_call(name, use, monkeypatch):
    monkeypatch.setattr(Holder, "kind", 2.0)
    function, change, before, after = changes()[name]
    slope = {
        "grad": cb.grad(function),
        "jacfwd": cb.jacfwd(function),
        "jvp": lambda x: cb.jvp(function, (x,), (1.0,))[1],
        "vjp": lambda x: cb.vjp(function, x)[1](1.0)[0],
    }[use]
    assert [float(slope(1.5)) for _ in range(4)] == [before] * 4
    change()
    assert [float(slope(1.5)) for _ in range(4)] == [after] * 4


@pytest.mark.parametrize("name", changes())
def test_what_has_not_changed_is_not_recorded_again(name):
    function = changes()[name][0]
    gradient = cb.grad(function)
    paths = next(c.cell_contents for c in gradient.__closure__ if holds_paths(c))
    settled(gradient, 1.5)
    recorded, real = [], paths.trace
    paths.trace = lambda arguments: recorded.append(1) or real(arguments)
    gradient(1.5)
    assert not recorded


def holds_paths(cell):
    return isinstance(cell.cell_contents, Paths)


def test_what_lies_deeper_than_two_levels_is_not_seen():
    """The documented limit; with cache=False it is seen."""
    deep = {"a": {"b": {"c": 2.0}}}
    gradients = [cb.grad(lambda x: deep["a"]["b"]["c"] * x, cache=c) for c in (True, False)]
    assert [float(settled(g, 1.0)) for g in gradients] == [2.0, 2.0]
    deep["a"]["b"]["c"] = 5.0
    assert [float(g(1.0)) for g in gradients] == [2.0, 5.0]


DRAWS = {
    "np.random": lambda: lambda x: np.random.rand() * x,  # noqa: NPY002
    "np.random array": lambda: lambda x: np.sum(np.random.rand(3) * x),  # noqa: NPY002
    "generator": lambda: draw_from(np.random.default_rng(1).normal),
    "RandomState": lambda: draw_from(np.random.RandomState(1).normal),
    "random": lambda: lambda x: random.random() * x,
    "Random": lambda: draw_from(random.Random(1).random),
    "iterator": lambda: draw_from(functools.partial(next, itertools.count())),
    "Python generator": lambda: draw_from((k for k in range(100)).__next__),
}


def draw_from(source):
    return lambda x: source() * x


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("derivative", [cb.grad, cb.jacfwd])
def test_every_call_draws_its_own_number(name, derivative):
    gradient = derivative(DRAWS[name]())
    assert len({float(gradient(1.0)) for _ in range(8)}) == 8


@pytest.mark.parametrize(
    "coin",
    [
        lambda rng: rng.integers(2), lambda rng: np.random.randint(2),  # noqa: NPY002
        lambda rng: random.getrandbits(1),
    ],
)  # fmt: skip
def test_a_branch_on_a_random_number_is_never_frozen(coin):
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    rng = np.random.default_rng(3)
    gradient = cb.grad(lambda x: x if coin(rng) else 2 * x)
    found = [float(gradient(1.0)) for _ in range(200)]
    assert 60 < found.count(1.0) < 140


def test_a_function_that_reads_what_it_writes():
    buffer = np.array([1.0, 2.0])

    def f(x):
        total = np.sum(buffer * x)
        buffer[0] += 1.0
        return total

    gradient = cb.grad(f)
    assert [float(gradient(1.0)) for _ in range(5)] == [3.0, 4.0, 5.0, 6.0, 7.0]


def test_arrays_made_by_the_function_are_constants_of_its_path():
    gradient = cb.grad(lambda x: np.sum(np.arange(3.0) * x) + x * np.linspace(0, 1, 3)[1])
    assert [float(gradient(1.0)) for _ in range(4)] == [3.5] * 4


def test_a_memo_that_is_filled_by_the_first_call():
    memo = {}

    def f(x):
        if "w" not in memo:
            memo["w"] = np.array([1.0, 2.0])
        return np.sum(memo["w"] * x)

    gradient = cb.grad(f)
    assert [float(gradient(1.0)) for _ in range(4)] == [3.0] * 4


def test_data_that_changes_at_every_call_is_not_built_anew():
    data, built = np.ones(4), []
    gradient = cb.grad(lambda x: np.sum(np.sin(data * x)))
    paths = next(c.cell_contents for c in gradient.__closure__ if holds_paths(c))
    real = paths.build
    paths.build = lambda graph, wanted: built.append(1) or real(graph, wanted)
    for k in range(6):
        data[:] = k
        assert gradient(0.5) == pytest.approx(4 * k * np.cos(0.5 * k), rel=1e-14)
    assert len(built) == 1


def test_branches_of_an_inner_derivative_are_guards_of_the_outer_one():
    def inner(y):
        return y**2 if y > 0 else 5 * y

    outer = {
        "grad": cb.grad(lambda x: x * cb.grad(inner)(x)),
        "vjp": cb.grad(lambda x: x * cb.vjp(inner, x)[1](1.0)[0]),
        "jvp": cb.grad(lambda x: x * cb.jvp(inner, x, 1.0)[1]),
        "hvp": cb.grad(lambda x: x * cb.grad(inner)(x) + 0 * cb.hvp(inner, x, 1.0)),
    }
    for gradient in outer.values():
        found = [float(gradient(x)) for x in (2.0, 2.0, 2.0, -2.0, -2.0, 2.0)]
        assert found == [8.0, 8.0, 8.0, 5.0, 5.0, 8.0]


def test_the_environment_of_a_function_is_compared_by_content():
    table = {"a": [1.0, np.ones(2)]}
    environment = Environment(lambda x: table["a"][0] * x)
    assert environment.is_unchanged()
    table["a"][1][0] = 1.0
    assert environment.is_unchanged()
    table["a"][1][0] = -0.0
    assert not environment.is_unchanged()


def test_random_numbers_are_drawn_anew():
    gradient = cb.grad(lambda x: np.random.default_rng().normal() * x)
    assert len({float(gradient(1.0)) for _ in range(6)}) == 6


def test_a_counter_counts():
    calls = []

    def f(x):
        calls.append(None)
        return len(calls) * x

    gradient = cb.grad(f)
    assert [float(gradient(1.0)) for _ in range(4)] == [1.0, 2.0, 3.0, 4.0]


def test_branches_shapes_and_dtypes_change_between_calls():
    def f(x):
        return np.sum(x**2) if np.sum(x) > 0 else np.sum(3.0 * x)

    gradient = cb.grad(f)
    for _ in range(4):
        for x in (X, -X, X[:2], -X[:2], X.astype(np.float32)):
            expected = 2 * x if np.sum(x) > 0 else np.full_like(x, 3.0)
            found = gradient(x)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == x.dtype


def test_more_paths_than_are_kept():
    def f(x):
        steps = int(x)
        return x**2 + steps

    gradient = cb.grad(f)
    for _ in range(2):
        for n in range(2 * MAX_PATHS):
            assert gradient(n + 0.5) == 2 * (n + 0.5)


def test_an_inner_function_that_closes_over_a_traced_value():
    def f(x):
        return cb.grad(lambda y: x * y**2)(3.0) + cb.jacobian(lambda y: x * y)(X).sum()

    gradient = cb.grad(f)
    for x in (1.0, 2.0, 5.0):
        assert gradient(x) == 6.0 + 3.0


def test_two_threads_share_a_gradient():
    gradient = cb.grad(lambda x: np.sum(np.sin(x)) if x[0] > 0 else np.sum(x**2))
    wrong = []

    def work(sign):
        for k in range(200):
            x = sign * (X + k)
            expected = np.cos(x) if sign > 0 else 2 * x
            if not np.allclose(gradient(x), expected, rtol=1e-12, atol=0):
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(s,)) for s in (1.0, -1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
