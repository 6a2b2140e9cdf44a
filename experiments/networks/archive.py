"""The authors' archived trainings, repeated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from experiments.networks.problems import PROBLEMS
from experiments.networks.published import ARCHIVE, Archived
from experiments.networks.runs import Runs, train
from odeopt import methods, solve_many, studies
from odeopt.methods import Method
from odeopt.status import Status


class Row(NamedTuple):
    """A method, from so many starts, to set beside the archived row of this name, or of the one given."""

    method: Method
    starts: int = 100
    counted: str = "steps"                  # what the archive calls iterations
    archived: str = ""


LC, LCD, ER = methods.lc_gd(), methods.lcd_gd(), methods.er()

ROWS = {
    "two spirals a": {
        "GD 0.1": Row(methods.gd(0.1)), "GD 0.01": Row(methods.gd(0.01), 40),
        "Momentum 0.01": Row(methods.ema_momentum(0.01), 40),
        "Adam 0.001": Row(methods.adam(0.001)), "Adam 0.1": Row(methods.adam(0.1)),
        "EGD": Row(methods.egd(), 20), "EM": Row(methods.em()), "ER": Row(ER, 20, "trials"),
        "LC_EGD": Row(LC), "LCD": Row(LCD)},
    "two spirals b": {"Adam 0.001": Row(methods.adam(0.001)), "LC_EGD": Row(LC), "LCD": Row(LCD)},
    "two spirals c": {"Adam 0.001": Row(methods.adam(0.001)), "ER": Row(ER, 20, "trials"), "LC_EGD": Row(LC, 40),
                      "LCD": Row(LCD, 40)},
    "square wave": {
        "GD 0.1": Row(methods.gd(0.1), 40), "GD 0.01": Row(methods.gd(0.01), 20),
        "Momentum 0.01": Row(methods.ema_momentum(0.01), 20), "EGD": Row(methods.egd(), 20),
        "EM": Row(methods.em(), 40), "ER": Row(ER, 20, "trials"), "LC_EGD": Row(LC), "LCD": Row(LCD)},
    "square wave, tanh": {"ER": Row(ER, 20, "trials"), "LC_EGD": Row(LC, 40), "LCD": Row(LCD, 40)},
    "sine wave": {
        "GD 0.1": Row(methods.gd(0.1)), "Adam 0.001": Row(methods.adam(0.001)),
        "Adam 0.1": Row(methods.adam(0.1), archived="Adam 0.001"), "ER": Row(ER, 100, "trials"), "LC_EGD": Row(LC),
        "LCD": Row(LCD)},
    "squares": {
        "GD 0.001": Row(methods.gd(0.001), archived="GD"), "Momentum 0.01": Row(methods.ema_momentum(0.01)),
        "Momentum 0.1": Row(methods.ema_momentum(0.1)), "EM": Row(methods.em()), "LC_EGD": Row(LC, 10),
        "LCD": Row(LCD, 10)},
    "Boston": {"Adam 0.001": Row(methods.adam(0.001), 20), "ER": Row(ER, 4, "trials"), "LC_EGD": Row(LC, 10),
               "LCD": Row(LCD, 10)},
}
SMOKE = ("two spirals a",)
LIMIT = 120.0                    # seconds for each start
PLATEAU = 0.1                   # of the spirals: outputs of 1/2 everywhere have the loss 1/8
MOVED_STEPS = 2000
QUANTITIES = ("iterations", "train", "test", "accuracy", "seconds")
ENDS = {"nc": (Status.MAX_STEPS, Status.MAX_TRIALS, Status.STEP_UNDERFLOW, Status.STALLED, Status.INTERRUPTED),
        "tl": (Status.TIME_LIMIT,), "dv": (Status.DIVERGED,), "nz": (Status.NOISE,)}


def compute(smoke: bool) -> xr.Dataset:
    chosen = SMOKE if smoke else ROWS
    rows = [repeat(problem, name, min(3, ROWS[problem][name].starts) if smoke else None)
            for problem in chosen for name in ROWS[problem]]
    return pd.DataFrame(rows).to_xarray().assign_attrs(
        starts="3" if smoke else "4 to 100", grown=grown(3 if smoke else 40, MOVED_STEPS))


def repeat(problem: str, name: str, starts: int | None = None) -> dict[str, Any]:
    """Train by a method, and set quartiles and shares beside what is archived (a_).

    Parameters
    ----------
    problem, name : str
        Keys of `ROWS`.
    starts : int, optional
        Fewer than the row's own.
    """
    posed, row = PROBLEMS[problem], ROWS[problem][name]
    network, samples = posed.network()
    count = starts or row.starts
    data = train(network, samples, {name: row.method}, posed.starts(network, count), gtol=posed.gtol,
                 time_limit=LIMIT)
    runs = Runs(data.sel(optimizer=name))
    known = ARCHIVE[problem].get(row.archived or name, Archived(np.nan, np.nan, nc=np.nan, dv=np.nan, nz=np.nan))
    columns = {"iterations": row.counted, "train": "train_loss", "test": "test_loss", "accuracy": "test_accuracy",
               "seconds": "seconds"}
    found: dict[str, Any] = {"problem": problem, "method": name, "archived as": row.archived, "runs": count}
    for quantity, column in columns.items():
        quartiles = runs.summary(column) if column in data else None
        for which in ("lower", "median", "upper"):
            found[f"{quantity}_{which}"] = getattr(quartiles, which, np.nan)
        found[f"a_{quantity}"] = getattr(known, quantity)
    found |= {share: runs.share(*statuses) for share, statuses in ENDS.items()}
    found |= {f"a_{share}": getattr(known, share) for share in ("nc", "dv", "nz")}
    stayed = runs.success & (runs.quantities["train_loss"] > PLATEAU)
    return found | {"ended": studies.summary(runs.quantities["train_loss"]).median, "stayed": float(stayed.mean()),
                    "stayed_iterations": studies.summary(runs.quantities[row.counted], stayed).median}


def grown(count: int, steps: int) -> float:
    """Share of the starts on the spirals that, moved by one rounding, end GD 0.1 with a gradient changed by a tenth."""
    posed = PROBLEMS["two spirals a"]
    network, _ = posed.network()
    starts = posed.starts(network, count)
    first, second = (solve_many(network, methods.gd(0.1), x, gtol=0.0, max_steps=steps).jac
                     for x in (starts, starts*(1.0 + np.finfo(float).eps)))
    change = np.linalg.norm(second - first, axis=1)/np.linalg.norm(first, axis=1)
    return float((change > 0.1).mean())


def within(rows: pd.DataFrame, quantity: str) -> pd.Series:
    """Whether the archived median, of which two digits at least are known, lies between the quartiles."""
    archived, rounding = rows[f"a_{quantity}"], 0.005
    low, high = archived*(1.0 - rounding), archived*(1.0 + rounding)
    return (rows[f"{quantity}_lower"] <= high) & (low <= rows[f"{quantity}_upper"])


def draw(data: xr.Dataset) -> pd.DataFrame:
    return pd.DataFrame([_line(row) for _, row in data.to_dataframe().iterrows()])


def _line(row: pd.Series) -> dict[str, str]:
    name = f"{row['method']} (archived as {row['archived as']})" if row["archived as"] else row["method"]
    line = {"problem": row["problem"], "method": name, "runs": str(row["runs"])}
    for quantity, title in zip(QUANTITIES, ("iterations", "train loss", "test loss", "accuracy", "s"), strict=True):
        quartiles = [row[f"{quantity}_{which}"] for which in ("lower", "median", "upper")]
        line[title] = _number(quartiles[1])
        if quantity != "seconds" and np.isfinite(quartiles).all():
            line[title] += f" [{_number(quartiles[0])}, {_number(quartiles[2])}]"
        line[f"archived {title}"] = _number(row[f"a_{quantity}"])
    return line | {"failed, %": _failed(row, ""), "archived failed, %": _failed(row, "a_")}


def _number(value: float) -> str:
    if not np.isfinite(value):
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _failed(row: pd.Series, prefix: str) -> str:
    """Shares of the failures that there are, in percent."""
    shares = {end: row.get(f"{prefix}{end}", np.nan) for end in ENDS}
    return ", ".join(f"{end} {100*share:.3g}" for end, share in shares.items() if share > 0)


def caption(data: xr.Dataset) -> str:
    rows = data.to_dataframe()
    known = rows[rows["a_iterations"].notna()]
    steps, loss = within(known, "iterations"), within(known, "train")
    away = ", ".join(f"{row['method']} on {row['problem']}" for _, row in known[~(steps & loss)].iterrows())
    stayed = rows[(rows["problem"] == "two spirals a") & rows["method"].isin(["GD 0.1", "EGD"])].set_index("method")
    alive = rows[rows["problem"] == "squares"].set_index("method")["ended"].filter(like="LC")
    left = f", and ends at a median loss of {alive['LC_EGD']:.2g}" if len(alive) else ""
    return f"""\
Medians, and in brackets quartiles, over the runs that converge, of {data.starts} starts each, up to 200 000 steps and
{LIMIT:.0f} s; beside them what the authors' code left in its public repository, from 100 to 10 000 starts of its own.
Failures are in percent of all starts: nc not converged, tl out of time, dv diverged, nz ended in rounding noise. Of
{len(known)} archived rows the median of the iterations lies between our quartiles in {int(steps.sum())}, that of the
training loss in {int(loss.sum())}. Not both: {away or "none"}.

What the archive does not say was found by repeating it. Boston's prices are scaled to 0..1 over the training samples.
The learning rate of GD on the squares is 0.001. What is archived as Adam 0.001 on the sine wave has the iterations and
losses of Adam 0.1, and not those of 0.001. Momentum is the papers' form, *v* ← 0.9 *v* + 0.1 *g*, *x* ← *x* − *ηv*; ER
counts trials, and EGD and EM accepted steps. On the squares a large step kills all the units: their slopes are 0, the
loss is that of constant outputs, 0.1352, and what is left, two biases, converges, unless the run diverges; LC_EGD keeps
units alive{left}, but does not reach the tolerance of 10⁻⁷. Where most runs fail, as those of GD and Momentum 0.01 on
the square wave, medians are of few.

The archived runs ended in noise where the estimate of their rounding errors swallowed the gradient. That happens early
if errors are carried along the whole run, since trainings with large steps are chaotic before they converge: of
{100*data.grown:.0f} % of the starts on the spirals the gradient after {MOVED_STEPS} steps of GD 0.1 changes by more
than a tenth if the start moves by one rounding. Then the archive keeps those runs alone that never leave the plateau of
outputs 1/2: of ours these are {100*stayed.loc["GD 0.1", "stayed"]:.0f} % for GD 0.1 and
{100*stayed.loc["EGD", "stayed"]:.0f} % for EGD, with medians of {stayed.loc["GD 0.1", "stayed_iterations"]:.0f} and
{stayed.loc["EGD", "stayed_iterations"]:.0f} iterations; the archive has 26 %, and 143 and 144 iterations. The others
converge too, later and to small losses: a noise test that looks at the rounding error of the last gradient alone, as
ours, never ends them. The same holds for Adam 0.1. Not explained are GD 0.01 on the spirals, which is not chaotic, and
GD 0.1 on the square wave."""
