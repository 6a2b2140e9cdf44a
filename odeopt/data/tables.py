"""Tables of comma-separated values, prepared as in the papers.

Source: B. Bensaid and G. Poëtte's manuscript on mini-batch optimizers, https://github.com/gaelpoette/paper_splitting,
partII, and for California https://github.com/bbensaid30/NN_Levenberg_Marquardt, Data/California.ipynb.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from odeopt.data import splits
from odeopt.data.dataset import Dataset
from odeopt.data.files import find

if TYPE_CHECKING:
    import pandas as pd

_GRADES = ("cut", "color", "clarity")
_SIZES = ("carat", "cut", "color", "clarity", "depth", "table", "x", "y", "z")
_HOUSING = ("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population", "households",
            "median_income", "median_house_value")
_RATIOS = {"population_per_household": ("population", "households"),
           "bedrooms_per_room": ("total_bedrooms", "total_rooms"),
           "rooms_per_household": ("total_rooms", "households")}
_SEA = ("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN")


def sonar() -> Dataset:
    """Echoes from mines and rocks in 60 frequency bands, standardised: 104 samples for training and 104 for testing.

    Parted as by scikit-learn with test_size 0.5 and random_state 7. The file is UCI's sonar.all-data.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, or no such table.

    Source: R. P. Gorman, T. J. Sejnowski, "Analysis of hidden units in a layered network trained to classify sonar
    targets", Neural Networks 1 (1988) 75-89.
    """
    path = find("sonar", "sonar.all-data")
    table = _read(path, header=None)
    if table.shape[1] != 61:
        raise ValueError(f"{path} has {table.shape[1]} columns, expected 60 numbers and M or R: is it another file?")
    inputs, labels = _numbers(path, table, range(60)), _codes(path, table, 60, ("M", "R"))
    return Dataset("sonar", inputs, labels, source="R. P. Gorman, T. J. Sejnowski, Neural Networks 1 (1988) 75-89",
                   task="classification", classes=("mine", "rock")).split(0.5, seed=7).standardised()


def diamonds() -> Dataset:
    """Prices of diamonds by 9 characteristics: weight, cut, colour, clarity and sizes.

    Grades are numbered in alphabetical order, inputs standardised, prices p replaced by log2(1 + p) and scaled to 0..1
    over the training samples. Parted as by scikit-learn with test_size 0.3 and random_state 7: the papers' file, of
    53 943 rows, into 37 760 and 16 183. The file diamonds.csv is a table with a head, in any order of columns; that of
    ggplot2, of 53 940 rows, gives 37 758 and 16 182.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, or no such table.

    Source: H. Wickham, ggplot2: Elegant Graphics for Data Analysis, Springer (2009).
    """
    path = find("diamonds", "diamonds.csv")
    table = _read(path)
    _demand_columns(path, table, (*_SIZES, "price"))
    for grade in _GRADES:
        table[grade] = _codes(path, table, grade, sorted(set(table[grade].dropna()), key=str))
    inputs, price = _numbers(path, table, _SIZES), _numbers(path, table, ("price",))[:, 0]
    if price.min() < 0.0:
        raise ValueError(f"{path}: {price.min()} in column 'price' is no price: get the file again")
    data = Dataset("diamonds", inputs, np.log2(1.0 + price), source="H. Wickham, ggplot2, Springer (2009)")
    return data.split(0.3, seed=7).standardised().unit_targets()


def california() -> Dataset:
    """Median prices of houses in California's districts by 16 inputs, as in the authors' notebook.

    Unknown numbers of bedrooms become the median; three ratios are added; districts out of 1.5 interquartile ranges
    beside the quartiles of any column are removed until none is. The rest is parted as by scikit-learn with test_size
    0.2 and random_state 42: of the 20 640 districts 11 272 for training and 2818 for testing. Inputs are shifted by the
    median and scaled by the interquartile range of the training samples, the five classes of closeness to the sea are
    one-hot, prices are scaled to 0..1 over the training samples. The file is housing.csv.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is missing, or no such table.

    Source: R. K. Pace, R. Barry, "Sparse spatial autoregressions", Statist. Probab. Lett. 33 (1997) 291-297.
    """
    path = find("california", "housing.csv")
    table = _read(path)
    _demand_columns(path, table, (*_HOUSING, "ocean_proximity"))
    numbers = dict(zip(_HOUSING, _numbers(path, table, _HOUSING, imputed="total_bedrooms").T, strict=True))
    numbers |= {name: numbers[above]/numbers[below] for name, (above, below) in _RATIOS.items()}
    kept = _without_outliers(path, np.column_stack(list(numbers.values())))
    price = numbers.pop("median_house_value")[kept]
    inputs = np.column_stack(list(numbers.values()))[kept]
    sea = np.eye(len(_SEA))[_codes(path, table, "ocean_proximity", _SEA)[kept]]
    train, test = splits.permuted(len(inputs), 0.2, seed=42)
    low, median, high = np.quantile(inputs[train], (0.25, 0.5, 0.75), axis=0)
    inputs = np.column_stack([(inputs - median)/np.where(high > low, high - low, 1.0), sea])
    return Dataset("California", inputs[train], price[train], inputs[test], price[test],
                   "R. K. Pace, R. Barry, Statist. Probab. Lett. 33 (1997) 291-297").unit_targets()


def _without_outliers(path: Path, columns: np.ndarray) -> np.ndarray:
    """The rows whose numbers are all within 1.5 interquartile ranges of the quartiles of these rows."""
    kept = np.arange(len(columns))
    before = -1
    while len(kept) != before:
        before = len(kept)
        for column in columns.T:
            inner = np.array([False])
            while not inner.all():
                low, high = np.quantile(column[kept], (0.25, 0.75))
                reach = 1.5*(high - low)
                inner = (column[kept] > low - reach) & (column[kept] < high + reach)
                kept = kept[inner]
                if len(kept) < 2:
                    raise ValueError(f"{path} has no two rows that are no outliers: is it another file?")
    return kept


# -- reading

def _read(path: Path, header: Any = "infer") -> pd.DataFrame:
    import pandas as pd
    try:
        return pd.read_csv(path, header=header)
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is no table of comma-separated values ({error}): get the file again") from error


def _demand_columns(path: Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}, only {', '.join(map(str, table))}: is it another "
                         "file, or without its head?")


def _numbers(path: Path, table: pd.DataFrame, columns: Sequence[Any], imputed: str = "") -> np.ndarray:
    """Columns of numbers, (P, n); in the column `imputed` the median takes the place of empty cells."""
    import pandas as pd
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce")
    if imputed:
        numbers[imputed] = numbers[imputed].mask(table[imputed].isna(), numbers[imputed].median())
    wrong = np.argwhere(~np.isfinite(numbers.to_numpy(dtype=float)))
    if wrong.size:
        row, column = int(wrong[0, 0]), columns[wrong[0, 1]]
        raise ValueError(f"{path}: {table[column].iloc[row]!r} in row {row + 1}, column {column!r}, is no finite "
                         "number: get the file again, or mend or remove the row")
    return numbers.to_numpy(dtype=float)


def _codes(path: Path, table: pd.DataFrame, column: Any, classes: Sequence[str]) -> np.ndarray:
    """The numbers of the classes that a column names."""
    code = {name: number for number, name in enumerate(classes)}
    names = table[column].tolist()
    wrong = [row for row, name in enumerate(names) if name not in code]
    if wrong:
        raise ValueError(f"{path}: {names[wrong[0]]!r} in row {wrong[0] + 1}, column {column!r}, is none of "
                         f"{', '.join(map(str, classes))}: get the file again, or mend or remove the row")
    return np.array([code[name] for name in names], dtype=np.int64)
