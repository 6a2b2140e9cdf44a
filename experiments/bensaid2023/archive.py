"""The authors' archived runs, repeated.

Their results lay in the public repository NN_Levenberg_Marquardt, folder Record, until commit d188eca: 10 000 random
starts on [-3, 3]^2, at most 20 000 iterations, shares in percent. A run that ends unconverged with |g| > 1 was counted
as diverged there, so that `lost` is everything that does not converge.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from experiments import maps
from experiments.bensaid2023.methods import ADAPTIVE, CLASSICAL, HISTORY, LYAPUNOV
from experiments.bensaid2023.published import ARCHIVE
from experiments.bensaid2023.rises import RISE, WeightedAdam, WeightedAWB
from odeopt import methods
from odeopt.flows import AWB, Adam, CorrectedMomentum, NesterovAVD
from odeopt.methods import Method

STARTS = 10_000


class Row(NamedTuple):
    """A method to set beside the row of the archive with this name, or with the one given."""

    method: Method
    counted: str = "steps"                  # what the archive calls iterations; "probes" are trials without the first
    note: str = ""
    archived: str = ""


@dataclass(frozen=True)
class DoubledNesterov(NesterovAVD):
    """Nesterov's flow with the energy that the authors watched, f + |x_n+1 - x_n|^2/2, for h^2 = 0.1."""

    def V(self, f: Any, v: Any) -> Any:
        return f + 0.5*0.1*(v @ v)


@dataclass(frozen=True)
class UncorrectedMomentum(CorrectedMomentum):
    """Momentum with Adam's correction, with the energy of the uncorrected average for (1 - 0.9)/0.1 = 1."""

    def V(self, f: Any, m: Any) -> Any:
        return f + 0.5*(m @ m)


WATCHED = {AWB: WeightedAWB, Adam: WeightedAdam, NesterovAVD: DoubledNesterov, CorrectedMomentum: UncorrectedMomentum}

BOTH = {
    "GD 0.1": Row(CLASSICAL["GD"]),
    "Momentum 0.1": Row(CLASSICAL["Momentum"]),
    "AWB 0.1": Row(CLASSICAL["AWB"]),
    "Adam 0.1": Row(CLASSICAL["Adam"]),
    "EGD": Row(ADAPTIVE["EGD"]),
    "EM": Row(ADAPTIVE["EM"]),
    "ER": Row(ADAPTIVE["ER"], "probes"),
}
ROWS = {
    "PolyTwo": {
        **BOTH,
        **{name: Row(method) for name, method in HISTORY.items() if name != "PM"},
        "PGD": Row(methods.projected_gd(), "trials"),
        "PM": Row(HISTORY["PM"], "trials", "gradient test unknown"),
        "LM_base": Row(methods.get("LM_base")),
        "GD 0.01": Row(methods.gd(0.01)),
        "Adam 0.01": Row(methods.adam(0.01), note="misnamed"),
        "AWB 0.01": Row(methods.awb(0.01), note="archived as Adam 0.01", archived="Adam 0.01"),
        "Momentum_Euler 0.01": Row(methods.euler_momentum(0.01)),
    },
    "PolyThree": {
        **BOTH,
        "ER, gtol 1e-7": Row(ADAPTIVE["ER"], "probes", "archived as ER_Em", "ER_Em"),
        "LC (2, 2)": Row(LYAPUNOV["LC (2, 2)"]),
        "PGD": Row(methods.projected_gd(), "trials"),
        "RK2Momentum 0.1": Row(HISTORY["RK2Momentum 0.1"]),
        "LM_base": Row(methods.get("LM_base")),
        "LM_ER": Row(methods.get("LM_ER"), "probes"),
        "GD 0.001": Row(methods.gd(0.001)),
        "Momentum 0.001": Row(methods.ema_momentum(0.001)),
        "Adam 0.001": Row(methods.adam(0.001)),
        "EGD 0.001": Row(methods.egd(0.001)),
        "Momentum_Euler 0.001": Row(methods.euler_momentum(0.001)),
        "RK2Momentum 0.001": Row(methods.heun_momentum(0.001), note="misnamed"),
        "RK2Momentum 0.01": Row(methods.heun_momentum(0.01), note="archived as RK2Momentum 0.001",
                                archived="RK2Momentum 0.001"),
    },
}


def compute(smoke: bool) -> xr.Dataset:
    shape = maps.cells(smoke)
    rows = [repeat(benchmark, name, shape) for benchmark, known in ROWS.items() for name in known]
    return pd.DataFrame(rows).to_xarray().assign_attrs(starts=f"{shape[0]} × {shape[1]}")


def repeat(benchmark: str, name: str, shape: tuple[int, int] = (100, 100)) -> dict[str, Any]:
    """Run a method from the cell centres and set what is measured (m) beside what is archived (a)."""
    row = ROWS[benchmark][name]
    known = ARCHIVE[benchmark][row.archived or name]
    flow = row.method.flow
    kind = WATCHED.get(type(flow))
    method = row.method if kind is None else replace(row.method, flow=kind(**asdict(flow)))
    shown = maps.view(maps.run([benchmark], {name: method}, shape, gtol=known.gtol, count_rises=RISE), benchmark, name)
    ended = shown.converged
    counts = ended["steps" if row.counted == "steps" else "trials"].values - (row.counted == "probes")
    found = {"benchmark": benchmark, "method": name, "gtol": known.gtol, "note": row.note}
    for k in range(4):
        found |= {f"m_{k}": 100*shown.share(k), f"a_{k}": known.shares[k] if known.shares else np.nan}
    return found | {
        "m_lost": 100*shown.share(-2, -3), "a_lost": known.diverged + known.not_converged,
        "m_iterations": counts.mean() if counts.size else np.nan, "a_iterations": known.iterations,
        "sd_iterations": counts.std()/np.sqrt(STARTS*counts.size/shown.label.size) if counts.size else np.nan,
        "m_rising": 100*float((shown.runs["rises"] > 0).mean()) if np.isfinite(known.rising) else np.nan,
        "a_rising": known.rising}


SHARES = ("0", "1", "2", "3", "lost")


def standard_error(rows: pd.DataFrame, quantity: str) -> pd.Series:
    """That of the archive's random starts: of shares the binomial one, of one start at least; of iterations the mean's.

    The grid is taken as exact.
    """
    if quantity == "iterations":
        return rows["sd_iterations"]
    share = rows[f"m_{quantity}"]/100
    return 100*np.sqrt(np.maximum(share*(1.0 - share), 1.0/STARTS)/STARTS)


def sigmas(rows: pd.DataFrame, quantity: str) -> pd.Series:
    """Differences in standard errors."""
    return (rows[f"m_{quantity}"] - rows[f"a_{quantity}"])/standard_error(rows, quantity)


def draw(data: xr.Dataset) -> pd.DataFrame:
    rows = data.to_dataframe()
    worst = pd.concat([sigmas(rows, q).abs() for q in SHARES], axis=1).max(axis=1)

    def together(row: Any, source: str) -> str:
        lost = row[f"{source}_lost"]
        shares = [f"{row[f'{source}_{k}']:.2f}" for k in range(4)] if np.isfinite(row[f"{source}_0"]) else []
        return " ".join([*shares, f"l {lost:.2f}"] if lost or not shares else shares)

    def number(value: float) -> str:
        return f"{value:.1f}" if np.isfinite(value) else ""
    return pd.DataFrame([{
        "benchmark": row["benchmark"].replace("Poly", "poly"), "method": row["method"], "gtol": f"{row['gtol']:.0e}",
        "shares, %": together(row, "m"), "archived": together(row, "a"), "difference, σ": f"{worst[i]:.1f}",
        "iterations": number(row["m_iterations"]), "archived, iterations": number(row["a_iterations"]),
        "difference, %": number(100*(row["m_iterations"]/row["a_iterations"] - 1)),
        "rising, %": number(row["m_rising"]), "archived, rising": number(row["a_rising"]), "note": row["note"]}
        for i, row in rows.iterrows()])


def caption(data: xr.Dataset) -> str:
    rows = data.to_dataframe()
    fair = rows[rows["note"] != "misnamed"]
    all_ = pd.concat([sigmas(fair, q) for q in SHARES]).abs().dropna()
    relative = (fair["m_iterations"]/fair["a_iterations"] - 1).abs().dropna()
    rising = (fair["m_rising"] - fair["a_rising"]).abs().dropna()

    lost = fair[sigmas(fair, "lost") < -3]
    named = ", ".join(f"{method} {share:.2f} %" for method, share in zip(lost["method"], lost["a_lost"], strict=True))

    def of(benchmark: str, method: str, quantity: str) -> float:
        return rows[(rows["benchmark"] == benchmark) & (rows["method"] == method)][quantity].iloc[0]
    return f"""\
Shares that end at (−2, 1), (2, −1), (0, −1), (0, 1), then those that do not converge (l), ours from {data.starts}
cell centres, the authors' from 10 000 random starts. These move a share *p* by 2σ = 2 √(*p*(1 − *p*)/10 000), up
to one point; the largest difference of a row is given in σ. Of {all_.size} differences {int((all_ > 2).sum())} exceed
2σ and {int((all_ > 3).sum())} 3σ, where chance gives {0.0455*all_.size:.0f} and {0.0027*all_.size:.1f} (the
archive's starts are the same for all methods, so that rows share their luck). More lost in the archive than here,
by more than 3σ: {named or "none"}. Iterations are means over converged runs, trials for ER and LM_ER, solves for
PGD and PM; of {relative.size} means {int((relative < 0.02).sum())} agree to 2 %. *Rising* are runs on which the
energy rises by more than 1 % at least once, with the energy that the authors watched; of {rising.size} numbers
{int((rising < 2).sum())} agree to 2 points.

Two archived rows are not what their names say. Adam at 0.01 on Benchmark 1 is AWB at 0.01: Adam itself ends with
{of("PolyTwo", "Adam 0.01", "m_0"):.1f} % at (−2, 1) after {of("PolyTwo", "Adam 0.01", "m_iterations"):.0f} steps,
AWB with {of("PolyTwo", "AWB 0.01", "m_0"):.1f} % after {of("PolyTwo", "AWB 0.01", "m_iterations"):.0f}. And
RK2Momentum at 0.001 on Benchmark 2 is that at 0.01: at 0.001
{of("PolyThree", "RK2Momentum 0.001", "m_lost"):.1f} % of the runs are lost, at 0.01
{of("PolyThree", "RK2Momentum 0.01", "m_lost"):.1f} %. Not explained are the iterations of PM, whose gradient test
is not known, and the rises of Verlet on Benchmark 1 and of LM_base on Benchmark 2."""
