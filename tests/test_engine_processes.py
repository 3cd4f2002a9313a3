"""One compiled function in many threads and in other processes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import calcbench as cb


def f(x):
    return np.sum(np.exp(-x) * x[::-1]) if x[0] > 0 else np.sum(x * x)


@pytest.mark.parametrize("engine", ["numpy", "tape", "fused"])
def test_many_threads_call_one_compiled_function(engine):
    slope = cb.compile(cb.grad(f), engine=engine)
    rng = np.random.default_rng(0)
    points = [rng.normal(size=50) for _ in range(64)]
    wanted = [cb.grad(f)(x) for x in points]
    with ThreadPoolExecutor(8) as pool:
        for got, value in zip(pool.map(slope, points), wanted, strict=True):
            np.testing.assert_allclose(got, value, rtol=1e-13, atol=1e-15)


def test_many_threads_batch_one_compiled_function():
    slope = cb.compile(cb.grad(f), engine="fused")
    points = np.random.default_rng(1).normal(size=(300, 8))
    wanted = np.stack([cb.grad(f)(x) for x in points])
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: slope.batch(points), range(8)):
            np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=1e-15)


SCRIPT = """
import multiprocessing, sys
import numpy as np
import calcbench as cb

def square(x):
    return cb.compile(lambda x: x * x, engine="fused")(x)

def in_child(queue):
    try:
        queue.put(float(square(3.0)))
    except cb.EngineError as error:
        queue.put(str(error))

if __name__ == "__main__":
    assert square(2.0) == 4.0
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.SimpleQueue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    print(queue.get())
    child.join(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.parametrize(("method", "said"), [("spawn", "9.0"), ("fork", "spawn")])
def test_a_spawned_child_computes_and_a_forked_one_is_told_why_not(method, said, tmp_path):
    script = tmp_path / "children.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), method], capture_output=True, text=True, timeout=120
    )
    assert said in done.stdout, done.stderr


def test_the_workqueue_layer_is_never_entered():
    code = (
        "import numpy as np, calcbench as cb\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "c = cb.compile(lambda x: np.sum(np.exp(x)), engine='fused')\n"
        "x = np.ones(300_000)\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    print(len(set(pool.map(lambda _: float(c(x)), range(16)))))\n"
    )
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.stdout.strip() == "1", done.stderr
