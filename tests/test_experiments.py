"""The figures and the table: the numbers of the papers, and a gallery that shows everything."""

from pathlib import Path

import joblib
import numpy as np
import pytest
import xarray as xr

from experiments import __main__ as command
from experiments import gallery, maps
from experiments.bensaid2023 import basins_classical, methods, rises, table
from experiments.bensaid2023.published import ARCHIVE, REFERENCE
from odeopt.controllers import LyapunovBacktracking
from odeopt.flows import HeavyBall
from odeopt.methods import Method, lc_gd
from odeopt.schemes import SemiImplicitEuler

FIGURES = Path(__file__).resolve().parent.parent/"figures"
ROWS = [(benchmark, name) for benchmark, known in REFERENCE.items() for name in known]


def disagreeing(rows):
    return [row for row in rows if not abs(row["difference"]) <= row["allowed"]]


@pytest.mark.parametrize(("benchmark", "name"), ROWS)
def test_every_row_agrees_with_what_is_expected(benchmark, name):
    rows = table.compare(benchmark, name, methods.METHODS[name])
    assert {row["source"] for row in rows} >= {"reference"}
    assert disagreeing(rows) == []
    assert {row["backend"] for row in rows} == {"lanes"}
    assert {row["runs"] for row in rows} == {10_000}


def test_the_tolerances_are_those_of_the_papers_comparison():
    assert table.allowed("PolyThree", "LC (2, 2)", "(0, 1)", "reference") == 0.3
    assert table.allowed("PolyTwo", "AWB 0.1", "(0, 1)", "reference") == 0.3
    assert table.allowed("PolyThree", "AWB 0.1", "(0, 1)", "reference") == 1.0
    assert table.allowed("PolyThree", "AWB 0.1", "steps", "reference") == 1.0


def test_another_slope_is_noticed():
    assert disagreeing(table.compare("PolyThree", "LC (2, 1e4)", lc_gd(slope=0.4)))
    assert disagreeing(table.compare("PolyTwo", "LC (2, 1e4)", lc_gd(slope=0.4)))


def test_the_dissipation_at_the_old_velocity_is_noticed():
    control = LyapunovBacktracking(slope=0.125, shrink=2.0, grow=1e4, h_max="flow", at="start")
    old = Method(HeavyBall(2.0), SemiImplicitEuler(), control, 0.1, "lc_momentum with the old v")
    assert disagreeing(table.compare("PolyThree", "LC_M", old))


def test_shares_of_expected_rows_make_a_whole():
    for known in (REFERENCE, ARCHIVE):
        for row in (row for rows in known.values() for row in rows.values() if row.shares):
            assert sum(row.shares) + row.diverged + row.not_converged == pytest.approx(100, abs=0.25)


def test_rises_of_the_energy_agree_with_the_archive():
    data = rises.compute(smoke=False)
    for benchmark in methods.BENCHMARKS:
        for name in rises.DRAWN:
            shown = maps.view(data, benchmark, f"{name}, a = 1" if name in ("AWB", "Adam") else name)
            archived = rises.archived(benchmark, name)
            assert 100*float((shown.runs["rises"] > 0).mean()) == pytest.approx(archived.rising, abs=2)
            if np.isfinite(archived.rises):
                # random starts, and diverged runs of other lengths
                assert float(rises.share(shown).mean()) == pytest.approx(archived.rises, abs=5e-3)
    assert all(np.isfinite(rises.archived("PolyTwo", name).rises) for name in rises.DRAWN)


def test_every_figure_is_in_the_gallery():
    page = (FIGURES/"README.md").read_text(encoding="utf-8")
    for name in command.names():
        assert f"<!-- {name} -->" in page
        picture = FIGURES/f"{name}.png"
        if picture.exists():
            assert f"({name}.png)" in page
            assert picture.stat().st_size < 400_000
        else:
            assert (FIGURES/f"{name}.md").exists() and f"({name}.md)" in page
    assert "smoke" not in page
    pictures = (p for paper in command.PAPERS for p in (FIGURES/paper).glob("*.png"))
    assert sorted(str(p.relative_to(FIGURES).with_suffix("")) for p in pictures) == sorted(
        name for name in command.names() if (FIGURES/f"{name}.png").exists())


def test_a_figure_is_drawn_again_from_its_data_alone(tmp_path, monkeypatch):
    name = "bensaid2023/basins_classical"
    assert command.main([name, "--smoke"], tmp_path) == 0
    folder = tmp_path/"smoke"
    first = (folder/f"{name}.png").read_bytes()
    (folder/f"{name}.png").unlink()
    monkeypatch.delattr(basins_classical, "compute")
    assert command.main([name, "--smoke", "--draw"], tmp_path) == 0
    assert (folder/f"{name}.png").read_bytes() == first
    assert "smoke: 24 × 24 starts" in (folder/"README.md").read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_figure_of_one_start_says_so(tmp_path):
    name = "bensaid2023/order_four"
    assert command.main([name, "--smoke"], tmp_path) == 0
    page = (tmp_path/"smoke"/"README.md").read_text(encoding="utf-8")
    assert "smoke: 1 start**" in page and "1 starts" not in page


def test_a_figure_that_fails_does_not_lose_the_others(tmp_path, monkeypatch, capsys):
    def fail(smoke):
        raise RuntimeError("no data")
    both = ["bensaid2023/basins_classical", "bensaid2023/basins_new"]
    assert command.main([*both, "--smoke"], tmp_path) == 0
    monkeypatch.setattr(basins_classical, "compute", fail)
    with joblib.parallel_config(backend="sequential"):      # other processes would not see the patch
        assert command.main([*both, "--smoke"], tmp_path) == 1
    page = (tmp_path/"smoke"/"README.md").read_text(encoding="utf-8")
    assert page.index(both[0]) < page.index(both[1])
    assert "no data" in capsys.readouterr().err


def test_an_unknown_figure_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["bensaid2023/basin"], tmp_path)
    assert "bensaid2023/basins_new" in capsys.readouterr().err


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path/"folder"/"table.md"
    gallery.write_text(path, "old")
    with pytest.raises(RuntimeError), gallery.replacing(path) as part:
        part.write_text("ne", encoding="utf-8")
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("share", "text"), [
    (0.0, "0 %"), (4e-4, "< 0.1 %"), (0.2220, "22.2 %"), (0.9996, "> 99.9 %"), (1.0, "100 %")])
def test_shares_are_not_rounded_to_nothing_or_everything(share, text):
    assert maps.percent(share) == text


def test_the_trials_of_a_bisection_leave_its_repeats_out():
    data = maps.run(["PolyTwo"], {"LCD": methods.METHODS["LCD (30, 1e4, 3)"]}, (8, 8))
    assert isinstance(data, xr.Dataset)
    shown = maps.view(data, "PolyTwo", "LCD")
    per_step = float(shown.runs["trials"].sum()/shown.runs["steps"].sum())
    assert per_step < 7.3                                   # 7.5 with them
    assert np.isfinite(table.measure(shown)["trials per step"])
