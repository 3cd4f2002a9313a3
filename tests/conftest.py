"""How the suite draws its random numbers and which tests run where."""

import gc
import os
import random
import signal
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, settings


DEEP = os.environ.get("CALCBENCH_DEEP") == "1"
GPU = os.environ.get("CALCBENCH_GPU") == "1"
PROFILE = "deep" if DEEP else "ci" if os.environ.get("CI") else "dev"
BASE_SEED = int(os.environ.get("CALCBENCH_SEED", "0"))
EXAMPLES_SEED = "CALCBENCH_EXAMPLES_SEED"  # how the processes of pytest-xdist agree on one seed

# The suite meets every kernel of the tape: one whole one takes less time than three that grow.
os.environ.setdefault("CALCBENCH_WHOLE_KERNELS", "1")

# No deadline and no too_slow: the first example of a test may trace or compile on a busy machine.
PATIENT = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("dev", max_examples=50, **PATIENT)
settings.register_profile("ci", max_examples=100, derandomize=True, **PATIENT)
settings.register_profile("deep", max_examples=3000, **PATIENT)
settings.load_profile(PROFILE)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the Hypothesis seed here, so that the header can say how to repeat the run."""
    if PROFILE != "ci" and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = os.environ.setdefault(EXAMPLES_SEED, str(fresh_seed()))


def fresh_seed() -> int:
    return random.SystemRandom().randrange(2**32)


def pytest_report_header(config: pytest.Config) -> str:
    seed = config.option.hypothesis_seed
    drawn = "derandomised" if seed is None else f"--hypothesis-seed={seed}"
    return f"random: Hypothesis profile {PROFILE}, {drawn}; CALCBENCH_SEED={BASE_SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is collected stays for the whole run: no search for garbage looks through it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what was not asked for, with the command that runs it as the reason."""
    for marker, wanted, target in (("gpu", GPU, "test-gpu"), ("deep", DEEP, "test-deep")):
        skip = pytest.mark.skip(reason=f"runs under `make {target}`")
        for item in items:
            if not wanted and item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator of its own for every test; pytest shows the printed seed when the test fails."""
    seed = [zlib.crc32(request.node.nodeid.encode()), BASE_SEED]
    print(f"rng = np.random.default_rng({seed})")
    return np.random.default_rng(seed)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, in this process and in those it starts, also where the suite must not hear it.

    A shell without job control lets what it runs in the background ignore the signal, and all that
    is started from there.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
