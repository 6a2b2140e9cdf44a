"""Measured beside expected: where runs end, and what they cost."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from experiments import maps
from experiments.bensaid2023.methods import METHODS
from experiments.bensaid2023.published import ARCHIVE, REFERENCE, Archived, Expected
from odeopt.methods import Method

SOURCES = {"reference": REFERENCE, "archive": ARCHIVE}
CHAOTIC = {("PolyThree", "Momentum 0.1"), ("PolyThree", "AWB 0.1")}
COUNTS = ("steps", "trials", "trials per step")


def compute(smoke: bool) -> xr.Dataset:
    shape = maps.cells(smoke)
    rows = [row for benchmark, known in REFERENCE.items() for name in known
            for row in compare(benchmark, name, METHODS[name], shape)]
    return pd.DataFrame(rows).to_xarray().assign_attrs(starts=f"{shape[0]} × {shape[1]}")


def compare(benchmark: str, name: str, method: Method,
            shape: tuple[int, int] = (100, 100)) -> list[dict[str, Any]]:
    """Run a method and set every known number of this name beside the measured one.

    Returns
    -------
    list of dict
        One for each quantity and source. `difference` is in points for shares and in percent of the expected
        value for counts; `allowed` is the largest that counts as agreement.
    """
    shown = maps.view(maps.run([benchmark], {name: method}, shape), benchmark, name)
    found = measure(shown)
    rows = []
    for source, known in SOURCES.items():
        for quantity, value in quantities(shown.minima, known.get(benchmark, {}).get(name)):
            difference = found[quantity] - value
            rows.append({
                "benchmark": benchmark, "method": name, "quantity": quantity, "measured": found[quantity],
                "expected": value, "difference": 100*difference/value if quantity in COUNTS else difference,
                "allowed": allowed(benchmark, name, quantity, source), "source": source,
                "runs": shown.label.size, "backend": str(shown.runs["backend"].values)})
    return rows


def measure(shown: maps.Map) -> dict[str, float]:
    """Shares of all starts in percent, means over converged runs."""
    steps, trials = (float(shown.converged[name].sum()) for name in ("steps", "trials"))
    count = shown.converged.sizes["start"]
    shares = {place(x): 100*shown.share(k) for k, x in enumerate(shown.minima)}
    return {**shares, "diverged": 100*shown.share(-3), "not converged": 100*shown.share(-2),
            "steps": steps/count if count else np.nan, "trials": trials/count if count else np.nan,
            "trials per step": trials/steps if steps else np.nan}


def quantities(minima: np.ndarray, known: Expected | Archived | None) -> Iterator[tuple[str, float]]:
    """Names and values of what is known of a method."""
    if known is not None:
        yield from zip(map(place, minima), known.shares, strict=False)      # degenerate points come last
        for quantity in ("diverged", "not converged", *COUNTS):
            value = getattr(known, quantity.replace(" ", "_"), None)
            if value is not None:
                yield quantity, value


def allowed(benchmark: str, name: str, quantity: str, source: str) -> float:
    """The largest difference that counts as agreement, in points for shares and in percent for counts."""
    if source == "archive":
        return 2.0                              # four standard errors of random starts
    return 1.0 if quantity in COUNTS or (benchmark, name) in CHAOTIC else 0.3


def place(x: np.ndarray) -> str:
    return "(" + ", ".join(f"{c:g}" for c in x) + ")"


def draw(data: xr.Dataset) -> pd.DataFrame:
    rows = data.to_dataframe()
    groups = rows.groupby(["benchmark", "method"], sort=False)
    return pd.DataFrame([_line(*key, group) for key, group in groups])


def _line(benchmark: str, name: str, rows: pd.DataFrame) -> dict[str, Any]:
    reference, archive = (rows[rows["source"] == source].set_index("quantity") for source in SOURCES)
    shares = [q for q in reference.index if q not in COUNTS]

    def together(table: pd.DataFrame, column: str) -> str:
        """Shares of the minima, then what diverges (d) or does not converge (n)."""
        values = table.loc[shares, column]
        points = [f"{value:.2f}" for q, value in values.items() if q.startswith("(")]
        rest = [f"{q[0]} {value:.2f}" for q, value in values.items() if not q.startswith("(") and value]
        return " ".join(points + rest)

    def count(quantity: str, column: str, digits: int) -> str:
        return f"{reference.loc[quantity, column]:.{digits}f}" if quantity in reference.index else ""

    def trials(column: str) -> str:
        return count("trials per step", column, 3) or count("trials", column, 1)

    def worst(quantities: list[str]) -> str:
        return f"{reference.loc[quantities, 'difference'].abs().max():.2f}" if quantities else ""
    return {
        "benchmark": benchmark.replace("Poly", "poly"), "method": name,
        "shares, %": together(reference, "measured"), "expected": together(reference, "expected"),
        "difference, points": worst(shares), "archive": together(archive, "expected") if len(archive) else "",
        "steps": count("steps", "measured", 1), "steps expected": count("steps", "expected", 1),
        "trials per step": trials("measured"), "trials expected": trials("expected"),
        "difference, %": worst([q for q in reference.index if q in COUNTS]),
        "runs": rows["runs"].iloc[0], "backend": rows["backend"].iloc[0]}


def caption(data: xr.Dataset) -> str:
    rows = data.to_dataframe()
    reference = rows[rows["source"] == "reference"]
    agree = int((reference["difference"].abs() <= reference["allowed"]).sum())
    counts = reference["quantity"].isin(COUNTS)
    archive = rows[rows["source"] == "archive"]
    return f"""\
Shares of {data.starts} starts that end at (−2, 1), (2, −1), (0, −1), (0, 1), in this order, then those that
diverge (d) or do not converge within 20 000 steps (n); on polyFive, where starts fill [−5, 5]², at (0, 3),
(−4, 3), (4, −1), (0, −1). Steps and trials are over the converged runs; trials per step is the ratio of
their sums, without the step that LCD applies again after a bisection (ER: trials per run, PGD: solves per run).
*Expected* are recomputed reference values: the authors' methods, written a second time from their public codes and run
from 100 × 100 cell centres. *Archive* is what the authors' own code left in its public repository, from 10
000 random starts, which moves shares by up to a point and a half. LC (f₁, f₂) and LCD (f₁, f₂, p) divide
the step by f₁ and multiply it by f₂; a number after a name is the learning rate. Of {len(reference)}
expected numbers {agree} agree within the tolerances of the tests (0.3 points, or 1 for Momentum and AWB on
polyThree at 0.1; 1 % for steps and trials); the largest difference is
{reference.loc[~counts, "difference"].abs().max():.2f} points and
{reference.loc[counts, "difference"].abs().max():.2f} %. From the archive:
{archive["difference"].abs().max():.2f} points."""
