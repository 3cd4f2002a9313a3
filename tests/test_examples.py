"""The example scripts run from a plain shell, stay short, and print what they claim."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


EXAMPLES = Path(__file__).parents[1] / "examples"


def output_of(name: str) -> str:
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda p: p.stem)
def test_an_example_is_short_and_has_cells(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert "# %%" in text


def test_the_main_job_passes_the_right_gradient_and_places_three_mistakes():
    sections = re.split(r"^== ", output_of("01_verify_gradient.py"), flags=re.M)[1:]
    titles = [s.splitlines()[0] for s in sections]
    assert titles[0] == "the gradient as it should be"
    assert sections[0].splitlines()[1].startswith("pass")
    for section in sections[1:4]:
        assert section.splitlines()[1].startswith("fail"), section
        assert re.search(r"\[\d+\]", section), section
    values = [float(v) for v in re.findall(r"-?\d+\.\d{15}", sections[4])]
    assert len(values) == 3
    assert max(values) - min(values) < 1e-13


def test_forward_pays_for_every_input_and_reverse_does_not():
    lines = output_of("02_compare_modes.py").splitlines()
    ratios = [float(line.split()[-1]) for line in lines[2:5]]
    assert ratios[2] > 3 * ratios[0]
    together, apart = map(float, re.findall(r"(\d+) µs", lines[-1]))
    assert together < apart


def test_matrix_calculus_prints_textbook_answers_with_their_certificates():
    text = output_of("03_matrix_calculus.py")
    assert re.search(r"2 Aᵀ \(A x - w\) .*agrees with a complex step in \d\d digits", text)
    for line in ("2 Aᵀ A", "X⁻ᵀ", "-Xᵀ (y ∘ σ(-y ∘ (X w)))", "2 S⁻¹ - Diag(diag(S⁻¹))"):
        assert line in text.splitlines()
    assert "vec: Bᵀ ⊗ A" in text
    assert "numerator   (1, n) xᵀ (A + Aᵀ)" in text
    assert "position 1: the inner sizes n and m" in text
    assert "return (A.T @ np.exp(A @ x)) / (np.ones(m) @ np.exp(A @ x))" in text


def test_subgradients_are_sets_and_a_framework_outside_is_named():
    text = output_of("04_subgradients.py")
    for line in (
        "relu at 0:              [0, 1]",
        "relu(x) - relu(-x) at 0: {1}",
        "a norm at 0:            ball(center=[0., 0.], radius=1)",
        "(0.3, -1) is in the set: True (1.2, 0): False",
        "one-sided slope: -2.0",
        "0.650584339469878394625782857094",
    ):
        assert line in text.splitlines()
    assert re.search(r"TensorFlow +2\. +no", text)
    assert "product rule" in text


def test_the_cost_of_modes_grows_as_counted():
    text = output_of("05_forward_against_reverse.py")
    assert re.search(r"function +3 +4 +0", text)  # <x, w>: 3 products, 2 sums; the rest
    assert "operations of forward mode ∝ size^2.00" in text
    assert "operations of reverse mode ∝ size^1.00" in text
    depths = re.findall(r"depth +(\d+): forward holds (\d+) bytes, reverse (\d+)", text)
    assert [d for d, _, _ in depths] == ["10", "100", "1000"]
    assert len({forward for _, forward, _ in depths}) == 1
    assert int(depths[2][2]) - int(depths[1][2]) == 8 * 900
    assert "for 200 inputs and 1 output take reverse mode" in text


def test_a_sparse_jacobian_takes_three_sweeps_and_four_hessians_agree():
    text = output_of("06_sparse_and_second.py")
    assert "3 sweeps (forward) instead of 2000" in text
    assert "equal to the dense one: True" in text
    gaps = [float(g) for g in re.findall(r"differs by (\S+)", text)]
    assert len(gaps) == 3
    assert max(gaps[0], gaps[2]) < 1e-14
    assert gaps[1] < 1e-8


def test_the_graph_of_the_seed_example_has_a_value_and_a_cotangent_at_every_node():
    """z = (p - 3/2)^2 with p = <x, w> = 9/2: z = 9, dz/dp = 6, by w 6 x, by x 6 w."""
    text = output_of("07_computational_graph.py")
    whole, by_w = text.split("a cotangent is the derivative of the result by the node's value")[:2]
    for words in (r"square v6 .* 9 +1 +8", r"subtract v5 y .* 3 +6 +8", r"matmul x w .* 4\.5 +6"):
        assert re.search(words, whole)
        assert re.search(words, by_w)
    assert re.search(r"w \(differentiated\) .*\[6, 12, 18\]", by_w)
    assert re.search(r"x \(differentiated\) .*\[3, -6, 12\]", whole)
    assert re.search(r"y \(differentiated\) .* 1\.5 +-6", whole)
    assert re.search(r"─ x  .*\[1, 2, 3\] +- ", by_w)
    assert re.search(r"exp x \(pruned\) .* - +- ", by_w)
    assert text.count("[ 6. 12. 18.]") == 3
    counts = [int(n) for n in re.findall(r"(\d+) operations", text)]
    assert counts[0] > counts[1]
    assert " = exp " not in text.split("w alone:")[1]


def test_checkpointing_trades_steps_for_bytes_as_the_optimum_says():
    """l = 1e5 steps, s slots: r l - C(s + r, s + 1) steps, r the least with C(s + r, s) >= l."""
    text = output_of("08_checkpointing.py")
    rows = re.findall(r"^ +(\d+) +(\d+) +([\d.]+)% +(\d+) +([\d.]+) +([\d.]+)$", text, re.M)
    slots, held, part, program, again, _ = zip(*[map(float, row) for row in rows], strict=True)
    assert slots == (10, 30, 100, 300, 1000)
    assert again == (8.32, 4.48, 2.95, 2.54, 1.99)
    assert list(held) == sorted(held)
    assert part[-1] < 1.1
    assert max(program) < 1.01 * min(program)
    nets = [int(n) for n in re.findall(r"(\d+) bytes, +\d+ operations", text)]
    assert nets[0] > 2 * max(nets[1:])
