"""The README's examples run as they stand."""

import pathlib
import re

import matplotlib
import pytest

README = pathlib.Path(__file__).parents[1]/"README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_readme_has_its_examples():
    assert len(EXAMPLES) == 3
    assert len(EXAMPLES[0].strip().splitlines()) <= 10


@pytest.mark.parametrize("text", EXAMPLES, ids=["first", "own optimizer", "networks"])
def test_example(text, capsys, monkeypatch):
    monkeypatch.setattr(matplotlib, "rcParams", matplotlib.rcParams.copy())
    matplotlib.use("agg")
    namespace: dict = {"__name__": "readme"}
    exec(compile(text, str(README), "exec"), namespace)
    runs = namespace["solution"] if "solution" in namespace else namespace["training"]
    assert bool(runs.success) if "solution" in namespace else runs.success.mean() > 0.9
    printed = capsys.readouterr().out
    assert any(word in printed for word in ("CONVERGED", "proved", "converged"))
    matplotlib.pyplot.close("all")


def test_own_optimizer_is_short_and_proved(capsys):
    code = [line for line in EXAMPLES[1].splitlines() if line.strip()]
    assert len(code) <= 20
    namespace: dict = {"__name__": "readme"}
    exec(EXAMPLES[1].split("method =")[0], namespace)
    assert capsys.readouterr().out.startswith("proved")
