"""The fused engine's memory: planned to the byte, refused before a run, and usable afterwards."""

import os
import re
import subprocess
import sys
import tracemalloc
from typing import Any, NamedTuple

import numpy as np
import pytest

import calcbench as cb
from calcbench.lower import engines, limits, memory
from calcbench.lower.engines import Options, Runner
from calcbench.lower.fused import prepare_fused


def centred(x):
    y = np.exp(x - np.mean(x, axis=0))
    return y / np.sum(y, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def runner():
    """A program of 2 MB in between and 1 MB of results."""
    return Runner(cb.trace(centred, np.ones((500, 256))), Options("fused"))


def test_the_plan_is_what_a_run_allocates(runner):
    program, x = runner.executable, np.random.default_rng(0).normal(size=(500, 256))
    program([x])
    tracemalloc.start()
    results = program([x])
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    plan = program.memory
    assert plan.outputs == results[0].nbytes <= kept <= plan.outputs + 4096
    # Buffers inside loops are Numba's, which Python's allocator does not see.
    assert peak <= plan.peak + 4096
    assert plan.arena + plan.outputs <= peak + 64


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_a_run_beyond_the_limit_is_refused_before_it_starts(limit):
    compiled = cb.compile(centred, engine="fused", memory_limit=limit)
    for _ in range(2):
        with pytest.raises(MemoryError, match=r"this run needs \d+ bytes .*allowed or free"):
            compiled(np.ones((500, 256)))
    assert limit == 0 or compiled(np.ones((2, 256))).shape == (2, 256)


def test_free_memory_is_asked_for_before_each_large_run(runner, monkeypatch):
    monkeypatch.setattr(memory, "LARGE", 1 << 20)
    graph = runner.graph
    x = np.ones((500, 256))
    large = Runner(graph, Options("fused"))
    expected = large([x])
    monkeypatch.setattr(memory, "free_bytes", lambda: 1 << 20)
    with pytest.raises(MemoryError, match="this run needs"):
        large([x])
    monkeypatch.undo()
    np.testing.assert_array_equal(large([x]), expected)


def test_auto_stays_on_the_tape_where_the_loops_would_take_too_much(monkeypatch):
    compiled = cb.compile(lambda x: np.sum(np.sin(x)), engine="auto")
    compiled(np.ones(10))
    executable = compiled.last.built.runner.executable
    greedy = prepare_fused(cb.trace(np.exp, np.ones(1_000_000)))
    monkeypatch.setattr(engines, "_fused", lambda graph, options: greedy)
    monkeypatch.setattr(memory, "free_bytes", lambda: 100)
    executable._switch()
    assert type(executable.current).__name__ == "TapeProgram"


EXHAUSTED = """
import resource
import numpy as np
import calcbench as cb

large = np.ones((2500, 2500))  # below the size from which free memory is asked for
loops = cb.compile(np.exp, engine="fused")
held = [loops(large) for _ in range(3)]  # more than is kept for results to come
expected = held[-1]
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 20_000_000, resource.RLIM_INFINITY))
for _ in range(2):
    try:
        loops(large)
        print("not refused")
    except MemoryError:
        print("refused")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(np.array_equal(loops(large), expected))
"""


ON_LINUX = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="limits address space on Linux"
)


def printed(script):
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@ON_LINUX
def test_a_program_is_usable_after_memory_ran_out():
    assert printed(EXHAUSTED) == ["refused", "refused", "True"]


# --- what limits there are ----------------------------------------------------------------------

WHOLE = 9223372036854771712  # what version 1 writes where nothing is limited


class Tree(NamedTuple):
    """Control groups: what ``/proc/self/cgroup`` says, the files, and what is left in the end."""

    member: str
    files: dict[str, str]
    left: list[int]


def v2(folder: str, limit: Any, taken: int, stat: str = "anon 1\nfile 2") -> dict[str, str]:
    words = {"max": limit, "current": taken, "stat": stat}
    return {f"{folder}/memory.{name}": f"{word}\n" for name, word in words.items()}


def v1(folder: str, limit: int, taken: int, stat: str = "cache 5\nrss 6") -> dict[str, str]:
    words = {"limit_in_bytes": limit, "usage_in_bytes": taken, "stat": stat}
    return {f"memory/{folder}/memory.{name}": f"{word}\n" for name, word in words.items()}


TREES = {
    "2: a limit": Tree("0::/a/b", v2("a/b", 1000, 300), [700]),
    "2: caches are given back": Tree(
        "0::/a", v2("a", 1000, 800, "anon 1\ninactive_file 300\nactive_file 20\n"
                    "slab_reclaimable 4\nslab_unreclaimable 50\nworkingset_restore_file 9"),
        [524],
    ),
    "2: more caches than taken": Tree("0::/a", v2("a", 1000, 10, "active_file 90"), [1000]),
    "2: no limit": Tree("0::/a", v2("a", "max", 300), []),
    "2: groups around it": Tree(
        "0::/a/b/c", v2("a/b/c", 1000, 1) | v2("a/b", "max", 5) | v2("a", 500, 450), [999, 50]
    ),
    "2: more is taken than allowed": Tree("0::/a", v2("a", 1000, 1001), [0]),
    "2: a container sees its own part": Tree("0::/docker/4f/x", v2(".", 1000, 100), [900]),
    "2: outside of what it sees": Tree(
        "0::/../other", v2(".", 1000, 100) | v2("../other", 50, 1), [900]
    ),
    "2: outermost": Tree("0::/", {"cgroup.procs": "1"}, []),
    "2: a colon in a name": Tree("0::/a:b/c", v2("a:b/c", 1000, 300), [700]),
    "1: a limit": Tree("9:name=systemd:/s\n4:memory:/a\n1:cpu:/c\n", v1("a", 1000, 300), [700]),
    "1: caches are given back": Tree(
        "4:cpu,memory:/a", v1("a", 1000, 900, "inactive_file 7\ntotal_inactive_file 100\n"
                              "total_active_file 30\ntotal_rss 8"),
        [230],
    ),
    "1: no limit": Tree("4:memory:/a/b", v1("a/b", WHOLE, 3) | v1("a", WHOLE, 3), []),
    "1: groups around it": Tree("4:memory:/a/b", v1("a/b", WHOLE, 3) | v1(".", 10, 3), [7]),
    "1: another controller's limit": Tree("4:memoryless:/a", v1("a", 1000, 300), []),
    "both versions": Tree("4:memory:/a\n0::/u", v1("a", 1000, 1) | v2("u", 20, 3), [999, 17]),
    "files without numbers": Tree(
        "0::/a/b", v2("a/b", "", 3) | {"a/memory.max": "9"} | v2(".", 9, 3, "file\nx y z"), [6]
    ),
    "no word of groups": Tree("", v2(".", 1000, 300), []),
    "words that are not of groups": Tree("who knows\n0::/a", v2("a", 1000, 300), []),
}  # fmt: skip


def planted(folder, tree, monkeypatch):
    """The tree as files, with 2000 kB free on the machine and 400 free in this process."""
    files = {f"groups/{name}": text for name, text in tree.files.items()}
    files["proc/meminfo"] = "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable:  2000 kB\n"
    files["proc/self/cgroup"] = tree.member
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(limits, "GROUPS", f"{folder}/groups")
    monkeypatch.setattr(limits, "PROCESSES", f"{folder}/proc")


@pytest.mark.parametrize("name", TREES)
def test_the_least_that_a_control_group_leaves_counts(name, tmp_path, monkeypatch):
    tree = TREES[name]
    planted(tmp_path, tree, monkeypatch)
    assert [*limits.bytes_left()] == [2_048_000, *tree.left]
    assert memory.free_bytes() == min([2_048_000, *tree.left])


def test_where_nothing_says_how_much_is_free_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GROUPS", f"{tmp_path}/groups")
    monkeypatch.setattr(limits, "PROCESSES", f"{tmp_path}/proc")
    pages = {"SC_AVPHYS_PAGES": 30, "SC_PAGE_SIZE": 100}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert memory.free_bytes() == 3000
    monkeypatch.delattr(os, "sysconf")
    assert memory.free_bytes() is None
    memory.check_free(memory.MemoryPlan(arena=1 << 60), cb.trace(np.exp, 1.0))


@pytest.mark.parametrize("engine", ["tape", "fused"])
def test_a_container_that_fills_up_refuses_the_next_run(engine, runner, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "LARGE", 1 << 20)
    x = np.ones((500, 256))
    large = Runner(runner.graph, Options(engine))
    expected = large([x])
    planted(tmp_path, Tree("0::/pod", v2("pod", 2_000_000, 999_999), []), monkeypatch)
    with pytest.raises(MemoryError, match=r"this run needs .* and 1000001 are allowed or free"):
        large([x])
    monkeypatch.undo()
    np.testing.assert_array_equal(large([x]), expected)


def test_a_small_run_asks_for_no_limit(runner, monkeypatch):
    small = Runner(runner.graph, Options("tape"))
    monkeypatch.setattr(memory, "bytes_left", None)
    assert len(small([np.ones((500, 256))])) == 1


LIMITED = """
import resource
import numpy as np
import calcbench as cb

def room(limit, column):
    pages = int(open("/proc/self/statm").read().split()[column])
    return limit, pages * resource.getpagesize() + 100_000_000

def tried(call):
    try:
        call(large)
        return "not refused"
    except MemoryError as error:
        return str(error)

large = np.ones((4000, 4000))
calls = [cb.compile(np.exp, engine=engine) for engine in ("tape", "fused")]
calls.append(lambda x: cb.reverse_sweep(lambda v: np.sum(np.exp(v)), x))
for call in calls:
    call(large[:2])
for limit, column in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
    most = room(limit, column)
    resource.setrlimit(limit, (most[1], resource.RLIM_INFINITY))
    for call in calls:
        print(tried(call))
    resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for call in calls:
    print(tried(call))
"""


@ON_LINUX
def test_limits_of_the_process_refuse_a_run_before_it_starts():
    lines = printed(LIMITED)
    assert lines[6:] == ["not refused"] * 3
    for line in lines[:6]:
        said = re.match(r"this run needs (\d+) bytes .*and (\d+) are allowed or free", line)
        assert said, line
        need, free = map(int, said.groups())
        assert need >= 128_000_000  # the results
        assert 50_000_000 < free <= 100_000_000
