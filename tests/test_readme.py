"""The code in README.md runs and prints what its comments say."""

import contextlib
import io
import re
from pathlib import Path


README = (Path(__file__).parents[1] / "README.md").read_text()


def code_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.S)


def printed_report() -> str:
    """The report that the README shows, up to its second last line."""
    (block,) = re.findall(r"```\n(fail.*?)```", README, flags=re.S)
    return block


def test_the_code_block_runs_and_its_comments_hold():
    (code,) = code_blocks()
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - the README's own code
    text = printed.getvalue()
    assert text.startswith(printed_report())
    assert "[ 2. -2.  5.]" in text
    assert "[[2. 0. 0.]" in text
    assert "= sin v0" in text
    assert text.rstrip().endswith("[1. 1. 1.]")
