"""The functions of `calcbench.lower` that vectorise hold their ulps, special values and bits."""

import inspect
import math
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np
import pytest
from elementary_cases import CASES, INF, NAN, VALUES, Arrays, columns, worst

from calcbench.lower import circles, elementary, error_functions, powers


MODULES = (elementary, powers, circles, error_functions)
OURS = {
    name: function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function) and function.__module__ == module.__name__
}
JIT = numba.njit(error_model="numpy", nogil=True, forceinline=True)

EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def lane(name: str) -> Callable[..., float]:
    return OURS.get(f"{name}_lane") or OURS[f"{name}_near"]


def in_python(function: Callable[..., float], arguments: Arrays) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.array(
            [function(*map(np.float64, point)) for point in zip(*arguments, strict=True)]
        )


@EACH
def test_the_error_stays_within_the_stated_ulps(case, rng):
    arguments = case.draw(rng, 40)
    error, where = worst(case, in_python(lane(case.name), arguments), arguments)
    assert error <= case.ulps, where


@pytest.mark.deep
@EACH
def test_the_error_stays_within_the_stated_ulps_everywhere(case, rng):
    arguments = case.draw(rng, 20_000)
    error, where = worst(case, in_loop(lane(case.name), arguments), arguments)
    print(case.name, error, where)
    assert error <= case.ulps, where


@EACH
def test_a_docstring_states_the_ulps(case):
    assert f"within {case.ulps} ulp" in lane(case.name).__doc__


# --- special values ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
def test_special_values(name):
    *arguments, expected = columns(VALUES[name])
    same_bits(in_python(lane(name), tuple(arguments)), expected)


@EACH
def test_nan_stays_nan(case):
    n = case.draw(np.random.default_rng(0), 1)
    assert np.isnan(in_python(lane(case.name), ([NAN],) * len(n))).all()


def same_bits(got: np.ndarray, expected: np.ndarray) -> None:
    """Equal, zeros with their sign; one NaN is as good as another."""
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got[numbers]), np.signbit(expected[numbers]))


# --- compiled ------------------------------------------------------------------------------------


def compiled(functions: dict[str, FunctionType]) -> dict[str, Any]:
    """The functions compiled in a module that holds them, `math` and `np`, as generated ones do."""
    namespace: dict[str, Any] = {"math": math, "np": np}
    for name, function in functions.items():
        namespace[name] = JIT(FunctionType(function.__code__, namespace, name))
    return namespace


COMPILED = compiled(OURS)


def loop_over(function: Callable[..., float]) -> Any:
    element = COMPILED[function.__name__]

    def one(x, out):
        for i in range(x.size):
            out[i] = element(x[i])

    def two(x, y, out):
        for i in range(x.size):
            out[i] = element(x[i], y[i])

    return numba.njit(two if function.__code__.co_argcount == 2 else one, error_model="numpy")


def in_loop(function: Callable[..., float], arguments: Arrays, loop: Any = None) -> np.ndarray:
    columns = [np.ascontiguousarray(x, dtype=np.float64) for x in arguments]
    out = np.empty_like(columns[0])
    (loop or loop_over(function))(*columns, out)
    return out


@EACH
def test_a_compiled_loop_is_simd_and_has_the_bits_of_python(case, rng):
    function, loop = lane(case.name), loop_over(lane(case.name))
    *special, _ = columns(VALUES[case.name])
    for arguments in (case.draw(rng, 10), tuple(special)):
        same_bits(in_loop(function, arguments, loop), in_python(function, arguments))
    (text,) = loop.inspect_llvm().values()
    assert re.search(r"fmul <\d+ x double>", text)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_any_is_near_within_1e5_and_libm_beyond(name, rng):
    near, libm, function = OURS[f"{name}_near"], getattr(math, name), OURS[f"{name}_any"]
    x = np.r_[rng.uniform(-2e5, 2e5, 200), 1e5, -1e5, np.nextafter(1e5, INF), 1e300, INF, -INF, NAN]
    far = [circles.is_far(v) for v in x]
    assert far == [not -1e5 <= v <= 1e5 for v in x]
    expected = [
        NAN if not math.isfinite(v) else libm(v) if beyond else near(v)
        for v, beyond in zip(x, far, strict=True)
    ]
    same_bits(in_python(function, (x,)), np.array(expected))
    same_bits(in_loop(function, (x,)), np.array(expected))


# --- texts and tables ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_a_text_needs_math_np_and_functions_of_ours_alone(name):
    known = {"math", "np", "abs", "float64", "int64", "view", "inf", "nan", "sin", "cos"}
    assert set(OURS[name].__code__.co_names) <= known | set(OURS)
    assert not OURS[name].__code__.co_freevars


def test_the_tables_name_functions_of_ours():
    named = {name for module in MODULES for name in getattr(module, "VECTORISED", {}).values()}
    named |= {
        row.partition("(")[0] for m in MODULES for row in getattr(m, "ROW_LANES", {}).values()
    }
    named |= set(circles.NEAR.values())
    assert named <= set(OURS)
    assert {f"{case.name}_lane" for case in CASES} - {"sin_lane", "cos_lane"} <= named


# --- the test of ulps bites ----------------------------------------------------------------------

MUTANTS = [  # function, a constant of it, its replacement, a function that must fail
    ("exp_rest", 2.4978991539395304e-08, 0.0, "exp"),
    ("exp_rest", 2.4978991539395304e-08, 0.0, "sigmoid"),
    ("exp_lane", -1.7239444525614835e-13, -1.723e-13, "exp"),
    ("log_sum", 0.14796109336156382, 0.0, "log"),
    ("log2_pair", 7.872699542894897e-09, 7.8726995e-09, "pow"),
    ("log2_rest", 0.19794448838774398, 0.0, "pow"),
    ("quotient", 1.411764705882353, 0.0, "tanh"),
    ("angle", 4.3359050650618903e-35, 0.0, "sin"),
    ("cos_reduced", -1.13596480433772e-11, 0.0, "cos"),
    ("erf_rest", -7.609175026711763e-10, 0.0, "erf"),
    ("erfc_factor", 7.440909047003715e-08, 0.0, "erfc"),
]


@pytest.mark.parametrize(("name", "constant", "replacement", "victim"), MUTANTS)
def test_a_damaged_constant_is_found(name, constant, replacement, victim, rng):
    (case,) = [case for case in CASES if case.name == victim]
    damaged = mutated(name, constant, replacement)[lane(victim).__name__]
    arguments = case.draw(rng, 40)
    error, _ = worst(case, in_python(damaged, arguments), arguments)
    assert error > case.ulps


def mutated(name: str, constant: float, replacement: float) -> dict[str, Any]:
    """All functions, one of them with another constant."""
    namespace: dict[str, Any] = {"math": math, "np": np}
    for each, function in OURS.items():
        code = function.__code__
        if each == name:
            assert constant in code.co_consts or -constant in code.co_consts
            consts = tuple(
                replacement if c == constant else -replacement if c == -constant else c
                for c in code.co_consts
            )
            code = code.replace(co_consts=consts)
        namespace[each] = FunctionType(code, namespace, each)
    return namespace
