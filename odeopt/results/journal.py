"""The journal of a run: what has ended, appended to a file while the rest goes on.

The first line, JSON, names the problem and what its bits depend on. After it come records: the number of runs, a
checksum, their places among the starts, and their rows of the table that the run fills. A process that is killed tears
at most the last record, which the next run cuts off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import threading
import warnings
from typing import Any

import numpy as np

from odeopt.results.environment import BITS, changed, environment

_FORMAT = "odeopt journal 1"
_HEAD = struct.Struct("<Q16s")          # runs, checksum
_LONGEST_LINE = 1 << 16


class Journal:
    """The journal of one run; a context manager.

    Parameters
    ----------
    path : str
        An existing journal of the same problem is gone on with.
    problem : str
        Digest of the problem.
    shape : (S, width)
        Of the table of rows; the first number of a row is its status, 0 while it runs.

    Raises
    ------
    FileExistsError
        If the file is the journal of another problem, or of other versions, whose bits would be mixed.
    ValueError
        If the file is no journal.
    BlockingIOError
        If another process is writing it.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: str, problem: str, shape: tuple[int, int]) -> None:
        self.path, self._shape = path, shape
        self._lock = threading.Lock()
        self._failed: OSError | None = None
        self._told = False
        bits = {name: environment()[name] for name in BITS}
        header = {"format": _FORMAT, "problem": problem, "shape": list(shape), "environment": bits}
        self._file = open(path, "a+b", buffering=0)         # noqa: SIM115  (closed by __exit__)
        try:
            self._take_alone()
            self._begin(header)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: Any) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _take_alone(self) -> None:
        """Two runs that append to one file would tear each other's records; the lock ends with the process."""
        try:
            import fcntl
        except ImportError:                                 # not on Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, f"another process is writing the journal {self.path}: wait for it, or "
                                  "choose another `out`") from error

    def _begin(self, header: dict) -> None:
        line = json.dumps(header).encode() + b"\n"
        self._file.seek(0)
        found = self._file.read(_LONGEST_LINE)
        if len(found) < len(line) and line.startswith(found):               # new, or killed within its first line
            self._file.truncate(0)
            self._write(line)
        elif not found.startswith(line):
            self._refuse(found.partition(b"\n")[0], header)
        self._end = len(line)                               # of what is whole

    def _refuse(self, line: bytes, header: dict) -> None:
        mend = "delete it, or choose another `out`"
        try:
            other = json.loads(line)
            known = other["format"] == _FORMAT
            differ = changed(other["environment"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            known = False
        if not known:
            raise ValueError(f"{self.path} is no journal of this version of odeopt: {mend}")
        if other["problem"] != header["problem"] or not differ:
            raise FileExistsError(f"{self.path} is the journal of another problem (formulas, parameters, limits, "
                                  f"options or starts differ): {mend}")
        names = ", ".join(f"{name} {before!r} then, {now!r} now" for name, (before, now) in differ.items())
        raise FileExistsError(f"{self.path} was begun under other conditions ({names}), and results may differ in "
                              f"their last bits: go on under the same ones, or {mend}")

    def restore(self, records: np.ndarray) -> np.ndarray:
        """Enter what the journal holds in the table (S, width); which of its rows have ended, a bool array (S,).

        What follows the last whole record is cut off.
        """
        done = np.zeros(len(records), dtype=bool)
        self._file.seek(self._end)
        while (found := self._read()) is not None:
            places, rows = found
            records[places], done[places] = rows, True
            self._end = self._file.tell()
        self._file.truncate(self._end)
        return done

    def _read(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The next record, or None if it is not whole."""
        starts, width = self._shape
        head = self._file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        count, checksum = _HEAD.unpack(head)
        size = 8*count*(1 + width)
        if not 0 < count <= starts or size > os.fstat(self._file.fileno()).st_size - self._file.tell():
            return None
        payload = self._file.read(size)
        if _checksum(payload) != checksum:
            return None
        places, rows = np.frombuffer(payload, "<i8", count), np.frombuffer(payload, "<f8", offset=8*count)
        return (places, rows.reshape(count, width)) if np.all((places >= 0) & (places < starts)) else None

    def add(self, records: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Append those of these rows of the table that have ended; returns the places of the others."""
        ended = records[places, 0] != 0.0
        if self._failed is None and ended.any():
            payload = places[ended].astype("<i8").tobytes() + records[places[ended]].astype("<f8").tobytes()
            self._append(_HEAD.pack(int(ended.sum()), _checksum(payload)) + payload)
        return places[~ended]

    def _append(self, record: bytes) -> None:
        with self._lock:
            if self._failed is not None:
                return
            try:
                self._write(record)
                self._end += len(record)
            except OSError as error:                        # a full disk must not cost the run
                self._failed = error
                with contextlib.suppress(OSError):
                    self._file.truncate(self._end)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left):]

    def tell(self) -> None:
        """Warn, once, if the journal could not be written."""
        if self._failed is not None and not self._told:
            self._told = True
            warnings.warn(f"the journal {self.path} cannot be written ({self._failed}): the run goes on in memory, and "
                          "what the journal holds is kept", RuntimeWarning, stacklevel=2)


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()
