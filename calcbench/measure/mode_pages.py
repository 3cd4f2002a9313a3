"""What a page says of compared modes: recommendation, table, verdicts, charts and the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from calcbench.graph.captions import formula, line_of
from calcbench.measure.chart_pictures import chart_svg
from calcbench.measure.counting import GraphCost
from calcbench.measure.drawing import GraphDrawing
from calcbench.measure.execution import execute, total_bytes
from calcbench.measure.fitting import Crossover, PowerFit
from calcbench.measure.mode_charts import (
    Key,
    Way,
    comparison_charts,
    growth_charts,
    memory_crossovers,
    memory_fits,
    way_of,
)
from calcbench.measure.pages import bullets, heading, listing, paragraph, table, wide
from calcbench.measure.reporting import Cost
from calcbench.measure.timing import seconds


MOST_DRAWN, LISTED = 80, 20  # nodes in a picture, and in a list instead
MOST_HELD = 2**26  # bytes of values that are computed for a picture


class Compared(Protocol):
    """What a page needs of a comparison."""

    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def records(self) -> Sequence[Way]: ...
    @property
    def counts(self) -> Cost: ...
    @property
    def verdicts(self) -> Sequence[str]: ...
    @property
    def recommendation(self) -> str: ...
    @property
    def table(self) -> list[list[str]]: ...
    @property
    def stages(self) -> list[list[str]]: ...
    @property
    def devices(self) -> Sequence[object]: ...
    @property
    def device_table(self) -> list[list[str]]: ...


class Grown(Protocol):
    """What a page needs of comparisons at growing sizes."""

    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def comparisons(self) -> Sequence[Compared]: ...
    @property
    def fits(self) -> Mapping[Key, PowerFit]: ...
    @property
    def operations(self) -> Mapping[str, PowerFit]: ...
    @property
    def crossovers(self) -> Mapping[str, Crossover | None]: ...
    @property
    def missing(self) -> Sequence[str]: ...


def comparison_parts(found: Compared) -> Iterator[str]:
    """The sections for one comparison."""
    yield paragraph(sentence(found.recommendation), "said")
    yield heading("Every way to the derivative")
    yield table(found.table)
    yield bullets(found.verdicts)
    yield from _first_calls(found)
    yield heading("Where forward and reverse mode cost the same")
    yield bullets(crossover_ratios(found))
    yield paragraph(
        "One size was measured, through which no exponent can be fitted: calcbench.sweep measures "
        "a family of problems and fits how each cost grows."
    )
    yield heading("Time and memory")
    yield from map(chart_svg, comparison_charts(found))
    yield heading("Counted operations and bytes")
    yield listing(found.counts)
    yield heading("All of it as it is printed")
    yield listing(found)
    yield from graph_parts(found.counts)


def _first_calls(found: Compared) -> Iterator[str]:
    """What the first call takes, step by step, and what the kernels of a device would need."""
    if len(found.stages) > 1:
        yield heading("The first call, step by step")
        yield table(found.stages)
    if found.devices:
        yield heading("The kernels on CUDA")
        yield table(found.device_table)


def growth_parts(found: Grown) -> Iterator[str]:
    """The sections for comparisons at growing sizes."""
    last = found.comparisons[-1]
    yield paragraph(sentence(f"at size {found.sizes[-1]}, {last.recommendation}"), "said")
    yield bullets([*crossings(found.crossovers), *found.missing])
    memory = memory_crossovers(found)
    yield bullets(crossings(memory, "hold as many bytes", "hold bytes that grow alike"))
    yield heading("Time and memory")
    yield from map(chart_svg, growth_charts(found))
    yield heading("Fitted exponents with their 95 % intervals")
    yield table(_exponents(found))
    yield heading("Median seconds at each size")
    yield table(_medians(found))
    yield heading(f"At size {found.sizes[-1]}")
    yield table(last.table)
    yield bullets([*last.verdicts, *crossover_ratios(last)])
    yield from _first_calls(last)
    yield paragraph(f"The graph that follows is that of the first size, {found.sizes[0]}.")
    yield from graph_parts(found.comparisons[0].counts)


def graph_parts(counts: Cost) -> Iterator[str]:
    """The graph with values, cotangents and bytes; of a large one, what takes most operations."""
    yield heading("The graph of the function")
    why = _too_much(counts)
    if why or counts.point is None:
        yield paragraph(f"{why}: instead of a picture, the nodes that take the most operations.")
        yield table(_expensive(counts.function))
        return
    drawn = GraphDrawing("run forward and backward once, after exact rewrites",
                         execute(counts.point))  # fmt: skip
    yield wide(drawn.svg, "wide graph")


def _too_much(counts: Cost) -> str:
    graph = counts.function.graph
    if len(graph) > MOST_DRAWN:
        return f"The graph has {len(graph)} nodes, more than the {MOST_DRAWN} that can be read"
    if counts.point is None:
        return "The inputs are too large to be kept for another run"
    if total_bytes(graph) > MOST_HELD:
        return f"All values of the graph together take {total_bytes(graph)} bytes"
    return ""


def _expensive(found: GraphCost) -> list[list[str]]:
    ranked = sorted(found.nodes, key=lambda n: -n.operations.total)[:LISTED]
    whole = max(found.operations.total, 1)
    head = ["node", "type", "operations", "of all", "bytes read", "bytes written", "line"]
    return [head] + [
        [
            formula(found.graph, n.node),
            str(found.graph.types[n.node]),
            str(n.operations.total),
            f"{n.operations.total / whole:.1%}",
            str(n.read),
            str(n.written),
            line_of(found.graph, n.node),
        ]
        for n in ranked
    ]


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def crossings(
    crossovers: Mapping[str, Crossover | None],
    equal: str = "take equally long",
    parallel: str = "grow alike",
) -> list[str]:
    """Where both modes cost the same, engine by engine."""
    return [
        f"{engine}: forward and reverse mode "
        f"{parallel if crossing is None else f'{equal} {crossing}'}"
        for engine, crossing in crossovers.items()
    ]


def crossover_ratios(found: Compared) -> list[str]:
    """The m/n at which m reverse sweeps cost as much as n forward sweeps."""
    jvp, vjp = found.counts.jvp, found.counts.vjp
    here = f"here m/n = {found.outputs}/{found.inputs} = {found.outputs / found.inputs:.3g}"
    said = []
    if jvp is not None and vjp is not None and vjp.operations.total:
        one, other = jvp.operations.total, vjp.operations.total
        said.append(
            f"by counted operations at m/n = {one / other:.3g}: one forward sweep takes {one}, one "
            f"reverse sweep {other}; {here}"
        )
    medians = {(r.mode, r.engine): r.timing.median for r in found.records}
    for engine in dict.fromkeys(r.engine for r in found.records):
        if ("forward", engine) in medians and ("reverse", engine) in medians:
            forward = medians["forward", engine] / found.inputs
            reverse = medians["reverse", engine] / found.outputs
            said.append(
                f"by time per sweep on {engine} at m/n = {forward / reverse:.3g}: "
                f"{seconds(forward)} a forward sweep, {seconds(reverse)} a reverse sweep"
            )
    return said


def _exponents(found: Grown) -> list[list[str]]:
    rows = [["mode", "engine", "seconds", "predicted peak", "counted operations"]]
    for (mode, engine), memory in memory_fits(found).items():
        operations = str(found.operations[mode]) if mode in found.operations else ""
        rows.append(
            [mode, engine, str(found.fits[mode, engine]), str(memory or "no fit"), operations]
        )
    return rows


def _medians(found: Grown) -> list[list[str]]:
    shapes = [f"{c.outputs}/{c.inputs}" for c in found.comparisons]
    rows = [
        [*key, *(seconds(way_of(c, key).timing.median) for c in found.comparisons)]
        for key in found.fits
    ]
    return [["mode", "engine", *map(str, found.sizes)], *rows, ["m/n", "", *shapes]]
