"""The printed form of small graphs, letter by letter; a change here is a change users see."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import calcbench as cb
from calcbench.forward_mode.pushforward import jvp_graph
from calcbench.graph.ir import Graph
from calcbench.reverse_mode.pullback import vjp_graph


def wave(x, y):
    return np.sin(x) * y + x


def valley(x):
    return np.sum((x[1:] - x[:-1] ** 2) ** 2)


def bend(x):
    if x > 1.0:
        return np.where(x < 3.0, x, -0.0) + np.inf * x
    return x


def model() -> Graph:
    a = cb.var("a", shape=(cb.Dim("n"), 3), dtype=np.float32)
    return cb.as_graph(np.tanh(a) * 2 + np.array([1.0, 2.0, 3.0], np.float32))


def wave_graph() -> Graph:
    return cb.trace(wave, 0.5, 2.0)


def valley_graph() -> Graph:
    return cb.trace(valley, np.arange(3.0))


PRINTED: dict[str, Callable[[], Graph]] = {
    "wave": wave_graph,
    "wave, forward": lambda: jvp_graph(wave_graph()),
    "wave, reverse": lambda: vjp_graph(wave_graph()),
    "valley": valley_graph,
    "valley, reverse": lambda: vjp_graph(valley_graph()),
    "bend": lambda: cb.trace(bend, 2.0),
    "model": model,
}

GOLDEN = {
    "wave": """
graph (x: f64[], y: f64[]) -> (f64[])
  v0 = input [name=x] : f64[]
  v1 = input [name=y] : f64[]
  v2 = sin v0 : f64[]
  v3 = multiply v2 v1 : f64[]
  v4 = add v3 v0 : f64[]
  return v4
""",
    "wave, forward": """
graph (x: f64[], y: f64[], dx: f64[], dy: f64[]) -> (f64[], f64[])
  v0 = input [name=x] : f64[]
  v1 = input [name=y] : f64[]
  v2 = input [name=dx] : f64[]
  v3 = input [name=dy] : f64[]
  v4 = sin v0 : f64[]
  v5 = multiply v4 v1 : f64[]
  v6 = add v5 v0 : f64[]
  v7 = cos v0 : f64[]
  v8 = multiply v7 v2 : f64[]
  v9 = multiply v1 v8 : f64[]
  v10 = multiply v4 v3 : f64[]
  v11 = add v9 v10 : f64[]
  v12 = add v11 v2 : f64[]
  return v6, v12
""",
    "wave, reverse": """
graph (x: f64[], y: f64[], ct0: f64[]) -> (f64[], f64[], f64[])
  v0 = input [name=x] : f64[]
  v1 = input [name=y] : f64[]
  v2 = input [name=ct0] : f64[]
  v3 = sin v0 : f64[]
  v4 = multiply v3 v1 : f64[]
  v5 = add v4 v0 : f64[]
  v6 = multiply v1 v2 : f64[]
  v7 = multiply v3 v2 : f64[]
  v8 = cos v0 : f64[]
  v9 = multiply v8 v6 : f64[]
  v10 = add v2 v9 : f64[]
  return v5, v10, v7
""",
    "valley": """
graph (x: f64[3]) -> (f64[])
  v0 = input [name=x] : f64[3]
  v1 = slice v0 [starts=(1,), steps=(1,), stops=(3,)] : f64[2]
  v2 = slice v0 [starts=(0,), steps=(1,), stops=(2,)] : f64[2]
  v3 = square v2 : f64[2]
  v4 = subtract v1 v3 : f64[2]
  v5 = square v4 : f64[2]
  v6 = sum v5 [axes=(0,)] : f64[]
  return v6
""",
    "valley, reverse": """
graph (x: f64[3], ct0: f64[]) -> (f64[], f64[3])
  v0 = input [name=x] : f64[3]
  v1 = input [name=ct0] : f64[]
  v2 = slice v0 [starts=(1,), steps=(1,), stops=(3,)] : f64[2]
  v3 = slice v0 [starts=(0,), steps=(1,), stops=(2,)] : f64[2]
  v4 = square v3 : f64[2]
  v5 = subtract v2 v4 : f64[2]
  v6 = square v5 : f64[2]
  v7 = sum v6 [axes=(0,)] : f64[]
  v8 = broadcast v1 [dims=(), shape=(2,)] : f64[2]
  v9 = fill [shape=(2,), value=2.0] : f64[2]
  v10 = multiply v5 v9 : f64[2]
  v11 = multiply v10 v8 : f64[2]
  v12 = negative v11 : f64[2]
  v13 = multiply v3 v9 : f64[2]
  v14 = multiply v13 v12 : f64[2]
  v15 = pad v14 [high=(1,), interior=(0,), low=(0,)] : f64[3]
  v16 = pad v11 [high=(0,), interior=(0,), low=(1,)] : f64[3]
  v17 = add v15 v16 : f64[3]
  return v7, v17
""",
    "bend": """
graph (x: f64[]) -> (f64[])
  v0 = input [name=x] : f64[]
  v1 = fill [shape=(), value=1.0] : f64[]
  v2 = greater v0 v1 : bool[]
  guard v2 == True
  v3 = fill [shape=(), value=3.0] : f64[]
  v4 = less v0 v3 : bool[]
  v5 = fill [shape=(), value=-0.0] : f64[]
  v6 = select v4 v0 v5 : f64[]
  v7 = fill [shape=(), value=inf] : f64[]
  v8 = multiply v7 v0 : f64[]
  v9 = add v6 v8 : f64[]
  return v9
""",
    "model": """
graph (a: f32[n,3]) -> (f32[n,3])
  v0 = input [name=a] : f32[n,3]
  v1 = tanh v0 : f32[n,3]
  v2 = fill [shape=(n, 3), value=2.0] : f32[n,3]
  v3 = multiply v1 v2 : f32[n,3]
  v4 = constant [value=[1., 2., 3.]] : f32[3]
  v5 = broadcast v4 [dims=(1,), shape=(n, 3)] : f32[n,3]
  v6 = add v3 v5 : f32[n,3]
  return v6
""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_graph_prints_as_written_down(name: str) -> None:
    assert str(PRINTED[name]()) == GOLDEN[name].strip("\n")


def test_every_golden_print_is_compared() -> None:
    assert set(GOLDEN) == set(PRINTED)


def test_printing_twice_and_building_twice_gives_the_same_text() -> None:
    for make in PRINTED.values():
        graph = make()
        assert str(graph) == str(graph) == str(make())


def test_head_shows_the_first_nodes_and_counts_the_rest() -> None:
    lines = valley_graph().head(3).splitlines()
    assert lines[:4] == GOLDEN["valley"].strip("\n").splitlines()[:4]
    assert lines[4:] == ["  ... 4 more nodes", "  return v6"]


def test_repr_is_one_line() -> None:
    assert repr(wave_graph()) == "<Graph of 5 nodes: (x: f64[], y: f64[]) -> (f64[])>"


PROGRAM = """
import numpy as np, calcbench as cb
from calcbench.reverse_mode.pullback import vjp_graph
print(vjp_graph(cb.trace(lambda x, y: np.sin(x) * y + x, 0.5, 2.0)))
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_order_does_not_depend_on_the_hash_seed(seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == GOLDEN["wave, reverse"].strip("\n")
