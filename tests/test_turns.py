"""Processes on one cache compile each code once, and never wait for long."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from calcbench.lower import cache, compiler, turns
from calcbench.lower.turns import turn


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="everybody compiles for itself")
KEY = "0" * 64
SOURCE = """
@jit
def thrice(x):
    return 3.0 * x


@jit
def twice(x):
    return 2.0 * x
"""

# Says when it is about to compile, and then its results and how often it made code.
COMPILING = f"""
from calcbench.lower.compiler import load

module = load({SOURCE!r})
print("ready", flush=True)
values = [module.thrice(7.0), module.twice(7.0)]
made = [f.dispatcher.stats.cache_misses.total() for f in (module.thrice, module.twice)]
print(*values, *made)
"""

HOLDING = f"""
import time
from calcbench.lower.turns import turn

with turn({KEY!r}):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of one test, for this process and those that it starts."""
    found = tmp_path / "cache"
    monkeypatch.setenv("CALCBENCH_CACHE_DIR", str(found))
    cache.directory.cache_clear()
    yield found
    cache.directory.cache_clear()


def started(script: str) -> "subprocess.Popen[str]":
    """A process that has said that it is ready."""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def holder(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that keeps its turn for ever."""
    with started(HOLDING) as process:
        yield process
        process.kill()


def seconds_to_begin() -> float:
    began = time.monotonic()
    with turn(KEY):
        return time.monotonic() - began


def test_processes_that_need_the_same_code_at_once_compile_it_once(folder: Path) -> None:
    key = cache.digest(compiler.PREAMBLE, SOURCE)
    with turn(key):  # until both of them wait
        processes = [started(COMPILING) for _ in range(2)]
        time.sleep(0.3)
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [values[:2] for values in said] == [["21.0", "14.0"]] * 2
    for made in zip(*[values[2:] for values in said], strict=True):
        assert sorted(made) == ["0", "1"]
    assert not list(folder.glob("*.turn"))


def test_threads_take_turns(folder: Path) -> None:
    inside, most = [], []

    def work() -> None:
        for _ in range(5):
            with turn(KEY):
                inside.append(1)
                time.sleep(0.002)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


def test_other_keys_have_their_own(folder: Path) -> None:
    with turn("1" * 64):
        assert seconds_to_begin() < 1


def test_the_turn_of_a_killed_process_is_free(holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.wait()
    assert seconds_to_begin() < turns.PATIENCE / 10


def test_a_process_that_does_not_get_on_is_waited_for_so_long_only(
    holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.2)
    assert 0.2 <= seconds_to_begin() < 10
    assert holder.poll() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_forked_during_a_turn_holds_nobody_up(folder: Path) -> None:
    with turn(KEY):
        if not (child := os.fork()):
            time.sleep(60)
            os._exit(0)
    try:
        assert seconds_to_begin() < turns.PATIENCE / 10
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_an_error_or_ctrl_c_ends_the_turn(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), turn(KEY):
        raise KeyboardInterrupt
    assert seconds_to_begin() < turns.PATIENCE / 10
    assert not list(folder.glob("*.turn"))


@pytest.mark.parametrize("where", ["nowhere", "missing"])
def test_without_a_place_there_are_no_turns_and_no_errors(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = None if where == "nowhere" else tmp_path / where
    monkeypatch.setattr(cache, "directory", lambda: place)
    with turn(KEY), turn(KEY):
        assert not list(tmp_path.iterdir())


def test_a_link_in_the_way_is_not_followed(folder: Path) -> None:
    with turn(KEY):
        pass
    (folder / f"{KEY}.turn").symlink_to(folder.parent / "elsewhere")
    assert seconds_to_begin() < 1
    assert not (folder.parent / "elsewhere").exists()
