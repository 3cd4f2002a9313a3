"""Memory of large results is used again, and never while anybody holds any part of it."""

import gc
import itertools
import threading

import numpy as np
import pytest
from hypothesis import given, strategies as st

import calcbench as cb
from calcbench.lower import rooms
from calcbench.lower.rooms import MOST, SMALLEST, forget_idle, room_for


F64 = np.dtype(np.float64)
SHAPE = (SMALLEST // 8,)


@pytest.fixture(autouse=True)
def empty():
    forget_idle()
    rooms._blocks.clear()


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_nobody_holds_is_used_again_in_another_shape_and_dtype():
    first = address(room_for(SHAPE, F64))
    assert address(room_for((2, SMALLEST // 8), np.dtype(np.float32))) == first


HOLDERS = {
    "the array": lambda a: a,
    "a view": lambda a: a[5:7],
    "a transpose of a reshape": lambda a: a.reshape(2, -1).T,
    "another dtype": lambda a: a.view(np.uint8),
    "a memoryview": memoryview,
    "an iterator": lambda a: a.flat,
    "a broadcast": lambda a: np.broadcast_to(a, (3, *a.shape)),
    "a DLPack capsule": lambda a: np.from_dlpack(a),
    "a list within": lambda a: [[a]],
    "a cycle": lambda a: (lambda box: box.append((a, box)) or box)([]),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_memory_that_something_holds_is_not(name):
    array = room_for(SHAPE, F64)
    where = address(array)
    held = HOLDERS[name](array)
    del array
    assert address(room_for(SHAPE, F64)) != where
    del held
    gc.collect()
    assert where in {address(a) for a in [room_for(SHAPE, F64), room_for(SHAPE, F64)]}


def test_small_and_huge_results_are_left_to_numpy():
    assert room_for((3,), F64).base is None
    assert room_for((), F64).shape == ()
    huge = room_for((MOST + 8,), np.dtype(np.uint8))
    assert huge.base is None
    assert not rooms._blocks


def test_at_most_so_much_is_kept():
    arrays = [room_for((MOST // 4 // 8,), F64) for _ in range(7)]
    assert sum(len(b) for b in rooms._blocks) <= MOST
    assert len({address(a) for a in arrays}) == 7
    del arrays
    forget_idle()
    assert not rooms._blocks


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([1, 2])), max_size=30))
def test_arrays_that_are_alive_share_no_memory(steps):
    alive = {}
    for place, factor in steps:
        alive[place] = room_for((SHAPE[0] * factor,), F64)[place:]
        spans = sorted((address(a), address(a) + a.nbytes) for a in alive.values())
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_threads_never_get_the_same_memory():
    failures = []

    def work(mark):
        for _ in range(200):
            array = room_for(SHAPE, F64)
            array[:10] = mark
            array[-10:] = mark
            if not (np.all(array[:10] == mark) and np.all(array[-10:] == mark)):
                failures.append(mark)

    threads = [threading.Thread(target=work, args=(float(k),)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_without_a_lock_of_the_interpreter_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(rooms.sys, "_is_gil_enabled", lambda: False, raising=False)
    assert room_for(SHAPE, F64).base is None


def test_results_of_calls_and_batches_are_apart_and_writable():
    f = cb.compile(lambda x: x * 2.0, engine="fused")
    x = np.ones(SHAPE)
    first = f(x)
    second = f(x + 1.0)
    assert not np.shares_memory(first, second)
    first[:] = 7.0
    assert np.all(second == 4.0)
    points = [f.batch(np.full((SHAPE[0], 1), float(k))) for k in range(3)]
    assert [p[0, 0] for p in points] == [0.0, 2.0, 4.0]


def test_blocks_of_other_sizes_make_way_for_one_that_does_not_fit(monkeypatch):
    room_for(SHAPE, F64)  # dropped at once
    empty, calls = np.empty, []

    def scarce(size, dtype):
        calls.append(size)
        if rooms._blocks:
            raise MemoryError
        return empty(size, dtype)

    monkeypatch.setattr(rooms.np, "empty", scarce)
    assert room_for((2 * SHAPE[0],), F64).nbytes == 2 * SMALLEST
    assert len(calls) == 2


def test_idle_memory_does_not_refuse_a_run(monkeypatch):
    from calcbench.lower import memory

    answers = iter([10, 1 << 40])
    forgotten = []
    monkeypatch.setattr(memory, "free_bytes", lambda: next(answers))
    monkeypatch.setattr(memory, "forget_idle", lambda: forgotten.append(True))
    graph = cb.trace(np.sin, 0.0)
    memory.check_free(memory.MemoryPlan(arena=memory.LARGE), graph)
    assert forgotten
