"""Processes of their own, on one core, so that what one tool sets up does not disturb another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")},
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
}


def pin() -> None:
    """Stay on one core, where the system lets a process choose."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def timed(function: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Seconds by the clock and of the processor, and what the function returns."""
    clock, processor = time.perf_counter(), time.process_time()
    result = function()
    return {"seconds": time.perf_counter() - clock, "processor": time.process_time() - processor}, result


def answer(module: str, *arguments: str, **environment: str) -> Any:
    """What `python -m module` prints, as JSON."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, env={**os.environ, **environment},
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"python -m {module} {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)


class Server:
    """A process that answers each line that it is told with a line of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")       # noqa: SIM115  # closed by `close`
        self._process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT,
                                         env={**os.environ, **ONE_THREAD}, text=True, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=self._errors)
        self.greeting = self._heard()

    def ask(self, line: str) -> dict:
        """Its answer to a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._errors.seek(0)
        raise RuntimeError(f"{' '.join(map(str, self._process.args))} ended:\n{self._errors.read()[-3000:]}")

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()
        self._errors.close()
