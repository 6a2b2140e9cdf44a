"""What a run depends on beside its formulas: versions and the processor."""

from __future__ import annotations

import functools
import os
import platform

BITS = ("odeopt", "Python", "NumPy", "numba", "llvmlite", "CPU")        # what results may depend on to the last bit


@functools.cache
def environment() -> dict[str, str]:
    """Versions, processor, cores and system of this process, by name; "" for what is not installed."""
    import numpy

    import odeopt
    return {"odeopt": odeopt.__version__, "Python": platform.python_version(), "NumPy": numpy.__version__,
            "numba": version("numba"), "llvmlite": version("llvmlite"), "CPU": _processor(),
            "cores": str(os.cpu_count() or ""), "system": platform.platform()}


def changed(before: dict[str, str]) -> dict[str, tuple[str, str]]:
    """What results may depend on and is no longer what it was: {name: (before, now)}."""
    now = environment()
    return {name: (before.get(name, ""), now[name]) for name in BITS if before.get(name, "") != now[name]}


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def version(package: str) -> str:
    """The version of an installed package; "" if it is not."""
    from importlib import metadata  # takes long to import, and few runs ask
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's name: Linux tells it only in a file of its own."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
