"""Graphs run forward and backward: every value and cotangent, what is pruned, and the pictures."""

from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from cases import CASES

import calcbench as cb
from calcbench.graph.drawing import Box
from calcbench.graph.interpreter import evaluate
from calcbench.graph.ir import reachable
from calcbench.graph.layering import GAP, LANE, place_nodes
from calcbench.measure.drawing import ACTIVE, PRUNED, VALUE, WANTED, look_of
from calcbench.measure.execution import execute
from calcbench.measure.recording import recorded_point


NAMESPACE = "{http://www.w3.org/2000/svg}"
X, W, Y = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0]), 1.5


def squared_gap(x, w, y):
    unused = np.exp(x) * y
    assert unused.shape == x.shape
    return (np.dot(x, w) - y) ** 2


@pytest.fixture(scope="module")
def by_w():
    return cb.draw_graph(squared_gap, X, W, Y, argnums=1)


def nodes_by_row(run):
    """Node ids by the row's name, inputs by their own."""
    names = dict(zip(run.graph.inputs, run.graph.input_names, strict=True))
    return {names.get(i, n.row.name): i for i, n in enumerate(run.graph.nodes)}


# --- values and cotangents -----------------------------------------------------------------------


def test_the_seed_example_has_the_values_and_cotangents_of_its_closed_form(by_w):
    """z = (p - y)^2 with p = <x, w>: dz/dp = 2 (p - y), dz/dw = 2 (p - y) x."""
    run, at = by_w.execution, nodes_by_row(by_w.execution)
    product = 1.0 * 0.5 - 2.0 * 1.0 + 3.0 * 2.0
    gap = product - Y
    expected = {
        "matmul": (product, 2 * gap),
        "subtract": (gap, 2 * gap),
        "square": (gap**2, 1.0),
        "w": (W, 2 * gap * X),
        "x": (X, None),
        "y": (Y, None),
        "exp": (None, None),
        "multiply": (None, None),
    }
    for name, (value, cotangent) in expected.items():
        for found, wanted in ((run.values, value), (run.cotangents, cotangent)):
            assert (found[at[name]] is None) == (wanted is None), name
            assert wanted is None or np.array_equal(found[at[name]], wanted), name


def test_what_the_gradient_does_not_need_is_drawn_apart(by_w):
    looks = {name: look_of(by_w.execution, i) for name, i in nodes_by_row(by_w.execution).items()}
    assert looks.pop("w") == WANTED
    assert {n for n, look in looks.items() if look == ACTIVE} == {"matmul", "subtract", "square"}
    assert {n for n, look in looks.items() if look == VALUE} == {"x", "y"}
    assert {n for n, look in looks.items() if look == PRUNED} == set(looks) - {
        "matmul", "subtract", "square", "x", "y"
    }  # fmt: skip


def executed(case):
    point = recorded_point("a test", case.function, case.arguments, None)
    return point, execute(point)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_inputs_get_the_bits_of_the_reverse_transform(case):
    point, run = executed(case)
    graph = point.graph
    types = [graph.types[i] for i in graph.outputs if graph.types[i].is_float]
    seeds = [np.ones(t.shape, t.dtype)[()] for t in types]
    both = evaluate(cb.vjp_graph(graph, point.wanted), *point.inputs, *seeds)
    for index, value in zip(graph.outputs, both, strict=False):
        assert np.array_equal(run.values[index], value)
    for index, cotangent in zip(run.wanted, both[len(graph.outputs) :], strict=True):
        assert np.asarray(run.cotangents[index]).tobytes() == np.asarray(cotangent).tobytes()


def total(point, node, change):
    """The sum of all float results, computed row by row, with one node's value changed."""
    graph = point.graph
    values = dict(zip(graph.inputs, point.inputs, strict=True))
    for index in reachable(graph.nodes, graph.outputs):
        found = graph.nodes[index]
        if index not in values:
            operands = [values[i] for i in found.operands]
            values[index] = found.row.numpy(*operands, **dict(found.params))
        if index == node:
            values[index] = values[index] + change
    return sum(float(np.sum(values[i])) for i in graph.outputs if graph.types[i].is_float)


def gap_to_differences(point, run, node, rng):
    """Between <ct, d> and a central difference along d, relative to the larger of it and 1."""
    d = rng.uniform(-1.0, 1.0, np.shape(run.values[node]))
    h = 1e-6 * (1 + np.max(np.abs(run.values[node]), initial=0.0))
    slope = (total(point, node, h * d) - total(point, node, -h * d)) / (2 * h)
    return abs(slope - float(np.sum(run.cotangents[node] * d))) / max(1.0, abs(slope))


# A difference sees through `detach`, which is there to cut the derivative.
SMOOTH = [c for c in CASES if c.name != "stopped"]


@pytest.mark.parametrize("case", SMOOTH, ids=lambda c: c.name)
def test_the_cotangent_of_every_node_is_the_slope_by_its_value(case):
    point, run = executed(case)
    rng = np.random.default_rng(0)
    graph = point.graph
    kept = [i for i in reachable(graph.nodes, graph.outputs) if run.cotangents[i] is not None]
    doubles = [i for i in kept if graph.types[i].dtype == np.float64]
    assert doubles
    for node in doubles:
        assert gap_to_differences(point, run, node, rng) < 1e-5, graph.place(node)


def test_a_wrong_cotangent_would_be_noticed(by_w):
    point = recorded_point("a test", squared_gap, (X, W, Y), 1)
    node = nodes_by_row(by_w.execution)["subtract"]
    wrong = list(by_w.execution.cotangents)
    wrong[node] = wrong[node] * 1.001
    run = by_w.execution.__class__(point.graph, (1,), by_w.execution.values, tuple(wrong))
    assert gap_to_differences(point, run, node, np.random.default_rng(0)) > 1e-5


def test_a_path_that_is_cut_has_no_cotangent_and_an_input_without_a_path_has_zero():
    run = cb.draw_graph(lambda x, y: np.sum(np.sign(x)) * y, X, Y, argnums=(0, 1)).execution
    at = nodes_by_row(run)
    assert np.array_equal(run.cotangents[at["x"]], np.zeros(3))
    assert run.cotangents[at["sign"]] is None
    assert run.cotangents[at["y"]] == 3.0


def test_a_branch_not_taken_gets_zero_and_no_nan():
    run = cb.draw_graph(lambda x: np.where(x < 1, x, np.sqrt(x)), np.array([0.0, 4.0])).execution
    at = nodes_by_row(run)
    assert np.array_equal(run.cotangents[at["sqrt"]], [0.0, 1.0])
    assert np.array_equal(run.cotangents[at["x"]], [1.0, 0.25])


def test_entries_left_out_get_zero_where_the_slope_is_infinite():
    """The root has no slope at 0, and nothing reads that entry."""
    run = cb.draw_graph(lambda x: np.sum(np.sqrt(x)[1:]), np.array([0.0, 4.0])).execution
    assert np.array_equal(run.cotangents[nodes_by_row(run)["x"]], [0.0, 0.25])


# --- places --------------------------------------------------------------------------------------


def random_operands(rng, count):
    return [
        list(rng.choice(k, size=min(k, int(rng.integers(0, 3))), replace=False))
        for k in range(count)
    ]


@pytest.mark.parametrize("seed", range(30))
def test_boxes_and_lanes_keep_their_distance(seed):
    rng = np.random.default_rng(seed)
    operands = random_operands(rng, int(rng.integers(1, 40)))
    widths = [float(w) for w in rng.uniform(40, 200, len(operands))]
    found = place_nodes(operands, widths)
    rows = {}
    for index, width in enumerate(widths):
        rows.setdefault(found.layer[index], []).append((found.x[index], width))
    for index, lane in enumerate(found.lanes):
        readers = [found.layer[i] for i, read in enumerate(operands) if index in read]
        assert all(depth > found.layer[index] for depth in readers)
        assert len(lane) == max([found.layer[index] + 1, *readers]) - found.layer[index] - 1
        for depth, place in enumerate(lane, start=found.layer[index] + 1):
            rows[depth].append((place, LANE))
    for row in rows.values():
        for (x0, w0), (x1, w1) in pairwise(sorted(row)):
            assert x1 - x0 >= (w0 + w1) / 2 + GAP - 1e-6
    assert min(x - w / 2 for row in rows.values() for x, w in row) >= -1e-6


def test_a_lane_is_straight_where_there_is_room():
    operands = [[], [0], [1], [2], [0, 3]]
    (lane,) = filter(None, place_nodes(operands, [80.0] * 5).lanes)
    assert len(lane) == 3
    assert len(set(lane)) == 1


@pytest.mark.parametrize("count", [0, 1])
def test_there_may_be_nothing_to_place(count):
    assert place_nodes([[]] * count, [50.0] * count).layer == [0] * count


# --- pictures ------------------------------------------------------------------------------------


def texts(svg):
    return ["".join(t.itertext()) for t in ElementTree.fromstring(svg).iter(f"{NAMESPACE}text")]


def test_the_picture_has_a_box_with_value_cotangent_and_bytes_for_every_node(by_w):
    root = ElementTree.fromstring(by_w.svg)
    boxes = [["".join(t.itertext()) for t in g.iter(f"{NAMESPACE}text")]
             for g in root.iter(f"{NAMESPACE}g")]  # fmt: skip
    assert len(boxes) == len(by_w.execution.graph)
    shown = {b[0].rpartition("= ")[2].split()[0]: b[1:] for b in boxes}
    assert shown["w"] == ["f64[3], 24 bytes", "value [0.5, -1, 2]", "cotangent [6, 12, 18]"]
    assert shown["square"] == ["f64[], 8 bytes", "value 9", "cotangent 1"]
    assert shown["x"] == ["f64[3], 24 bytes", "value [1, 2, 3]"]
    assert shown["exp"] == ["f64[3], 24 bytes"]


def test_every_edge_ends_in_a_tip_in_the_middle_above_its_reader(by_w):
    root = ElementTree.fromstring(by_w.svg)
    tips = [p.get("d").split()[1:3] for p in root.iter(f"{NAMESPACE}path") if "z" in p.get("d")]
    expected = []
    for node, group in zip(by_w.execution.graph.nodes, root.iter(f"{NAMESPACE}g"), strict=True):
        rect = list(group.iter(f"{NAMESPACE}rect"))[-1]
        x, y, width = (float(rect.get(k)) for k in ("x", "y", "width"))
        expected += [(x + width / 2, y - 1)] * len(set(node.operands))
    found = sorted((float(x), float(y)) for x, y in tips)
    assert np.allclose(found, sorted(expected), atol=0.1)


def test_pruned_boxes_are_dashed_and_results_have_two_frames(by_w):
    groups = ElementTree.fromstring(by_w.svg).iter(f"{NAMESPACE}g")
    frames = [[r.get("stroke-dasharray") for r in g.iter(f"{NAMESPACE}rect")] for g in groups]
    run = by_w.execution
    for index, found in enumerate(frames):
        dashes = "none" if run.is_computed(index) else PRUNED.dashes
        assert found == [dashes] * (2 if index in run.graph.outputs else 1)


def test_no_box_lies_on_another_and_all_lie_in_the_picture():
    root = ElementTree.fromstring(cb.draw_graph(CASES[0].function, *CASES[0].arguments).svg)
    width, height = float(root.get("width")), float(root.get("height"))
    rects = [
        [float(r.get(k)) for k in ("x", "y", "width", "height")]
        for g in root.iter(f"{NAMESPACE}g")
        for r in list(g.iter(f"{NAMESPACE}rect"))[-1:]
    ]
    for rank, (x, y, w, h) in enumerate(rects):
        assert min(x, y) >= 0
        assert x + w <= width
        assert y + h <= height
        for a, b, c, d in rects[rank + 1 :]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y


def test_hostile_names_are_escaped_in_pictures_and_text():
    name = "</text><script>alert('&')</script>\x1b[31m\n" + "long" * 30
    drawn = cb.draw_graph(lambda p: p[name] * 2.0, {name: 1.0})
    drawn = drawn.__class__(name, drawn.execution)
    for svg in (drawn.svg, drawn._repr_svg_()):
        assert "<script" not in svg
        assert "\x1b" not in svg
        assert any("<script>" in text or "…" in text for text in texts(svg))
    assert "\x1b" not in str(drawn)
    assert len(str(drawn).splitlines()) == 1 + 1 + 3 + 1
    assert max(map(len, str(drawn).splitlines())) < 130


def test_long_values_show_their_ends_and_nan():
    drawn = cb.draw_graph(lambda x: np.sum(x) * 2.0, np.arange(300.0))
    assert "value 0 .. 299" in texts(drawn.svg)
    holes = cb.draw_graph(lambda x: np.sum(x), np.array([np.nan] * 5 + [1.0]))
    assert "value 1 .. 1 and 5 nan" in texts(holes.svg)
    nothing = cb.draw_graph(lambda x: x * 2.0, np.ones(0))
    assert "value no entries" in texts(nothing.svg)


def test_the_picture_is_written_whole(tmp_path):
    path = tmp_path / "graph.svg"
    drawn = cb.draw_graph(squared_gap, X, W, Y, argnums=1, path=path)
    assert path.read_text(encoding="utf-8") == drawn.svg
    assert [p.name for p in tmp_path.iterdir()] == ["graph.svg"]


# --- text ----------------------------------------------------------------------------------------

TREE = """\
squared_gap
node                            type         value    cotangent  bytes
v8 = square v7                 f64[]             9            1      8
└─ v7 = subtract v6 y          f64[]             3            6      8
   ├─ v6 = matmul x w          f64[]           4.5            6      8
   │  ├─ x                    f64[3]     [1, 2, 3]            -     24
   │  └─ w (differentiated)   f64[3]  [0.5, -1, 2]  [6, 12, 18]     24
   └─ y                        f64[]           1.5            -      8
v5 = multiply v3 v4 (pruned)  f64[3]             -            -     24
├─ v3 = exp x (pruned)        f64[3]             -            -     24
│  └─ x                       f64[3]     [1, 2, 3]            -     24
└─ v4 = broadcast y (pruned)  f64[3]             -            -     24
   └─ y                        f64[]           1.5            -      8
a cotangent is the derivative of the result by the node's value"""


def test_the_tree_is_printed_as_agreed(by_w):
    assert str(by_w) == TREE


def test_a_node_that_is_read_twice_is_printed_once():
    text = str(cb.draw_graph(lambda x: np.exp(x) * np.sin(np.exp(x)), 0.5))
    assert text.count("= exp x") == 1
    assert text.count("v1 (above)") == 1


def test_a_given_graph_is_run_at_given_inputs():
    graph = cb.trace(lambda x, y: x * y, 2.0, 3.0)
    run = cb.draw_graph(graph, 5.0, 7.0).execution
    assert [float(run.cotangents[i]) for i in graph.inputs] == [7.0, 5.0]


def test_boxes_know_their_size():
    wide, narrow = (Box(("x" * n,), (), ACTIVE) for n in (30, 3))
    assert wide.width > narrow.width > 0
    assert wide.height == narrow.height


GRAPH = cb.trace(lambda x, y: x * y, 2.0, 3.0)
OPEN = cb.as_graph(cb.var("a", shape=(cb.Dim("n"),)) * 2.0)
REFUSED = {
    "no function": (lambda: cb.draw_graph(3.0), "takes a function or a Graph"),
    "inputs missing": (lambda: cb.draw_graph(GRAPH, 2.0), "takes 2 values after the graph, got 1"),
    "wrong shape": (lambda: cb.draw_graph(GRAPH, 2.0, np.ones(3)), "input 'y' has type"),
    "open sizes": (lambda: cb.draw_graph(OPEN, np.ones(3)), "sizes are numbers"),
    "argnums of a graph": (lambda: cb.draw_graph(GRAPH, 2.0, 3.0, argnums=0), "without argnums=0"),
    "too large": (lambda: cb.draw_graph(squared_gap, X, W, Y, most_nodes=4), "most_nodes="),
    "no number": (lambda: cb.draw_graph(squared_gap, X, W, Y, most_nodes=True), "got True"),
    "zero nodes": (lambda: cb.draw_graph(squared_gap, X, W, Y, most_nodes=0), "got 0"),
    "integers": (lambda: cb.draw_graph(lambda x: x * 2.0, 3, argnums=0), "pass floats"),
    "no such argument": (lambda: cb.draw_graph(lambda x: x, 3.0, argnums=2), "argnums=2"),
    "another suffix": (lambda: cb.draw_graph(lambda x: x, 3.0, path="a.png"), "ends in '.png'"),
    "inside a trace": (
        lambda: cb.grad(lambda x: (cb.draw_graph(lambda t: t * x, 2.0), x * x)[1])(3.0),
        "being traced",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(cb.CalcbenchError, match=message):
        call()
