"""What the functions of `calcbench.lower` that vectorise must give: exact values, ulps, points."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import numpy as np


INF, NAN, TINY, LARGEST = math.inf, math.nan, 5e-324, 1.7976931348623157e308
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Case:
    """A function, its exact value by mpmath, the ulps it promises and where to draw points."""

    name: str
    exact: Callable[..., Any]
    ulps: float
    draw: Callable[[np.random.Generator, int], Arrays]
    size: Callable[..., Any] = lambda value, *arguments: value  # what an ulp is of


def line(low: float, high: float, *special: float) -> Callable[..., Arrays]:
    """Uniform arguments, every power of two, and the neighbours of special points."""

    def draw(rng: np.random.Generator, n: int) -> Arrays:
        powers_of_two = 2.0 ** rng.uniform(-1075.0, 1024.0, n) * rng.choice([-1.0, 1.0], n)
        scales = [rng.uniform(max(low, -scale), min(high, scale), n) for scale in (1.0, 8.0, INF)]
        beside = [
            p * (1.0 + k * 2.0**-52) + k * TINY for p in (0.0, *special) for k in range(-3, 4)
        ]
        x = np.concatenate([powers_of_two, *scales, beside])
        return (x[(x >= low) & (x <= high)],)

    return draw


def pairs_of_powers(rng: np.random.Generator, n: int) -> Arrays:
    """Bases of every size and beside 1, exponents of every size of the result."""
    wide = 2.0 ** rng.uniform(-1074.0, 1024.0, n)
    beside = 1.0 + rng.choice([-1.0, 1.0], n) * 2.0 ** rng.uniform(-52.0, -2.0, n)
    base = np.concatenate([wide, beside, rng.uniform(0.0, 3.0, n), rng.integers(1, 40, n)])
    exponent = rng.uniform(-1080.0, 1030.0, base.size) / np.log2(np.where(base == 1.0, 2.0, base))
    exponent[2 * n :] = rng.integers(-20, 20, 2 * n) * 0.5
    return base, exponent


def two_lines(rng: np.random.Generator, n: int) -> Arrays:
    return rng.uniform(-800.0, 800.0, 2 * n), np.r_[rng.uniform(-800, 800, n), rng.normal(size=n)]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def logaddexp(x: Any, y: Any) -> Any:
    return max(x, y) + mp.log1p(mp.exp(-abs(x - y)))


def largest(value: Any, *arguments: Any) -> Any:
    return max(abs(v) for v in (value, *arguments, mp.mpf(0.5)))


# The floats up to 1e5 that are nearest to multiples of pi/2, and a few multiples.
TURNS = (45.553093477052, 91.106186954104, 182.212373908208, 2915.397982531328)
TURNS += tuple(k * math.pi / 2 for k in (1, 2, 3, 4, 100, 63661, 63662))
HALF = math.log(2.0) / 2.0
CASES = [
    Case("exp", mp.exp, 1.1, line(-746.0, 710.0, 709.782712893384, -745.1332191019411, -708.396)),
    Case("exp2", lambda x: mp.power(2, x), 1.2, line(-1076.0, 1025.0, 1024.0, -1075.0, -1022.0)),
    Case("expm1", mp.expm1, 1.4, line(-50.0, 710.0, 709.782712893384, HALF, -HALF, 3 * HALF)),
    Case("tanh", mp.tanh, 1.6, line(-30.0, 30.0, 0.55, 19.06, 1e-9)),
    Case("sigmoid", sigmoid, 1.2, line(-746.0, 40.0, -745.1332191019411, -708.396, HALF)),
    Case("sech", mp.sech, 1.4, line(-746.0, 746.0, 745.1332191019411, 708.396, HALF)),
    Case("softplus", lambda x: mp.log1p(mp.exp(x)), 1.8, line(-746.0, 800.0, -745.13321910194)),
    Case("logaddexp", logaddexp, 1.8, two_lines, largest),
    Case("log", mp.log, 0.9, line(TINY, LARGEST, 1.0, 2**-0.5, 2**0.5, 2.2250738585072014e-308)),
    Case("log2", lambda x: mp.log(x, 2), 0.6, line(TINY, LARGEST, 1.0, 2**-0.5, 2**0.5)),
    Case("log10", mp.log10, 0.6, line(TINY, LARGEST, 1.0, 2**-0.5, 2**0.5, 1000.0)),
    Case("log1p", mp.log1p, 0.9, line(2.0**-53 - 1.0, LARGEST, 2**-0.5 - 1, 2**0.5 - 1)),
    Case("sin", mp.sin, 0.9, line(-1e5, 1e5, *TURNS)),
    Case("cos", mp.cos, 0.8, line(-1e5, 1e5, *TURNS)),
    Case("pow", mp.power, 1.3, pairs_of_powers),
    Case("erf", mp.erf, 1.6, line(-7.0, 7.0, 1.0, 6.0)),
    Case("erfc", mp.erfc, 1.3, line(-7.0, 28.0, 0.5, 26.54325845425098, 27.22601711110837)),
]


def worst(case: Case, values: np.ndarray, arguments: Arrays) -> tuple[float, Any]:
    """The largest error in ulps of the true value, with its argument. Overflow counts as 2^1024."""
    points = zip(*arguments, strict=True)
    errors = [_error(case, value, point) for value, point in zip(values, points, strict=True)]
    position = int(np.argmax(errors))
    return errors[position], [float(column[position]).hex() for column in arguments]


def _error(case: Case, value: float, point: tuple[float, ...]) -> float:
    with mp.workdps(50):
        exact_point = [mp.mpf(float(x)) for x in point]
        exact = case.exact(*exact_point)
        size = abs(case.size(exact, *exact_point))
        end = mp.mpf(2) ** 1024
        got = mp.sign(value) * end if math.isinf(value) else mp.mpf(float(value))
        if exact == got:
            return 0.0
        exponent = max(mp.frexp(size)[1] - 53, -1074) if size else -1074
        return float(abs(got - max(-end, min(end, exact))) / mp.mpf(2) ** min(exponent, 971))


# --- special values ----------------------------------------------------------------------

# fmt: off
VALUES = {  # arguments and value, of every function of one argument and then of two
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (709.7827128933841, INF),
            (-745.1332191019411, TINY), (-745.1332191019412, 0.0)],
    "exp2": [(0.0, 1.0), (10.0, 1024.0), (-1074.0, TINY), (-1075.0, 0.0), (1023.0, 2.0**1023),
             (1024.0, INF), (INF, INF), (-INF, 0.0)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (TINY, TINY), (INF, INF), (-INF, -1.0), (-1e300, -1.0),
              (709.7827128933841, INF), (1e300, INF)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (-TINY, -TINY), (INF, 1.0), (-INF, -1.0), (1e300, 1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (-745.1332191019411, TINY)],
    "sech": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 0.0)],
    "softplus": [(0.0, math.log(2.0)), (INF, INF), (-INF, 0.0), (1e300, 1e300)],
    "log": [(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, NAN), (-INF, NAN),
            (-TINY, NAN), (TINY, -744.4400719213812)],
    "log2": [(1.0, 0.0), (8.0, 3.0), (TINY, -1074.0), (0.0, -INF), (-0.0, -INF), (INF, INF),
             (-1.0, NAN)],
    "log10": [(1.0, 0.0), (1000.0, 3.0), (1e22, 22.0), (0.0, -INF), (INF, INF), (-1.0, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (TINY, TINY), (-1.0, -INF), (INF, INF), (-1.5, NAN),
              (-INF, NAN)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (TINY, TINY), (-TINY, -TINY)],
    "cos": [(0.0, 1.0), (-0.0, 1.0)],
    "erf": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (7.0, 1.0), (TINY, TINY)],
    "erfc": [(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (-7.0, 2.0), (30.0, 0.0)],
    "logaddexp": [(0.0, 0.0, math.log(2.0)), (INF, INF, INF), (-INF, -INF, -INF), (INF, -INF, INF),
                  (-INF, 3.0, 3.0), (NAN, 0.0, NAN), (0.0, NAN, NAN), (INF, NAN, NAN)],
    "pow": [  # C99, Annex F.9.4.4
        (0.0, -3.0, INF), (-0.0, -3.0, -INF), (0.0, -2.0, INF), (-0.0, -2.0, INF),
        (-0.0, -0.5, INF), (0.0, -INF, INF), (-0.0, -INF, INF), (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0),
        (-0.0, 2.0, 0.0), (-0.0, 0.5, 0.0), (0.0, TINY, 0.0), (-1.0, INF, 1.0), (-1.0, -INF, 1.0),
        (1.0, NAN, 1.0), (1.0, INF, 1.0), (NAN, 0.0, 1.0), (NAN, -0.0, 1.0), (INF, 0.0, 1.0),
        (0.0, 0.0, 1.0), (-0.0, 0.0, 1.0), (-2.0, 0.5, NAN), (-TINY, 1.5, NAN), (0.5, -INF, INF),
        (-0.5, -INF, INF), (2.0, -INF, 0.0), (-2.0, -INF, 0.0), (0.5, INF, 0.0), (2.0, INF, INF),
        (-2.0, INF, INF), (-INF, -3.0, -0.0), (-INF, -2.0, 0.0), (-INF, -0.5, 0.0),
        (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, 0.5, INF), (INF, -1.0, 0.0), (INF, TINY, INF),
        (NAN, 1.0, NAN), (2.0, NAN, NAN), (-8.0, 3.0, -512.0), (-3.0, 2.0, 9.0),
        (-2.0, -1.0, -0.5), (3.0, 1.0, 3.0), (7.0, 12.0, 7.0**12), (2.0, 1023.0, 2.0**1023),
        (2.0, 1024.0, INF), (-2.0, 1025.0, -INF), (2.0, -1074.0, TINY), (2.0, -1075.0, 0.0),
        (-2.0, -1075.0, -0.0), (TINY, 1.0, TINY), (TINY, -1.0, INF),
        (-1.0, 9007199254740991.0, -1.0), (-1.0, 9007199254740992.0, 1.0), (1.0, 1e300, 1.0),
        (0.9999999999999999, 1e300, 0.0), (1.0000000000000002, 1e300, INF), (-3.0, 1e300, INF),
    ],
}
# fmt: on


def columns(rows: list[tuple[float, ...]]) -> list[np.ndarray]:
    return [np.array(column) for column in zip(*rows, strict=True)]
