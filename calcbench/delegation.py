"""Derivatives handed to a compiled engine, which is loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from calcbench.graph.trees import map_leaves
from calcbench.programs import own


Function = Callable[..., Any]


def on_engine(derivative: Function, engine: str) -> Function:
    """The derivative function itself on the NumPy engine, else compiled: its graph is traced.

    Numba takes half a second to load, and whoever stays with NumPy shall not wait for it.
    """
    if engine == "numpy":
        return derivative
    compiled: Function = import_module("calcbench.compilation").compile(derivative, engine)
    return compiled


def product_on_engine(
    product: Function, function: Function, engine: str, options: tuple[tuple[str, Any], ...]
) -> Function:
    """(primals, tangents) -> product(function, primals, tangents), kept between calls."""
    try:
        return _kept(product, function, engine, options)
    except TypeError:  # an unhashable callable
        return _kept.__wrapped__(product, function, engine, options)


@lru_cache(maxsize=32)
def _kept(
    product: Function, function: Function, engine: str, options: tuple[tuple[str, Any], ...]
) -> Function:
    def call(primals: Any, tangents: Any) -> Any:
        return product(function, primals, tangents, **dict(options))

    return on_engine(call, engine)


def pullback_on_engine(
    vjp: Function,
    function: Function,
    primals: tuple[Any, ...],
    engine: str,
    options: tuple[tuple[str, Any], ...],
) -> tuple[Any, Function]:
    """`vjp` on an engine. The pullback runs forward and back again, at the values of now."""
    kept = map_leaves(own, primals)
    value = product_on_engine(_value, function, engine, ())(kept, None)
    pull = product_on_engine(vjp_product, vjp, engine, (("function", function), *options))
    return value, lambda cotangent: pull(kept, cotangent)


def _value(function: Function, primals: tuple[Any, ...], _: None) -> Any:
    return function(*primals)


def vjp_product(
    vjp: Function, primals: tuple[Any, ...], cotangent: Any, *, function: Function, **options: Any
) -> Any:
    """f'(x)^T ct, with the signature of the other products."""
    return vjp(function, *primals, **options)[1](cotangent)
