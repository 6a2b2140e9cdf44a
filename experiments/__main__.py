"""Draw the figures: `python -m experiments [NAME ...] [--smoke] [--draw]`."""

import argparse
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure

from experiments import gallery
from odeopt import plot

PAPERS = ("bensaid2023", "networks")
FIGURES = Path(__file__).resolve().parent.parent/"figures"


def names() -> list[str]:
    """Every figure and table, PAPER/NAME."""
    return [f"{paper}/{name}" for paper in PAPERS for name in import_module(f"experiments.{paper}").CONTENTS]


def make(name: str, folder: Path, smoke: bool = False, again: bool = False) -> str:
    """Write one figure or table into a folder; `again`: from the data of an earlier run."""
    module = import_module("experiments." + name.replace("/", "."))
    stored = folder/"data"/f"{name}.nc"
    if not again:
        data = module.compute(smoke)
        starts = data.attrs["starts"]
        data.attrs["smoke"] = f"smoke: {starts} start{'s'*(str(starts) != '1')}" if smoke else ""
        with gallery.replacing(stored) as part:
            data.to_netcdf(part, engine="h5netcdf")
    with xr.load_dataset(stored, engine="h5netcdf") as data:
        drawn = module.draw(data)
        if isinstance(drawn, Figure):
            if data.attrs["smoke"]:
                with plot.style():
                    drawn.suptitle(data.attrs["smoke"], color="firebrick", fontsize=8)
            for _ in range(2):                          # the layout's second pass is tighter
                drawn.draw_without_rendering()
            drawn.set_layout_engine("none")             # PDF and PNG look alike
            plot.save(drawn, folder/name)
            plt.close(drawn)
        else:
            gallery.write_table(drawn, data, folder/name)
        return gallery.section(name, module, data, drawn)


def attempt(name: str, folder: Path, smoke: bool, again: bool) -> tuple[str, str | None, float]:
    """The name, what `make` gave, "" where it was left out, None where it failed; and the seconds.

    The others shall still be drawn.
    """
    began, section = time.perf_counter(), None
    try:
        section = make(name, folder, smoke, again)
    except gallery.Skipped as missing:
        section = ""
        print(f"{name}: {missing}", flush=True)
    except Exception:
        traceback.print_exc()
    return name, section, time.perf_counter() - began


def main(arguments: list[str] | None = None, folder: Path = FIGURES) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"such as {names()[0]}; all if none is given")
    parser.add_argument("--smoke", action="store_true", help="few starts, into figures/smoke")
    parser.add_argument("--draw", action="store_true", help="draw again from the data of an earlier run")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.names) - set(names()))
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}; there are: {', '.join(names())}")
    folder = folder/"smoke" if chosen.smoke else folder
    wanted = chosen.names or names()
    # a figure a process: compiling and drawing hold the interpreter's lock
    parallel = joblib.Parallel(n_jobs=min(len(wanted), joblib.cpu_count()), return_as="generator_unordered")
    made, failed = {}, []
    for name, section, seconds in parallel(joblib.delayed(attempt)(name, folder, chosen.smoke, chosen.draw)
                                           for name in wanted):
        how = {None: "  FAILED", "": "  left out"}.get(section, "")
        print(f"{name:32}{seconds:8.1f} s{how}", flush=True)
        if section is None:
            failed.append(name)
        elif section:
            made[name] = section
    gallery.write(folder, names(), made)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
