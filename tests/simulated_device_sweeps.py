"""Run under NUMBA_ENABLE_CUDASIM=1: the direct sweeps of arrays that lie on the device.

Prints one JSON object: what was checked -> case -> what was wrong.
"""

import json

import numpy as np
from numba import cuda
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray as Array
from simulated_sweeps import MATRICES, NORMAL, WEIGHTS, captured, close, narrow, outcome

import calcbench as cb
from calcbench.graph.trees import leaves_of, map_leaves
from calcbench.lower.cuda_arrays import is_on_device, on_host


def in_place(array, *shape, reshape=Array.reshape):
    """A device reshapes no array whose entries lie apart; the simulator does."""
    if array.size and not array.is_c_contiguous():
        raise NotImplementedError("operation requires copying")
    return reshape(array, *shape)


class Fence:
    """Counts bytes that leave the device or come there, by whatever way, while it is up."""

    def __enter__(self):
        self.fetched, self.sent = [], []
        self.own = {name: vars(Array)[name] for name in ("copy_to_host", "copy_to_device")}
        self.getattr = Array.__getattr__
        Array.copy_to_host = lambda array, *_: self._fetched(array)
        Array.copy_to_device = lambda array, values: self._sent(array, values)
        Array.__getattr__ = lambda array, name: self._asked(array, name)
        return self

    def _fetched(self, array):
        self.fetched.append(array.nbytes)
        return self.own["copy_to_host"](array)

    def _sent(self, array, values):
        self.sent.append(array.nbytes)
        self.own["copy_to_device"](array, values)

    def _asked(self, array, name):
        if name in ("__array__", "__array_interface__", "__array_struct__"):
            self.fetched.append(f"asked for {name}")
        return self.getattr(array, name)

    def __exit__(self, *_):
        Array.copy_to_host, Array.copy_to_device = self.own.values()
        Array.__getattr__ = self.getattr


def two_sided(x):
    return np.sin(x[0]) if x[0] < 100.0 else x[1] * x[1]


def matrix_program(a, x):
    return np.tanh(a @ x), np.sum(a)


VECTORS = (NORMAL, NORMAL[::-1] + 1.0)
# function, arguments, and bytes that go to the host for each point and guard
STAYS = {
    "one array": (lambda x: x * x[0] + np.sin(x), (NORMAL,), 0),
    "several arrays": (lambda x, y: (x * y[1], np.cos(y[0])), VECTORS, 0),
    "captured": (captured, (NORMAL,), 0),
    "single precision": (narrow, (np.float32(NORMAL[:, 0]), np.float32(NORMAL[:, 1]) + 3), 0),
    "guarded": (two_sided, (NORMAL,), 6),
    "on arrays": (matrix_program, (MATRICES, np.ones((2, 2))), 0),
    "no results": (lambda x: (x[:0] * 2.0, np.sum(x)), (NORMAL,), 0),
}


def stays(name, directions):
    """Once a path is known, nothing of the arguments and results is copied from the device."""
    function, x, guards = STAYS[name]
    dx = tuple(np.stack([v + k for k in range(directions)], axis=1) for v in x)
    ct = map_leaves(lambda v: v + 1.0, cb.forward_sweep(function, x, x, batch=True)[0])
    allowed = WEIGHTS.nbytes * len(x[0]) if name == "captured" else 0
    for sweep, seeds in ((cb.forward_sweep, dx), (cb.reverse_sweep, ct)):
        want = sweep(function, x, seeds, batch=True)
        sent = map_leaves(cuda.to_device, x), map_leaves(cuda.to_device, seeds)
        sweep(function, *sent, batch=True, engine="cuda")
        with Fence() as fence:
            got = sweep(function, *sent, batch=True, engine="cuda")
        close(got, want)
        for leaf, given in zip(leaves_of(got), leaves_of(want), strict=True):
            assert is_on_device(leaf)
            assert leaf.dtype == given.dtype
        assert fence.fetched == [guards] * bool(guards), fence.fetched
        # The program, of some hundred bytes, and what it captured.
        assert sum(fence.sent) < 3000 + allowed, fence.sent


ODD = {
    "strides": lambda a: cuda.to_device(np.asfortranarray(a)),
    "every second": lambda a: cuda.to_device(np.repeat(a, 2, axis=0))[::2],
}


def odd(name):
    """Arrays that kernels cannot read as they lie."""
    x, sent = NORMAL, ODD[name](NORMAL)
    for function in (captured, lambda v: np.tanh(np.outer(v, v) @ v)):
        ct = cb.forward_sweep(function, x, x, batch=True)[0]
        want = cb.reverse_sweep(function, x, ct, batch=True)
        close(cb.reverse_sweep(function, sent, ct, batch=True, engine="cuda"), want)
        want = cb.forward_sweep(function, x, x, batch=True)
        for seed in (sent, cuda.to_device(np.float32(x))):
            got = cb.forward_sweep(function, sent, seed, batch=True, engine="cuda")
            tolerance = 1e-12 if seed is sent else 1e-5
            for a, b in zip(leaves_of(got), leaves_of(want), strict=True):
                np.testing.assert_allclose(on_host(a), b, rtol=tolerance)
                assert a.dtype == b.dtype


def wide(*shape, dtype=np.float64):
    return cuda.to_device(np.ones(shape, dtype))


REFUSED = {
    "tangents of another length": lambda: cb.forward_sweep(
        np.sin, wide(3), wide(4), batch=True, engine="cuda"
    ),
    "tangents of too many axes": lambda: cb.forward_sweep(
        np.sin, wide(3), wide(3, 2, 2), batch=True, engine="cuda"
    ),
    "whole tangents": lambda: cb.forward_sweep(
        np.sin, wide(3), wide(3, dtype=np.int64), batch=True, engine="cuda"
    ),
    "cotangents of another shape": lambda: cb.reverse_sweep(
        np.sin, wide(3), wide(3, 1), batch=True, engine="cuda"
    ),
    "cotangents of half precision": lambda: cb.reverse_sweep(
        np.sin, wide(3), wide(3, dtype=np.float16), batch=True, engine="cuda"
    ),
    "cotangents nested otherwise": lambda: cb.reverse_sweep(
        np.sin, wide(3), (wide(3), wide(3)), batch=True, engine="cuda"
    ),
    "whole arguments": lambda: cb.reverse_sweep(
        np.sin, wide(3, dtype=np.int64), batch=True, engine="cuda"
    ),
    "other lengths": lambda: cb.forward_sweep(
        lambda x, y: x * y, (wide(3), wide(4)), (wide(3), wide(4)), batch=True, engine="cuda"
    ),
}


def refused(name):
    try:
        REFUSED[name]()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "not refused"


def main():
    Array.reshape = in_place
    counts = (1, 3)
    found = {f"{name}, {n} directions": outcome(stays, name, n) for name in STAYS for n in counts}
    told = {"stays": found, "odd": {name: outcome(odd, name) for name in ODD}}
    print(json.dumps(told | {"refused": {name: refused(name) for name in REFUSED}}))


if __name__ == "__main__":
    main()
