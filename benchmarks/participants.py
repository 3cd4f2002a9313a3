"""The systems compared: where they come from, and their gradients of functions of arrays.

Every peer gets its inputs in its own arrays, double precision, and its default threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

import calcbench as cb


OURS = ("calcbench fused", "calcbench tape", "calcbench numpy")
PEERS = ("JAX", "torch", "torch compiled", "autograd", "CasADi")


class Absent(Exception):
    """A participant that cannot take part; the text says why."""


def peer(name: str) -> Any:
    """The package, set to double precision, or Absent if it is not installed."""
    if find_spec(name.partition(".")[0]) is None:
        raise Absent("not installed")
    if name.partition(".")[0] == "jax":
        import_module("jax").config.update("jax_enable_x64", True)
    return import_module(name)


def versions() -> dict[str, str]:
    """Threads of our loops, and of the peers that are there and say so."""
    ours = {"numba threads": str(import_module("numba").get_num_threads())}
    if find_spec("torch") is None:
        return ours
    return {**ours, "torch threads": str(import_module("torch").get_num_threads())}


# --- dialects --------------------------------------------------------------------------------


class Dialect(NamedTuple):
    """How a system spells what not all of them spell alike."""

    np: Any
    erf: Callable[[Any], Any]
    relu: Callable[[Any], Any]
    softplus: Callable[[Any], Any]
    logsumexp: Callable[..., Any]  # of the last axis, keeping the others


def numpy_dialect() -> Dialect:
    """Ours: NumPy, and calcbench's functions where NumPy has none."""
    return Dialect(
        np, cb.erf, cb.relu, lambda x: np.logaddexp(0.0, x), lambda x: cb.logsumexp(x, axis=-1)
    )


def jax_dialect() -> Dialect:
    jax, nn, scipy = peer("jax"), peer("jax.nn"), peer("jax.scipy.special")
    return Dialect(
        jax.numpy, scipy.erf, nn.relu, nn.softplus, lambda x: scipy.logsumexp(x, axis=-1)
    )


def torch_dialect() -> Dialect:
    """torch.nn.functional.softplus is linear beyond 20, so its logsigmoid stands in."""
    torch = peer("torch")
    return Dialect(
        torch,
        torch.erf,
        torch.relu,
        lambda x: -torch.nn.functional.logsigmoid(-x),
        lambda x: torch.logsumexp(x, -1),
    )


def autograd_dialect() -> Dialect:
    anp, special = peer("autograd.numpy"), peer("autograd.scipy.special")
    return Dialect(
        anp,
        special.erf,
        lambda x: anp.maximum(x, 0.0),
        lambda x: anp.logaddexp(0.0, x),
        lambda x: special.logsumexp(x, axis=-1),
    )


# --- value and gradient with respect to all arguments ------------------------------------------


Function = Callable[..., Any]
Made = tuple[Callable[[], Any], Callable[[], Any]]


def calcbench_calls(
    f: Function, args: Sequence[Any], engine: str, value: bool = True, data: Sequence[Any] = ()
) -> Made:
    """Gradient and function on an engine; `data` are further arguments, without a gradient."""
    wanted = tuple(range(len(args))) if len(args) > 1 else 0
    derivative = (cb.value_and_grad if value else cb.grad)(f, wanted)
    if engine == "numpy":
        return lambda: derivative(*args, *data), lambda: f(*args, *data)
    gradient, function = cb.compile(derivative, engine=engine), cb.compile(f, engine=engine)
    everything = (*args, *data)
    return lambda: gradient(*everything), lambda: function(*everything)


def jax_calls(f: Function, args: Sequence[Any], value: bool = True) -> Made:
    """Compiled by XLA, inputs on the device, results waited for."""
    jax = peer("jax")
    wanted = tuple(range(len(args))) if len(args) > 1 else 0
    gradient = jax.jit((jax.value_and_grad if value else jax.grad)(f, wanted))
    function, inputs = jax.jit(f), [jax.numpy.asarray(a) for a in args]
    wait = jax.block_until_ready
    return lambda: wait(gradient(*inputs)), lambda: wait(function(*inputs))


def torch_calls(f: Function, args: Sequence[Any], value: bool = True) -> Made:
    """Eager, as it is written."""
    torch = peer("torch")
    leaves = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in args]

    def gradient() -> Any:
        result = f(*leaves)
        slopes = torch.autograd.grad(result, leaves)
        return (result.detach(), slopes) if value else slopes

    def function() -> Any:
        with torch.no_grad():
            return f(*leaves)

    return gradient, function


def autograd_calls(f: Function, args: Sequence[Any], value: bool = True) -> Made:
    autograd = peer("autograd")
    wanted = tuple(range(len(args))) if len(args) > 1 else 0
    gradient = (autograd.value_and_grad if value else autograd.grad)(f, wanted)
    return lambda: gradient(*args), lambda: f(*args)


def casadi_call(function: Any, args: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> Any:
    """A call without copies: CasADi reads `args` and writes `results`, which it returns."""
    buffer, run = function.buffer()
    for index, array in enumerate(args):
        buffer.set_arg(index, memoryview(array.reshape(-1)))
    for index, array in enumerate(results):
        buffer.set_res(index, memoryview(array.reshape(-1)))

    def call() -> Sequence[np.ndarray]:
        assert buffer is not None  # it owns the memory
        run()
        return results

    return call
