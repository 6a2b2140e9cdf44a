"""Data sets that come with scikit-learn and mlxtend."""

from __future__ import annotations

import numpy as np

from odeopt.data import splits
from odeopt.data.dataset import Dataset
from odeopt.data.files import data_libraries


def digits() -> Dataset:
    """1797 handwritten digits of 8 x 8 pixels, 0..16; all are for training until they are `split`.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998),
    doi:10.24432/C50P49; the test samples there.
    """
    with data_libraries():
        from sklearn.datasets import load_digits
    found = load_digits()
    return Dataset("digits", found.data, found.target, source="E. Alpaydin, C. Kaynak, Optical Recognition of "
                   "Handwritten Digits, UCI Machine Learning Repository (1998), doi:10.24432/C50P49",
                   task="classification", classes=tuple("0123456789"))


def breast_cancer() -> Dataset:
    """569 tumours by 30 measurements of their cells' nuclei, malignant or benign; all are for training until `split`.

    Source: W. Wolberg, O. Mangasarian, N. Street, W. Street, "Breast Cancer Wisconsin (Diagnostic)", UCI Machine
    Learning Repository (1993), doi:10.24432/C5DW2B.
    """
    with data_libraries():
        from sklearn.datasets import load_breast_cancer
    found = load_breast_cancer()
    return Dataset("breast cancer", found.data, found.target, source="W. Wolberg et al., Breast Cancer Wisconsin "
                   "(Diagnostic), UCI Machine Learning Repository (1993), doi:10.24432/C5DW2B",
                   task="classification", classes=tuple(map(str, found.target_names)))


def diabetes() -> Dataset:
    """Progression of diabetes in 442 patients by 10 variables, in their units; all are for training until `split`.

    Source: B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least angle regression", Ann. Statist. 32 (2004) 407-499.
    """
    with data_libraries():
        from sklearn.datasets import load_diabetes
    found = load_diabetes(scaled=False)
    return Dataset("diabetes", found.data, found.target, source="B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "
                   "Ann. Statist. 32 (2004) 407-499")


def wine() -> Dataset:
    """178 wines of three growers by 13 chemical measurements; all are for training until `split`.

    Source: S. Aeberhard, M. Forina, "Wine", UCI Machine Learning Repository (1992), doi:10.24432/C5PC7J.
    """
    with data_libraries():
        from sklearn.datasets import load_wine
    found = load_wine()
    return Dataset("wine", found.data, found.target, source="S. Aeberhard, M. Forina, Wine, UCI Machine Learning "
                   "Repository (1992), doi:10.24432/C5PC7J",
                   task="classification", classes=tuple(map(str, found.target_names)))


def boston() -> Dataset:
    """Median prices of houses, in 1000 dollars, in Boston's 506 districts by 13 variables, standardised.

    404 samples are for training and 102 for testing: the parts of Keras's `boston_housing`, which the papers use. One
    of the variables is made of the share of Black residents; use the data to compare optimizers, not to model prices.

    Source: D. Harrison, D. L. Rubinfeld, "Hedonic housing prices and the demand for clean air", J. Environ. Econ.
    Manage. 5 (1978) 81-102.
    """
    with data_libraries():
        from mlxtend.data import boston_housing_data
    inputs, prices = boston_housing_data()
    train, test = splits.shuffled(len(inputs), 0.2, seed=113)
    return Dataset("Boston", inputs[train], prices[train], inputs[test], prices[test], "D. Harrison, D. L. Rubinfeld, "
                   "J. Environ. Econ. Manage. 5 (1978) 81-102").standardised()


def mnist_5000() -> Dataset:
    """5000 of MNIST's training images of 28 x 28 pixels in 0..1, 500 of each digit; all are for training until `split`.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
    Proc. IEEE 86 (1998) 2278-2324.
    """
    with data_libraries():
        from mlxtend.data.mnist import DATA_PATH
    rows = np.loadtxt(DATA_PATH, dtype=np.uint8, delimiter=",")     # mlxtend's own reader takes seconds
    return Dataset("MNIST (5000)", rows[:, :-1]/255.0, rows[:, -1], source="Y. LeCun, L. Bottou, Y. Bengio, "
                   "P. Haffner, Proc. IEEE 86 (1998) 2278-2324", task="classification", classes=tuple("0123456789"))
