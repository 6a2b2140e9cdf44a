"""IDX, the format of MNIST's files: arrays of numbers behind a header of their type and shape."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib

import numpy as np

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array of an IDX file, plain or compressed by gzip.

    The file begins with two zero bytes, a byte for the type of numbers, a byte for the number of dimensions, and the
    dimensions as 32-bit integers, the most significant byte first. The numbers follow, the last index running fastest.

    Parameters
    ----------
    path : path

    Returns
    -------
    array
        Of the file's shape and type (uint8, int8, int16, int32, float32 or float64), in the machine's byte order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no IDX file, holds fewer or more bytes than its header says, or is damaged.

    Source: http://yann.lecun.com/exdb/mnist, "The IDX file format".
    """
    body = _bytes(path)
    if len(body) < 4 or body[:2] != b"\0\0" or body[2] not in _TYPES or body[3] == 0:
        raise ValueError(f"{path} is no IDX file: it begins with {body[:4].hex(' ') or 'nothing'}, expected 00 00, "
                         f"one of {', '.join(f'{code:02x}' for code in _TYPES)}, and the number of dimensions, from 01 "
                         "on; get the file again")
    kind, header = np.dtype(_TYPES[body[2]]), 4 + 4*body[3]
    if len(body) < header:
        raise ValueError(f"{path} ends within its header, after {len(body)} of {header} bytes: get the file again")
    shape = struct.unpack(f">{body[3]}I", body[4:header])
    expected = header + kind.itemsize*math.prod(shape)
    if len(body) != expected:
        problem = "cut short" if len(body) < expected else "too long"
        raise ValueError(f"{path} is {problem}: it holds {len(body)} bytes, expected {expected} for {shape} numbers "
                         f"{kind.newbyteorder('=')}; get the file again")
    return np.frombuffer(body, kind, offset=header).reshape(shape).astype(kind.newbyteorder("="))


def _bytes(path: str | os.PathLike) -> bytes:
    with open(path, "rb") as file:
        body = file.read()
    if body[:2] != b"\x1f\x8b":
        return body
    try:
        return gzip.decompress(body)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is a damaged gzip file ({error}): get the file again") from error
