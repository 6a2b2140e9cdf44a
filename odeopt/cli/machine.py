"""What this machine is and what it keeps: `odeopt info` and `odeopt cache`."""

from __future__ import annotations

import contextlib
import os
from argparse import Namespace
from pathlib import Path

import numpy as np

from odeopt.compile import cache
from odeopt.results.environment import environment, usable_cores, version

_LIBRARIES = ("scipy", "sympy", "xarray", "matplotlib")
_SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")        # meant for old versions of OpenBLAS


def info(options: Namespace) -> int:
    """Print versions, threads, processor, BLAS and the cache folder."""
    found = environment() | {name: version(name) for name in _LIBRARIES}
    lines = {name: text or "not installed" for name, text in found.items()}
    lines |= {"threads": f"{usable_cores()} (--threads, `threads=`)", "BLAS": _blas()}
    for name in sorted(name for name in os.environ if name.startswith("OPENBLAS_")):
        slows = " (set for old versions of OpenBLAS, it slows NumPy: unset it)" if name in _SLOWING else ""
        lines[name] = os.environ[name] + slows
    lines["cache"] = f"{cache.root()}: {_contents()}"
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:{width}}  {text}")
    return 0


def show_cache(options: Namespace) -> int:
    """Print the cache folder and what it holds."""
    print(f"{cache.root()}: {_contents()}")
    print(f"kernels of this machine: {cache.kernel_folder()}")
    return 0


def clear_cache(options: Namespace) -> int:
    """Delete all kernels and derivations, and nothing else that the folder may hold."""
    contents = _contents()
    kernels, derivations = _kernels(), _derivations()
    for file in (*kernels, *derivations):
        file.unlink(missing_ok=True)
    for folder in {file.parent for file in (*kernels, *derivations)}:
        with contextlib.suppress(OSError):                  # something else is in it
            folder.rmdir()
    print(f"deleted from {cache.root()}: {contents}")
    return 0


def _kernels() -> list[Path]:
    return sorted(Path(cache.root()).glob("kernels-*/*.kernel"))


def _derivations() -> list[Path]:
    return sorted(Path(cache.root()).glob("derived/*.txt"))


def _contents() -> str:
    kernels, derivations = _kernels(), _derivations()
    size = sum(file.stat().st_size for file in (*kernels, *derivations))
    return f"{len(kernels)} kernels, {len(derivations)} derivations, {size/1e6:.1f} MB"


def _blas() -> str:
    config = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"] if config else {}
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
