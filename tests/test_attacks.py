"""Hostile texts: nothing runs, nothing grows, and each ends with an error at a position."""

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attack_corpus import ATTACKS

import calcbench as cb
from calcbench.lower.fused import prepare_fused


SECONDS, MEGABYTES = 1.0, 200
PACKAGE = Path(__file__).parents[1] / "calcbench"

# Run in a process of its own: memory is limited there, and an audit hook sees everything that
# reaches the interpreter or the system. One line of JSON per text comes back.
WATCHED = """
import json, resource, sys, time, tracemalloc
import calcbench as cb
{prelude}

def read(text):
    {call}

for first in ("x'*A*x + erf(a)", "sine(a)", "\\0"):  # what is loaded once
    try:
        read(first)
    except Exception:
        pass
events = []
sys.addaudithook(lambda event, _: events.append(event))
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
events.clear()
limit = held + {megabytes} * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

def outcome(text):
    try:
        read(text)
        return "", None, 0
    except BaseException as error:
        longest = max(map(len, str(error).splitlines()), default=0)
        return type(error).__name__, getattr(error, "position", None), longest

def allocated(text):  # in a second reading, since counting bytes takes time
    tracemalloc.start()
    outcome(text)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak

reports = []
for text in json.load(sys.stdin):
    events.clear()
    start = time.process_time()
    found = outcome(text)
    seconds = time.process_time() - start
    seen = sorted(set(events))
    reports.append([*found, seconds, allocated(text) if seconds < {seconds} else 0.0, seen])
print(json.dumps(reports))
"""
HARMLESS = {"object.__getattr__", "sys._getframe"}


def watched_reports(call, prelude="", texts=ATTACKS):
    program = WATCHED.format(call=call, prelude=prelude, megabytes=MEGABYTES, seconds=SECONDS)
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def faults(reports, texts=ATTACKS):
    found = []
    for text, report in zip(texts, reports, strict=True):
        problem, position, longest, seconds, peak, events = report
        refused = problem in ("ParseError", "TextShapeError")
        wrong = [
            not refused and f"ended with {problem or 'a value'}",
            not isinstance(position, int) and "no position",
            isinstance(position, int) and not 0 <= position <= len(text) and "position outside",
            seconds > SECONDS and f"{seconds:.1f} s",
            peak > MEGABYTES and f"{peak:.0f} MB",
            set(events) - HARMLESS and f"caused {events}",
            longest > 1200 and f"a line of {longest} characters",
        ]
        found += [f"{text[:40]!r}: {w}" for w in wrong if w]
    return found


def test_the_corpus_is_large_and_has_no_text_twice():
    assert len(set(ATTACKS)) == len(ATTACKS) >= 60


@pytest.mark.parametrize("undeclared", ["letter", pytest.param("scalar", marks=pytest.mark.deep)])
def test_no_hostile_text_is_read_and_none_costs_anything(undeclared):
    prelude = "from calcbench.symbolic.text.grammar import parse_text"
    call = f"parse_text(text, undeclared={undeclared!r})"
    assert faults(watched_reports(call, prelude)) == []


@pytest.mark.parametrize("text", [
    "+".join(f"x{i}" for i in range(9000)),
    "*".join(f"A{i}" for i in range(9000)),
    "sin(x)+" * 3000 + "x",
    "-" * 15_000 + "x",
])  # fmt: skip
def test_long_texts_take_time_in_proportion(text):
    """Reading the longest takes below a second on an idle machine; what is quadratic takes 20."""
    start = time.process_time()
    cb.parse(text)
    assert time.process_time() - start < 5


def test_hostile_declarations_are_refused_too():
    assert faults(watched_reports("cb.parse('x', x=text)")) == []


CARELESS = [
    "'open", "compile", "ended with a value", "ended with MemoryError", "ended with SyntaxError",
    "no position", " s", "a line of",
]  # fmt: skip


def test_the_watch_sees_what_a_careless_reader_does():
    """The checker bites: with Python's eval in place of the grammar, each kind of fault is seen."""
    texts = ["open('/dev/null')", "'a' * 300_000_000", "sum(range(10**8))", "1 +"]
    texts.append("{}['" + "x" * 2000 + "']")
    found = faults(watched_reports("eval(text)", texts=texts), texts)
    for part in CARELESS:
        assert any(part in line for line in found), (part, found)


def test_names_never_reach_generated_source():
    graph = cb.parse("sin(evil_x1)*evil_a", evil_x1="vector(3)", evil_a="scalar")
    assert "evil_x1" in str(graph)
    program = prepare_fused(graph)
    assert "sin" in program.source
    assert "evil" not in program.source


# --- the source itself -----------------------------------------------------------------------

BANNED_CALLS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
BANNED_ATTRIBUTES = {
    "sympify", "parse_expr", "lambdify", "parse_latex", "parse_mathematica", "autowrap", "ufuncify",
    "literal_eval",
}  # fmt: skip
LOADERS = {"lower/cuda_kernels.py": "runpy"}  # a generated file of kernels, as a module
BANNED_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "code", "codeop", "runpy"}


def executes_text(tree):
    """The places of a syntax tree that run text as code or load objects that run code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in BANNED_CALLS | {"S", "sympify", "parse_expr", "lambdify"}:
                yield node.lineno, node.func.id
        elif isinstance(node, ast.Attribute) and node.attr in BANNED_ATTRIBUTES:
            yield node.lineno, node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            names = {alias.name for alias in node.names}
            roots = {n.partition(".")[0] for n in names} if not module else {module.split(".")[0]}
            for name in sorted(roots & BANNED_MODULES | names & BANNED_ATTRIBUTES):
                yield node.lineno, name


def test_no_file_of_the_package_runs_text():
    """Generated kernels are loaded by importlib as files, whose text has generated names only."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, name in executes_text(ast.parse(path.read_text()))
        if LOADERS.get(path.relative_to(PACKAGE).as_posix()) != name
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["eval('1')", "exec(t)", "import sympy as sp\nsp.sympify(t)", "from sympy import lambdify",
     "sp.parsing.sympy_parser.parse_expr(t)", "import pickle", "from pickle import loads",
     "import code", "sp.lambdify(x, y)", "__import__('os')", "S('x')"],
)  # fmt: skip
def test_the_search_for_such_places_bites(text):
    assert list(executes_text(ast.parse(text)))


def test_the_linter_bans_them_too():
    settings = (PACKAGE.parent / "pyproject.toml").read_text()
    for name in ("sympy.lambdify", "sympy.parse_expr", "sympy.sympify", "S102", "S301", "S307"):
        assert name in settings
