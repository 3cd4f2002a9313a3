"""The kernels of the direct sweeps for a device: the loops of the CPU, one thread a point.

The loop over instructions is the text that both modes state; only the places change. A slot of the
CPU is a word, and a word of thread t among so many lies at ``slot * threads + t``, so that threads
side by side read words side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from calcbench.lower.cuda_kernels import Kernel, Parameter
from calcbench.lower.cuda_point_kernel import BLOCK
from calcbench.lower.cuda_words import device_text, header
from calcbench.lower.emission import bare, indented
from calcbench.lower.sweep_texts import Kernel as Loop
from calcbench.lower.texts import library


_ENTRY = re.compile(r"\b([fgdib][148]|live)\[(TWO \* |EIGHT \* )?([^\]]+)\]")
_IMPORTED = re.compile(r"^from \S+ import \w+\n", re.MULTILINE)  # functions of the CPU
VIEWS = {"float64": ("8", ""), "float32": ("4", "TWO * ")}
NUMBERS = ("x_float", "x_int", "x_bool", "y_float", "y_int", "y_bool", "seeds", "wanted")
SHARED = (
    Parameter("code", "uint32"),
    Parameter("image", "int64"),
    Parameter("places", "int64"),
    Parameter("XI", "int64"),
    Parameter("XB", "bool"),
    Parameter("YI", "int64"),
    Parameter("YB", "bool"),
    Parameter("f8", "float64"),
    Parameter("f4", "float32"),
    Parameter("i8", "int64"),
    Parameter("b1", "bool"),
    Parameter("live", "uint8"),
)


def device_loop(loop: Loop) -> str:
    """The loop of a sweep with the slots of one thread, without the functions that it calls."""
    text = re.sub(rf"(def {loop.name}\([^)]*)\)", r"\1, thread, threads)", loop.source)
    text = _IMPORTED.sub("", text)
    return _ENTRY.sub(_placed, "\n".join(map(device_text, text.split("\n"))))


def _placed(match: re.Match[str]) -> str:
    array, scale, place = match.groups()
    place = place if place.isalnum() else f"({bare(place)})"
    found = f"{place} * threads + thread"
    return f"{array}[{scale}({found})]" if scale else f"{array}[{found}]"


def reverse_module(up: Loop, down: Loop, dtype: str, simulated: bool) -> str:
    """The module whose kernel ``reverse`` computes values, then cotangents."""
    width, scale = VIEWS[dtype]
    own = {"@F": f"f{width}", "@G": f"g{width}", "@S": scale, "@ZERO": f"np.{dtype}(-0.0)"}
    own["@NONE"] = f"np.{dtype}(0.0)"
    text = _REVERSE.replace("@HEAD", _head(reverse_parameters(dtype)))
    return _module([up, down], text, own, dtype, simulated)


def forward_module(loop: Loop, dtype: str, simulated: bool) -> str:
    """The module whose kernel ``forward`` computes values and tangents together."""
    width, scale = VIEWS[dtype]
    own = {"@F": f"f{width}", "@D": f"d{width}", "@S": scale, "@NONE": f"np.{dtype}(0.0)"}
    text = _FORWARD.replace("@HEAD", _head(forward_parameters(dtype)))
    return _module([loop], text, own, dtype, simulated)


def _module(
    loops: Iterable[Loop], kernel: str, own: dict[str, str], dtype: str, simulated: bool
) -> str:
    width, scale = VIEWS[dtype]
    views = ((f"f{width}", scale), ("i8", ""), ("b1", "EIGHT * "))
    for mark, arrays in (("@LOAD", ("XF", "XI", "XB")), ("@STORE", ("YF", "YI", "YB"))):
        pairs = zip(arrays, views, strict=True)
        lines = [line for array, view in pairs for line in _moved(array, *view)]
        kernel = kernel.replace(mark, "\n".join(indented(lines, 2)).lstrip())
    for mark, word in own.items():
        kernel = kernel.replace(mark, word)
    functions = "\n".join(device_loop(loop) for loop in loops)
    called = "\n".join(map(device_text, library(functions, "@jit").split("\n")))
    return header(simulated) + called + "\n" + functions + "\n" + kernel


_COUNTS = dict(zip(("XF", "XI", "XB", "YF", "YI", "YB"), NUMBERS, strict=False))


def _moved(array: str, view: str, scale: str) -> list[str]:
    """The entries of one array from or to the slots of the thread."""
    count = _COUNTS[array]
    entry = f"{array}[at(point * {count} + k)]"
    slot = f"{view}[{scale}(at(places[at(first + k)]) * threads + thread)]"
    move = f"{entry} = {slot}" if array.startswith("Y") else f"{slot} = {entry}"
    return [f"for k in range({count}):", f"    {move}", f"first += {count}"]


def sizes() -> tuple[Parameter, ...]:
    """The numbers that a kernel is given first."""
    names = ("count", "instructions", "slots", "constants", "directions", *NUMBERS)
    return tuple(Parameter(name, "int64", is_array=False) for name in names)


def reverse_parameters(dtype: str) -> tuple[Parameter, ...]:
    """What the kernel ``reverse`` takes, in order."""
    floats = [Parameter(name, dtype) for name in ("XF", "YF", "CT", "GX")]
    passed = (Parameter("g8", "float64"), Parameter("g4", "float32"))
    return (*sizes(), *floats, *SHARED, *passed)


def forward_parameters(dtype: str) -> tuple[Parameter, ...]:
    """What the kernel ``forward`` takes, in order."""
    floats = [Parameter(name, dtype) for name in ("XF", "YF", "DX", "DY")]
    pushed = (Parameter("d8", "float64"), Parameter("d4", "float32"))
    return (*sizes(), *floats, *SHARED, *pushed)


def _head(parameters: Sequence[Parameter]) -> str:
    return ", ".join(p.name for p in parameters)


def sweep_kernel(name: str, parameters: Sequence[Parameter], source: str) -> Kernel:
    """The kernel as the runtime and the linker take it."""
    return Kernel(name, source, tuple(parameters), 1, BLOCK)


# `image` has the place and the bits of each constant: constants are written once a thread, as
# nothing overwrites them. A seed or a wanted place of -1 has no cotangent or tangent.
_START = """
    thread, threads = np.uint64(cuda.grid(1)), np.uint64(cuda.gridsize(1))
    for k in range(constants):
        i8[at(image[at(2 * k)]) * threads + thread] = image[at(2 * k + 1)]
    point = np.int64(cuda.grid(1))
    while point < count:
        first = 0
        @LOAD
"""

_REVERSE = (
    """
@cuda.jit
def reverse(@HEAD):"""
    + _START
    + """\
        run(code, 0, instructions, f8, f4, i8, b1, thread, threads)
        @STORE
        for k in range(slots):
            @G[@S(at(k) * threads + thread)] = @ZERO
        for k in range(slots if live.size > 1 else 0):
            live[at(k) * threads + thread] = 0
        for k in range(seeds):
            place = @S(at(places[at(first + k)]) * threads + thread)
            @G[place] = @G[place] + CT[at(point * seeds + k)]
            if live.size > 1:
                live[at(places[at(first + k)]) * threads + thread] = 1
        first += seeds
        pull(code, 0, instructions, f8, f4, i8, b1, g8, g4, live, thread, threads)
        for k in range(wanted):
            place = places[at(first + k)]
            value = @NONE
            if place >= 0:
                value = @G[@S(at(place) * threads + thread)]
            GX[at(point * wanted + k)] = value
        point += np.int64(cuda.gridsize(1))
"""
)

_FORWARD = (
    """
@cuda.jit
def forward(@HEAD):"""
    + _START
    + """\
        stored = first
        first += y_float + y_int + y_bool
        for k in range(slots if live.size > 1 else 0):
            live[at(k) * threads + thread] = 0
        for k in range(wanted):
            place = at(places[at(first + k)])
            if live.size > 1:
                live[place * threads + thread] = 1
            for n in range(directions):
                where = @S((place * at(directions) + at(n)) * threads + thread)
                @D[where] = DX[at((point * wanted + k) * directions + n)]
        push(code, 0, instructions, directions, f8, f4, i8, b1, d8, d4, live, thread, threads)
        first += wanted
        for k in range(seeds):
            place = places[at(first + k)]
            for n in range(directions):
                value = @NONE
                if place >= 0:
                    value = @D[@S((at(place) * at(directions) + at(n)) * threads + thread)]
                DY[at((point * seeds + k) * directions + n)] = value
        first = stored
        @STORE
        point += np.int64(cuda.gridsize(1))
"""
)
