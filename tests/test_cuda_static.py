"""CUDA kernels as machine code for real architectures, without a device: registers and spills."""

import os
import re
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest

import calcbench as cb
from calcbench.lower.compiler import EngineError
from calcbench.lower.cuda_emission import cuda_text
from calcbench.lower.cuda_errors import cuda_library
from calcbench.lower.cuda_kernels import load_kernels, ptx_text, signature
from calcbench.lower.cuda_static import CAPABILITIES, KernelRecord, kernel_records, read_log
from calcbench.lower.cuda_words import WIDE


def is_installed():
    try:
        return bool(version("numba-cuda"))
    except PackageNotFoundError:
        return False


needs_compiler = pytest.mark.skipif(
    not is_installed() and "CI" not in os.environ,
    reason="numba-cuda is not installed: pip install 'calcbench[cuda]'",
)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def network(w, v, x):
    return np.sum(np.tanh(cb.relu(x @ w) @ v) ** 2)


def elementary(x):
    return np.exp(-x) * np.sin(x) + np.log1p(x * x) + cb.erf(x) + x**2.5 + cb.sigmoid(x)


STANDARD = {
    "Rosenbrock": (cb.value_and_grad(rosenbrock), (np.ones(1000),)),
    "network": (
        cb.grad(network, argnums=(0, 1)),
        (np.ones((20, 30)), np.ones((30, 5)), np.ones((64, 20))),
    ),
    "elementary functions": (cb.value_and_grad(lambda x: np.sum(elementary(x))), (np.ones(500),)),
    "sums": (lambda x: (np.sum(x, axis=0), np.max(x, axis=1), np.sum(x)), (np.ones((300, 40)),)),
    "scans and scatters": (
        cb.grad(lambda x: np.sum(np.cumsum(x)[np.array([3, 3, 1])] ** 2)),
        (np.ones(50),),
    ),
}


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: f"sm_{c[0]}{c[1]}")
@pytest.mark.parametrize("name", STANDARD)
def test_standard_kernels_spill_nothing(name, capability):
    function, arguments = STANDARD[name]
    text = cuda_text(cb.trace(function, *arguments), WIDE)
    records = kernel_records(text.source, text.kernels, capability)
    assert len(records) == len(text.kernels) > 0
    for record in records:
        assert not record.spills, record
        assert 0 < record.registers <= 255
        assert record.size > 0


@needs_compiler
@pytest.mark.parametrize("capability", CAPABILITIES[1:], ids=lambda c: f"sm_{c[0]}{c[1]}")
def test_code_for_many_capabilities_is_that_compiled_for_each_alone(capability):
    text = cuda_text(cb.trace(lambda x: x * 2.0, np.ones(500)), WIDE)
    (kernel,) = text.kernels
    function = load_kernels(text.source)[kernel.name]
    alone, _ = cuda_library().compile_ptx(function.py_func, signature(kernel), cc=capability)
    shared = ptx_text(function, kernel, capability)
    assert without_names(shared) == without_names(str(alone))
    assert without_names(shared) != without_names(ptx_text(function, kernel, CAPABILITIES[0]))


def without_names(ptx):
    """PTX without the names that Numba gives functions: they hold a count of those compiled."""
    return re.sub(r"\w*_ZN\w+", "name", ptx)


@needs_compiler
def test_the_report_names_kernels_and_bytes_and_takes_no_time():
    report = cb.cuda_report(cb.grad(rosenbrock), np.ones(1000), capabilities=[(8, 0)])
    assert report.total >= report.least == 16000
    assert not report.spills
    said = str(report)
    assert "registers" in said
    assert "no time was taken" in said


@needs_compiler
def test_products_use_shared_memory():
    report = cb.cuda_report(
        lambda a, b: a @ b, np.ones((64, 64)), np.ones((64, 64)), capabilities=[(9, 0)]
    )
    assert max(r.shared for r in report.records) >= 2 * 16 * 64 * 8


LOG = """ptxas info : Function properties for k
ptxas . 16 bytes stack frame, {} bytes spill stores, {} bytes spill loads
ptxas info : Used 34 registers, used 0 barriers, 64 bytes smem"""


@pytest.mark.parametrize(("stores", "loads", "spills"), [(0, 0, False), (8, 0, True), (0, 4, True)])
def test_spills_are_read_off_the_log(stores, loads, spills):
    record = read_log(LOG.format(stores, loads), "k", (8, 0), 1)
    assert record == KernelRecord("k", (8, 0), 34, stores, loads, 16, 64, 1)
    assert record.spills == spills


def test_a_log_without_numbers_is_an_error():
    with pytest.raises(EngineError, match="names no registers"):
        read_log("", "k", (8, 0), 1)
