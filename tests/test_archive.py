"""The archive repeated, and the figures beside the basins: what their captions claim."""

import numpy as np
import pandas as pd
import pytest

from experiments.bensaid2023 import adam_paths, archive, dissipation_speed, sensitivity, stiffness
from experiments.bensaid2023.published import ARCHIVE
from odeopt import objectives

MARGIN = 0.45           # points beyond 3 sigma: what EM, PGD and Adam lost in the archive and do not lose here
ROWS = [(benchmark, name) for benchmark, known in archive.ROWS.items() for name in known]
OTHERS = {("PolyTwo", "Adam 0.01"), ("PolyThree", "RK2Momentum 0.001")}


@pytest.fixture(scope="module")
def rows():
    found = [archive.repeat(benchmark, name) for benchmark, name in ROWS]
    return pd.DataFrame(found).set_index(["benchmark", "method"])


def farthest(rows, key):
    """The largest difference of a row's shares in points, less 3 sigma of 10 000 random starts."""
    row = rows.loc[[key]]
    over = [((row[f"m_{quantity}"] - row[f"a_{quantity}"]).abs() - 3*archive.standard_error(row, quantity)).iloc[0]
            for quantity in archive.SHARES]
    return np.nanmax(over)


@pytest.mark.parametrize("key", [key for key in ROWS if key not in OTHERS])
def test_shares_agree_within_the_sampling_of_the_archive(rows, key):
    assert farthest(rows, key) <= MARGIN


@pytest.mark.parametrize("key", sorted(OTHERS))
def test_two_rows_of_the_archive_are_another_method_or_step(rows, key):
    assert farthest(rows, key) > 0.8
    other = {"Adam 0.01": "AWB 0.01", "RK2Momentum 0.001": "RK2Momentum 0.01"}[key[1]]
    assert farthest(rows, (key[0], other)) <= 0.0


def test_iterations_agree_with_the_archive(rows):
    ratio = (rows["m_iterations"]/rows["a_iterations"]).dropna().drop([*(OTHERS & set(rows.index)), ("PolyTwo", "PM")],
                                                                      errors="ignore")
    assert len(ratio) == 30
    assert ratio.between(0.98, 1.02).all()
    assert rows.loc[("PolyTwo", "PM"), "m_iterations"] > 65                 # archived: 53.3, not explained


def test_runs_with_a_rise_agree_with_the_archive(rows):
    difference = (rows["m_rising"] - rows["a_rising"]).dropna()
    unexplained = [("PolyTwo", "Verlet 0.1"), ("PolyThree", "LM_base")]
    assert (difference.drop(unexplained).abs() < 1).all()
    assert difference[unexplained].lt(-3).all()
    assert len(difference) == 26


def test_every_row_of_the_archive_is_repeated():
    for benchmark, known in ARCHIVE.items():
        assert {row.archived or name for name, row in archive.ROWS[benchmark].items()} == set(known)


def test_adam_leads_three_starts_to_one_minimum_and_one_to_another():
    data = adam_paths.compute(smoke=False)
    ends = objectives.PolyThree().minima[data["label"].values]
    assert ends.tolist() == [[0.0, 1.0]]*3 + [[2.0, -1.0]]
    assert "3 to (0, 1) and 1 to (2, −1)" in adam_paths.caption(data)


def test_gd_follows_its_dissipation_to_half_a_step_times_the_least_eigenvalue():
    data = dissipation_speed.compute(smoke=False)
    assert data["lost"].sum("start").values.tolist() == [4, 1]
    late = dissipation_speed.late(data, "GD")
    assert late[:, -1] == pytest.approx(0.1*(3 - np.sqrt(5))/2, rel=2e-3)
    assert 0.05 < np.median(dissipation_speed.late(data, "Momentum")) < 0.3


def test_no_label_hangs_on_the_last_digit_and_em_hangs_on_the_sixth():
    shape = (100, 100)
    found = {name: sensitivity.changes("PolyThree", sensitivity.METHODS[name], shape, (sensitivity.ULP, 1e-6))
             for name in ("Momentum 0.1", "AWB 0.1", "EM", "EGD", "LC (2, 1e4)")}
    ulp = {name: float(data["changed"].sel(move=sensitivity.ULP).mean()) for name, data in found.items()}
    assert max(ulp.values()) <= 2e-4                                        # two cells, for other processors
    sixth = {name: float(data["changed"].sel(move=1e-6).mean()) for name, data in found.items()}
    assert sixth["EM"] == pytest.approx(0.12, abs=0.02)
    assert sixth["Momentum 0.1"] == pytest.approx(0.016, abs=0.006)
    assert sixth["AWB 0.1"] < 0.004


def test_neighbours_differ_in_one_coordinate():
    x = np.array([[0.3, -2.97]])
    moved = np.concatenate(sensitivity.neighbours(x, sensitivity.ULP))
    assert (moved != x).sum(axis=1).tolist() == [1]*4
    assert np.abs(moved - x).max() <= np.spacing(2.97)
    assert np.ptp(np.concatenate(sensitivity.neighbours(x, 1e-3)), axis=0) == pytest.approx([2e-3, 2e-3])


def test_stiffness_at_the_minima():
    two, three = (getattr(objectives, name)() for name in ("PolyTwo", "PolyThree"))
    assert 1/stiffness.ratio(two.hessian(two.minima)) == pytest.approx(np.full(4, (3 + np.sqrt(5))/(3 - np.sqrt(5))))
    found = sorted(1/stiffness.ratio(three.hessian(three.minima)))
    assert found == pytest.approx([6.854, 6.854, 8.550, 26.13], rel=1e-3)
    assert stiffness.ratio(np.array([[[0.0, 0.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, -4.0]]])).tolist() == [0.0, -0.5]


@pytest.mark.parametrize("module", [adam_paths, archive, dissipation_speed, sensitivity, stiffness])
def test_a_smoke_run_is_drawn(module):
    data = module.compute(smoke=True).assign_attrs(smoke="smoke")
    assert module.draw(data) is not None
    assert "nan" not in module.caption(data)
