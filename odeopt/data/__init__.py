"""Data sets of the papers: generated, bundled with libraries, fetched once, or read from files.

Generated sets need NumPy alone. The others need `pip install 'odeopt-lab[data]'`; `ODEOPT_DATA_DIR` names a folder
with files of your own, ODEOPT_DATA_DIR/SET/FILE.
"""

from odeopt.data.bundled import boston, breast_cancer, diabetes, digits, mnist_5000, wine
from odeopt.data.dataset import Dataset
from odeopt.data.functions import (
    exponential,
    gaussian_bump,
    runge,
    sinc,
    sine_wave,
    square,
    square_root,
    square_wave,
    squares,
)
from odeopt.data.idx import read_idx
from odeopt.data.images import emnist, fashion_mnist, kmnist, mnist
from odeopt.data.spirals import early_spiral, two_spirals
from odeopt.data.tables import california, diamonds, sonar

__all__ = ["Dataset", "boston", "breast_cancer", "california", "diabetes", "diamonds", "digits", "early_spiral",
           "emnist", "exponential", "fashion_mnist", "gaussian_bump", "kmnist", "mnist", "mnist_5000", "read_idx",
           "runge", "sinc", "sine_wave", "sonar", "square", "square_root", "square_wave", "squares", "two_spirals",
           "wine"]
