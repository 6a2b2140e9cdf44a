"""Stiffness of the landscapes."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from experiments import maps
from experiments.bensaid2023.methods import BENCHMARKS
from odeopt import objectives, plot
from odeopt.studies import grid

LANDSCAPES = (*BENCHMARKS, "PolyFive")
THRESHOLD = 1e5                                                 # the authors'


def compute(smoke: bool) -> xr.Dataset:
    shape = maps.cells(smoke, 500)
    rows = []
    for name in LANDSCAPES:
        landscape = getattr(objectives, name)()
        x = grid(landscape.box, shape)
        centres = {"i": np.unique(x[:, 0]), "j": np.unique(x[:, 1])}
        rows.append(xr.Dataset({"ratio": (("u", "v"), ratio(landscape.hessian(x)).reshape(shape).astype("float32")),
                                "w": ("u", centres["i"]), "b": ("v", centres["j"])}))
    whole = xr.concat(rows, "landscape").assign_coords(landscape=list(LANDSCAPES))
    return whole.assign_attrs(starts=f"{shape[0]} × {shape[1]}")


def ratio(hessian: np.ndarray) -> np.ndarray:
    """The eigenvalue of smaller modulus over that of larger: 1/stiffness, with the sign of the determinant."""
    values = np.linalg.eigvalsh(hessian)
    order = np.argsort(np.abs(values), axis=-1)
    small, large = np.moveaxis(np.take_along_axis(values, order, axis=-1), -1, 0)
    return np.divide(small, large, out=np.zeros_like(small), where=large != 0.0)


def draw(data: xr.Dataset) -> Figure:
    with plot.style():
        figure, axes = plot.panels(1, len(LANDSCAPES), plot.PAGE, 2.6)
        for ax, name in zip(axes, LANDSCAPES, strict=True):
            landscape, shown = getattr(objectives, name)(), data.sel(landscape=name)
            values = shown["ratio"].values
            stiff = -np.log10(np.maximum(np.abs(values), 1e-30))
            plot.shares(stiff, landscape.box, ax, vmin=0.0, vmax=6.0, bar=False, objective=landscape, levels=0,
                        title=f"{maps.TITLES[name]}\n{beyond(values)}")
            # two lines about det H = 0; the ratio, unlike the stiffness, is smooth there
            ax.contour(shown["w"], shown["b"], values.T, levels=(-1/THRESHOLD, 1/THRESHOLD),
                       colors=plot.COLORS["vermillion"], linewidths=0.5, linestyles="solid")
            ax.plot(*landscape.minima.T, "o", markersize=3.5, color="white", markeredgecolor="black",
                    markeredgewidth=0.7)
        bar = figure.colorbar(axes[0].images[0], ax=axes, aspect=25, pad=0.015, extend="max")
        bar.set_label(r"$\log_{10}|\lambda_{\max}/\lambda_{\min}|$")
    return figure


def beyond(values: np.ndarray) -> str:
    """The share of the square beyond the threshold, which no grid of cells resolves if it is a few thin lines."""
    share = float((np.abs(values) < 1/THRESHOLD).mean())
    return f"{maps.percent(share) if share > 5e-4 else '< 0.1 %'} beyond $10^5$"


def caption(data: xr.Dataset) -> str:
    at = {}
    for name in LANDSCAPES:
        landscape = getattr(objectives, name)()
        with np.errstate(divide="ignore"):
            at[name] = np.sort(1.0/np.abs(ratio(landscape.hessian(landscape.minima))))
    five = at["PolyFive"]
    finite = five[np.isfinite(five)]
    share = float((np.abs(data["ratio"].sel(landscape="PolyFive").values) < 1/THRESHOLD).mean())
    return f"""\
log₁₀ of |λ_max/λ_min|, the eigenvalues of the Hessian ordered by modulus, on {data.starts} cells; the red lines
bound what exceeds the authors' threshold 10⁵, circles are the points that label runs. Since *f* is a sum of a
function of *b* and the same function φ of *w* + *b*, det *H* = φ″(*b*) φ″(*w* + *b*), and the stiffness is
infinite on straight lines, at the inflections of φ; on Benchmarks 1 and 2 the two bounds about each of them fall
together. At the minima themselves it is mild, {at["PolyTwo"][0]:.2f} at all four of
Benchmark 1 and {at["PolyThree"][0]:.2f} to {at["PolyThree"][-1]:.1f} on Benchmark 2. On polyFive
{maps.percent(share)} of the square is beyond the threshold, and of the {five.size} marked points all but
{finite.size} ({finite[0]:.2f}) have a vanishing eigenvalue."""
