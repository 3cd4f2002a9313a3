"""docs/performance.md and its charts, written from benchmarks/results/*.json alone.

Words come from `notes.toml` beside this file: a title, what the rows mean, and why a bar is missed.
`make bench` runs this last; it can be run alone, and gives the same text for the same files.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from growth_fits import crossings, fits
from harness import RESULTS, Bar, Timing
from summary_charts import pictures

from calcbench.measure.charts import tick_text
from calcbench.measure.timing import seconds
from calcbench.measure.writing import write_whole


FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "performance.md"
CHARTS = "performance"  # the folder of pictures, beside the page
CAUSE = "not looked into yet"
OF_A_FILE = ("date", "load")
OPENING = """# Performance

Written by `make bench`: the numbers come from `benchmarks/results/*.json`, the words from
`benchmarks/notes.toml`. Everybody's result is checked against an independent value before anything
is timed. The alternatives of a table take turns, A B C A B C ..., and a ratio of a bar is taken
round by round: median, with quartiles in brackets.
"""
COLUMNS = """What the columns say:

- *seconds*: median of warm calls, and quartiles. *Ratio*: to the fastest peer on the same problem
  and size, or to what has ratio 1. *First*: until the first result, with recording and compiling,
  or reading what was compiled from disk.
- *values*, *program*: bytes that are planned before anything is run: of values held at once, and of
  the encoded program.
- *peak*: resident memory of one warm call in a process of its own, beyond what the process held
  before the call. What a system keeps from call to call is not in it (CasADi: its work memory).
  *peak, first*: the same of the first call from the start, with packages and compilers.
"""


class Result(NamedTuple):
    """One file of results, with the words about it."""

    name: str
    question: str
    machine: dict[str, str]
    rows: list[Timing]
    absent: list[dict[str, Any]]
    bars: list[Bar]
    notes: dict[str, Any]

    @property
    def title(self) -> str:
        title: str = self.notes.get("title", self.name.replace("_", " "))
        return title


def results(folder: Path = RESULTS, notes: Path = FOLDER / "notes.toml") -> list[Result]:
    """All files, in the order of the notes; those without notes at the end."""
    words = tomllib.loads(notes.read_text(encoding="utf-8"))
    order = list(words)
    names = sorted(path.stem for path in folder.glob("*.json"))
    if not names:
        raise SystemExit(f"no results in {folder.name}/: `make bench` measures first")
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    return [_read(folder / f"{name}.json", words.get(name, {})) for name in names]


def _read(path: Path, notes: dict[str, Any]) -> Result:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SystemExit(f"{path.name} is no JSON ({error}): run its benchmark again") from None
    rows = [Timing(**{**row, "taken": tuple(row["taken"])}) for row in found["rows"]]
    bars = [Bar(*(bar[field] for field in Bar._fields)) for bar in found["bars"]]
    absent = found["absent"]
    return Result(path.stem, found["question"], found["machine"], rows, absent, bars, notes)


# --- the page ----------------------------------------------------------------------------------


def page(found: list[Result]) -> str:
    """The whole text."""
    parts = [OPENING, *machines(found), "## Bars\n", *bar_table(found), COLUMNS]
    for result in found:
        parts += section(result)
    return "\n".join(parts).rstrip() + "\n"


def machines(found: list[Result]) -> Iterator[str]:
    """What was the same everywhere, once; then day and load of each file."""
    every = [r.machine for r in found]
    together = {name: value for machine in every for name, value in machine.items()}
    shared = {
        name: value
        for name, value in together.items()
        if name not in OF_A_FILE and all(m.get(name, value) == value for m in every)
    }
    yield "## Machine\n"
    yield "Double precision, default threads. " + listed(shared) + ".\n"
    yield from table(
        ["file", "what differs: the day, and the load when it was written"],
        [[r.name, listed({k: v for k, v in r.machine.items() if k not in shared})] for r in found],
    )


def listed(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def bar_table(found: list[Result]) -> Iterator[str]:
    """All bars, the missed ones with their cause; the main files first, in a table of their own."""
    judged = [bar.is_met for result in found for bar in result.bars]
    yield f"{sum(map(bool, judged))} of {len(judged)} are met.\n"
    for is_main in (True, False):
        of_these = [r for r in found if r.notes.get("main", False) is is_main]
        rows = [bar_row(result, bar) for result in of_these for bar in result.bars]
        if rows:
            yield "### " + ", ".join(r.title for r in of_these if r.bars) + "\n"
            yield from table(["bar", "at most", "measured", "", "cause, where it is missed"], rows)


def bar_row(result: Result, bar: Bar) -> list[str]:
    limit = f"{bar.limit:g}{bar.unit}"
    if bar.measured is None:
        return [bar.what, limit, "", "not measured", cause(result, bar, "a participant is absent")]
    spread = f" ({bar.spread[0]:.3g} .. {bar.spread[1]:.3g})" if bar.spread else ""
    measured = f"{bar.measured:.3g}{bar.unit}{spread}"
    if bar.is_met:
        return [bar.what, limit, measured, "met", ""]
    load = result.machine.get("load")
    unknown = CAUSE if load is None else f"{CAUSE}; load of the machine {load}"
    return [bar.what, limit, measured, "**missed**", cause(result, bar, unknown)]


def cause(result: Result, bar: Bar, otherwise: str) -> str:
    """The note whose key is the beginning of the bar's text, the longest if there are several."""
    causes: dict[str, str] = result.notes.get("causes", {})
    keys = [key for key in causes if bar.what.startswith(key)]
    return causes[max(keys, key=len)].strip() if keys else otherwise


# --- one file ----------------------------------------------------------------------------------


def section(result: Result) -> Iterator[str]:
    """Question, words, charts, and all rows folded away."""
    yield f"## {result.title}\n"
    yield f"{result.question} (`benchmarks/bench_{result.name}.py`)\n"
    if "text" in result.notes:
        yield result.notes["text"].strip() + "\n"
    for name, title, _ in pictures(result):
        yield f"![{title}]({CHARTS}/{name}.svg)\n"
    if result.notes.get("fits"):
        yield from growth(result)
    yield "<details><summary>All rows</summary>\n"
    yield from row_table(result)
    yield "</details>\n"


def growth(result: Result) -> Iterator[str]:
    """Fitted exponents, and where modes cross."""
    rows = [
        [one.problem, one.who, one.cost, str(one.fit) if one.fit else "too few sizes"]
        for one in fits(result.rows)
    ]
    yield from table(["family", "who", "cost", "fit (95 % interval)"], rows)
    yield "\n".join(f"- {sentence}" for sentence in crossings(fits(result.rows))) + "\n"


def row_table(result: Result) -> Iterator[str]:
    heads = ["problem", "size", "who", "seconds", "quartiles", "ratio", "first"]
    sized = [name for name in ("values", "program", "peak", "peak_first") if has(result, name)]
    rows = [
        [
            *(row.problem, str(row.size), row.who, seconds(row.median)),
            f"{seconds(row.low)} .. {seconds(row.high)}",
            f"{row.ratio:.3g}",
            "" if row.first is None else seconds(row.first),
            *(bytes_text(getattr(row, name)) for name in sized),
        ]
        for row in result.rows
    ]
    gone = [
        [a["problem"], str(a["size"]), a["who"], f"absent: {a['reason']}"] for a in result.absent
    ]
    yield from table(heads + [name.replace("_", ", ") for name in sized], rows + gone)


def has(result: Result, name: str) -> bool:
    return any(getattr(row, name) is not None for row in result.rows)


def bytes_text(count: int | None) -> str:
    if count is None:
        return ""
    return tick_text(count, "bytes") if count > 0 else "0"


def table(heads: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Markdown; short rows are filled up."""
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        cells = [cell.replace("|", "\\|").replace("\n", " ") for cell in row]
        yield "| " + " | ".join(cells + [""] * (len(heads) - len(row))) + " |"
    yield ""


# --- files -------------------------------------------------------------------------------------


def written(found: list[Result]) -> dict[str, str]:
    """Every file by its name beside the page, with its text."""
    files = {PAGE.name: page(found)}
    for result in found:
        files |= {f"{CHARTS}/{name}.svg": svg for name, _, svg in pictures(result)}
    return files


def main() -> None:
    """Write what is new or has changed, and remove pictures that nothing shows any more."""
    found = results()
    files = written(found)
    folder = PAGE.parent / CHARTS
    folder.mkdir(exist_ok=True)
    for stale in {p.name for p in folder.glob("*.svg")} - {Path(name).name for name in files}:
        (folder / stale).unlink()
    for name, text in files.items():
        write_whole(PAGE.parent / name, text.encode())
    missed = [bar for result in found for bar in result.bars if bar.is_met is False]
    print(f"docs/{PAGE.name} and {len(files) - 1} charts; missed: {len(missed)}")
    for bar in missed:
        print(f"  {bar}")


if __name__ == "__main__":
    main()
