"""What a wrong learning rate costs, and a wrong first step under Lyapunov control."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from experiments import gallery
from experiments.networks import images
from odeopt import methods, plot, studies

METHODS = {"Momentum": (methods.momentum, "lr"), "RMSProp": (methods.rmsprop, "lr"), "Adam": (methods.adam, "lr"),
           "LC_GD": (methods.lc_gd, "h0"), "LCD_GD": (methods.lcd_gd, "h0"), "LC_M": (methods.lc_momentum, "h0"),
           "LC_RMSProp": (methods.lc_rmsprop, "h0")}
FACTORS = (0.01, 0.1, 1.0, 10.0, 100.0)


def compute(smoke: bool) -> xr.Dataset:
    digits = images.digits()
    if smoke:
        digits, count, passes, factors = digits.subset(200, seed=0), 1, 40, FACTORS[1:4]
    else:
        count, passes, factors = 3, 250, FACTORS
    found = [images.train(digits, scaled(factor), count, passes).isel(passes=-1) for factor in factors]
    return xr.concat(found, "factor").assign_coords(factor=list(factors)).assign_attrs(found[0].attrs)


def scaled(factor: float) -> dict[str, methods.Method]:
    """The methods with their learning rate, or the first step, multiplied by a factor."""
    return {name: make(**{rate: factor*make().h0}) for name, (make, rate) in METHODS.items()}


def losses(data: xr.Dataset) -> pd.DataFrame:
    """Median training loss at the end, a line a method, a column a factor; infinite where that run diverges."""
    found = data["train_loss"].transpose("optimizer", "factor", "start").values
    medians = [[studies.summary(runs).median for runs in row] for row in found]
    return pd.DataFrame(medians, index=data["optimizer"].values.tolist(), columns=data["factor"].values.tolist())


def draw(data: xr.Dataset) -> Figure:
    found = losses(data)
    with plot.style():
        figure, ax = plot.panels(1, 1, plot.COLUMN, 3.2)
        for name, look in plot.method_styles(list(found.index)).items():
            ax.plot(found.columns, np.where(np.isfinite(found.loc[name]), found.loc[name], np.nan), marker="o",
                    markersize=3, label=name, **look)
        ax.set(xscale="log", yscale="log", xlabel="learning rate, or first step, over the default",
               ylabel="training loss")
        ax.set_xticks(found.columns.tolist(), [f"{factor:g}" for factor in found.columns])
        ax.xaxis.set_minor_formatter(NullFormatter())
        images.short_decades(ax.yaxis)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def caption(data: xr.Dataset) -> str:
    found = losses(data)
    spread = found.max(axis=1)/found.min(axis=1)
    controlled = spread.index.str.startswith("LC")
    table = found.map("{:#.3g}".format).rename(columns=lambda factor: f"× {factor:g}").reset_index(names="method")
    tuned = found.loc[~controlled].min(axis=1)
    lyapunov = found.loc[controlled, 1.0]
    return f"""\
The network and MNIST's {data.samples} digits as above: medians of the training loss over {data.starts} starts after
{int(data["passes"])} passes. The learning rate of Momentum, RMSProp and Adam, and the first step of the methods under
Lyapunov control, are multiplied by {found.columns[0]:g} to {found.columns[-1]:g}; nothing else changes, neither the
friction of LC_M nor the rate of LC_RMSProp. This changes the loss by a factor of at most
{spread[controlled].max():.2f} under Lyapunov control, since the step is searched anew, and by up to
{spread[~controlled].max():.0f} otherwise. The default of {lyapunov.idxmin()} gives {lyapunov.min():#.3g}, the best of
the learning rates {", ".join(f"{loss:#.3g} ({name})" for name, loss in tuned.items())}.{stuck(data)}

{gallery.markdown(table)}"""


def stuck(data: xr.Dataset) -> str:
    """A sentence on the runs without an accepted step, empty if there is none."""
    counts = (data["steps"] == 0).sum("start").to_series()
    found = [f"{count} of {data.starts} starts by {name} (× {factor:g})"
             for (factor, name), count in counts[counts > 0].items()]
    return f"""
No step is accepted from {", ".join(found)}: at rest V falls by *h*²|∇*R*|²/2 only, which is less than single precision
can tell from no decrease, and a smaller step makes it worse.""" if found else ""
