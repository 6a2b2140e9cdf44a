"""MNIST and its kin: images of 28 x 28 pixels, as rows of 784 numbers in 0..1."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from odeopt.data.dataset import Dataset
from odeopt.data.files import find
from odeopt.data.idx import read_idx

_DIGITS, _CAPITALS = tuple(string.digits), tuple(string.ascii_uppercase)
_MERGED = (*_DIGITS, *_CAPITALS, *"abdefghnqrt")        # small letters that do not look like their capitals
_EMNIST = {"balanced": _MERGED, "bymerge": _MERGED, "byclass": (*_DIGITS, *string.ascii_letters.swapcase()),
           "digits": _DIGITS, "letters": _CAPITALS, "mnist": _DIGITS}
_FASHION = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def mnist(dtype: DTypeLike = float) -> Dataset:
    """60 000 and 10 000 handwritten digits.

    Parameters
    ----------
    dtype : {float64, float32}
        Of the inputs; float64 takes 0.44 GB.

    Raises
    ------
    FileNotFoundError, ValueError
        If files are missing or damaged (see `odeopt.data.read_idx`).

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
    Proc. IEEE 86 (1998) 2278-2324.
    """
    return _images("MNIST", _paths("mnist"), _DIGITS, dtype,
                   "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Proc. IEEE 86 (1998) 2278-2324")


def fashion_mnist(dtype: DTypeLike = float) -> Dataset:
    """60 000 and 10 000 pictures of clothes; parameters and errors as those of `mnist`.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", arXiv:1708.07747.
    """
    return _images("Fashion-MNIST", _paths("fashion_mnist"), _FASHION, dtype,
                   "H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747")


def kmnist(dtype: DTypeLike = float) -> Dataset:
    """60 000 and 10 000 letters of cursive Japanese; parameters and errors as those of `mnist`.

    Source: T. Clanuwat et al., "Deep learning for classical Japanese literature", arXiv:1812.01718.
    """
    return _images("KMNIST", _paths("kmnist"), ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"), dtype,
                   "T. Clanuwat et al., arXiv:1812.01718")


def emnist(part: str = "balanced", dtype: DTypeLike = float) -> Dataset:
    """Handwritten digits and letters: in the part "balanced" 112 800 and 18 800 of 47 classes.

    The files hold the images by columns; here they are by rows, as those of MNIST.

    Parameters
    ----------
    part : {"balanced", "bymerge", "byclass", "digits", "letters", "mnist"}
        The labels of "letters" are made to begin with 0.
    dtype : {float64, float32}
        Of the inputs.

    Raises
    ------
    FileNotFoundError, ValueError
        If files are missing or damaged (see `odeopt.data.read_idx`), or there is no such part.

    Source: G. Cohen, S. Afshar, J. Tapson, A. van Schaik, "EMNIST: extending MNIST to handwritten letters", Proc.
    IJCNN 2017, 2921-2926.
    """
    if not isinstance(part, str) or part not in _EMNIST:
        raise ValueError(f"`part` must be one of {', '.join(_EMNIST)}, got {part!r}")
    paths = [find("emnist", f"emnist-{part}-{file.replace('t10k', 'test')}") for file in _FILES]
    return _images(f"EMNIST ({part})", paths, _EMNIST[part], dtype, "G. Cohen, S. Afshar, J. Tapson, A. van Schaik, "
                   "Proc. IJCNN 2017, 2921-2926", by_columns=True, first=1 if part == "letters" else 0)


def _paths(name: str) -> list[Path]:
    return [find(name, file) for file in _FILES]


def _images(name: str, paths: list[Path], classes: tuple[str, ...], dtype: DTypeLike, source: str,
            by_columns: bool = False, first: int = 0) -> Dataset:
    if np.dtype(dtype) not in (np.float64, np.float32):
        raise ValueError(f"`dtype` must be float64 or float32, got {dtype!r}")
    inputs, test_inputs = (_pixels(path, dtype, by_columns) for path in paths[::2])
    targets, test_targets = (read_idx(path).astype(np.int64) - first for path in paths[1::2])
    return Dataset(name, inputs, targets, test_inputs, test_targets, source, "classification", classes)


def _pixels(path: Path, dtype: DTypeLike, by_columns: bool) -> np.ndarray:
    images = read_idx(path)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or not len(images):
        raise ValueError(f"{path} holds an array {images.shape} of {images.dtype}, expected images (P, 28, 28) of "
                         "uint8: is it another file under this name?")
    if by_columns:
        images = images.transpose(0, 2, 1)
    pixels = np.divide(images.reshape(len(images), -1), 255.0, dtype=dtype)
    pixels.setflags(write=False)                        # or the data set would copy it
    return pixels
