"""What a data set is: samples to train on, samples to test on, and where they come from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from odeopt.data import splits
from odeopt.parameters import whole


def _none() -> np.ndarray:
    return np.empty((0, 0))


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples for training and for testing, as arrays that cannot be written to.

    Parameters
    ----------
    name : str
    inputs : array (P, n0)
        Finite numbers; float32 stays float32, everything else becomes float64.
    targets : array (P,) or (P, k)
        Regression: finite numbers. Classification: labels 0, 1, ... (P,), or one column for each class.
    test_inputs, test_targets : array, optional
        The same for testing; without them arrays of no rows.
    source : str
        Where the samples come from, with the publication.
    task : {"regression", "classification"}
    classes : tuple of str
        Names of the classes, by label; empty for regression.

    Raises
    ------
    TypeError
        If samples are no numbers, or labels no integers.
    ValueError
        If shapes do not fit, numbers are not finite, labels are none of the classes, or the task is neither.
    """

    name: str
    inputs: np.ndarray
    targets: np.ndarray
    test_inputs: np.ndarray = field(default_factory=_none)
    test_targets: np.ndarray = field(default_factory=_none)
    source: str = ""
    task: str = "regression"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in ("regression", "classification"):
            raise ValueError(f'`task` must be "regression" or "classification", got {self.task!r}')
        if (self.task == "classification") != (len(self.classes) > 1):
            raise ValueError(f"`classes` must name at least 2 classes for classification and none for regression, got "
                             f"{len(self.classes)} names for {self.task}")
        inputs = _inputs("inputs", self.inputs)
        if inputs.size == 0:
            raise ValueError(f"`inputs` must have at least one sample and one column, got the shape {inputs.shape}")
        targets = self._targets("targets", self.targets, len(inputs))
        test_inputs, test_targets = inputs[:0], targets[:0]
        if np.size(self.test_inputs) or np.size(self.test_targets):
            test_inputs = _inputs("test_inputs", self.test_inputs)
            test_targets = self._targets("test_targets", self.test_targets, len(test_inputs))
        if test_inputs.shape[1:] != inputs.shape[1:] or test_targets.shape[1:] != targets.shape[1:]:
            raise ValueError(f"test samples must have the columns of the training samples, got inputs "
                             f"{test_inputs.shape} beside {inputs.shape} and targets {test_targets.shape} beside "
                             f"{targets.shape}")
        vars(self).update(classes=tuple(self.classes), inputs=_frozen(inputs), targets=_frozen(targets),
                          test_inputs=_frozen(test_inputs), test_targets=_frozen(test_targets))

    def _targets(self, name: str, given: Any, P: int) -> np.ndarray:
        targets = np.asarray(given)
        if self.task == "classification" and targets.ndim < 2:
            targets = _labels(name, targets, self.classes)
        else:
            targets = _floats(name, targets)
            if self.task == "classification" and targets.shape[1:] != (len(self.classes),):
                raise ValueError(f"`{name}` must have one column for each of the {len(self.classes)} classes, got the "
                                 f"shape {targets.shape}")
        if targets.ndim not in (1, 2) or len(targets) != P:
            raise ValueError(f"`{name}` must have a row for each of the {P} samples, shape ({P},) or ({P}, k), got "
                             f"{targets.shape}")
        return targets

    def standardised(self) -> Dataset:
        """The data set with inputs of mean 0 and deviation 1 over the training samples.

        The test inputs are shifted and scaled by the same numbers. A column that is constant over the training samples
        is left as it is. The deviation is that of the population (divided by P), as in scikit-learn's StandardScaler.
        """
        varies = self.inputs.min(axis=0) < self.inputs.max(axis=0)
        mean = np.where(varies, self.inputs.mean(axis=0, dtype=float), 0.0)
        deviation = np.where(varies, self.inputs.std(axis=0, dtype=float), 1.0)
        inputs, test_inputs = (((x - mean)/deviation).astype(x.dtype) for x in (self.inputs, self.test_inputs))
        return dataclasses.replace(self, inputs=inputs, test_inputs=test_inputs)

    def unit_targets(self) -> Dataset:
        """The data set with targets of least 0 and largest 1 over the training samples.

        Raises
        ------
        ValueError
            If all training targets are equal.
        """
        low, high = self.targets.min(), self.targets.max()
        if low == high:
            raise ValueError(f"all training targets of {self.name} are {low}, and cannot be scaled: is it another "
                             "file?")
        return dataclasses.replace(self, targets=(self.targets - low)/(high - low),
                                   test_targets=(self.test_targets - low)/(high - low))

    def split(self, test_size: float, seed: int) -> Dataset:
        """All samples, those for training before those for testing, parted anew as scikit-learn does it.

        The parts are those of `train_test_split(..., test_size=test_size, random_state=seed)`, in the same order. Split
        before `standardised()`, whose numbers would otherwise know the test samples.

        Parameters
        ----------
        test_size : float or int
            Share of the samples to test on, between 0 and 1, rounded up; or their number, an integer.
        seed : int

        Raises
        ------
        ValueError
            If no sample would be left for training or for testing.
        """
        whole(0, seed=seed)
        train, test = splits.permuted(len(self.inputs) + len(self.test_inputs), test_size, seed)
        inputs = np.concatenate([self.inputs, self.test_inputs])
        targets = np.concatenate([self.targets, self.test_targets])
        return dataclasses.replace(self, inputs=inputs[train], targets=targets[train], test_inputs=inputs[test],
                                   test_targets=targets[test])

    def subset(self, count: int, seed: int) -> Dataset:
        """`count` of the training samples, drawn without replacement; the test samples stay.

        A smaller subset of the same seed is the beginning of a larger one.

        Raises
        ------
        ValueError
            If there are not as many training samples.
        """
        P = len(self.inputs)
        whole(0, seed=seed)
        if not (isinstance(count, (int, np.integer)) and not isinstance(count, bool) and 1 <= count <= P):
            raise ValueError(f"`count` must be an integer between 1 and the {P} training samples, got {count}")
        chosen = np.random.RandomState(seed).permutation(P)[:count]     # a generator whose numbers never change
        return dataclasses.replace(self, inputs=self.inputs[chosen], targets=self.targets[chosen])

    def one_hot(self) -> Dataset:
        """The data set with one target for each class, 1 for the sample's own and 0 for the others.

        Raises
        ------
        ValueError
            If this is no classification.
        """
        if self.task != "classification":
            raise ValueError(f"{self.name} is a regression, and only classes can be one-hot: keep its targets")
        if self.targets.ndim == 2:
            return self
        unit = np.eye(len(self.classes), dtype=self.inputs.dtype)
        return dataclasses.replace(self, targets=unit[self.targets], test_targets=unit[self.test_targets])

    def __repr__(self) -> str:
        kind = f"{len(self.classes)} classes" if self.classes else "regression"
        return f"Dataset({self.name}: {kind}, inputs {self.inputs.shape}, test_inputs {self.test_inputs.shape})"


def tested_on(test: Any) -> tuple[Any, Any]:
    """Inputs and targets to test on: of a data set its own, else the pair that was given as `test`."""
    if isinstance(test, Dataset):
        return test.test_inputs, test.test_targets
    if not (isinstance(test, tuple | list) and len(test) == 2):
        raise TypeError(f"`test` must be a Dataset or (inputs, targets), got {test!r}")
    return test[0], test[1]


def _inputs(name: str, given: Any) -> np.ndarray:
    inputs = _floats(name, np.asarray(given))
    if inputs.ndim != 2:
        raise ValueError(f"`{name}` must have a row for each sample and a column for each input, got the shape "
                         f"{inputs.shape}: for one input use x[:, None]")
    return inputs


def _floats(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"`{name}` must be real numbers, got an array of {array.dtype}")
    array = array if array.dtype == np.float32 else array.astype(float, copy=False)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"`{name}` must be finite, got {array[place]} at {place}: remove or impute such samples")
    return array


def _labels(name: str, labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    if labels.dtype.kind not in "biu":
        raise TypeError(f"`{name}` must be integer labels, got an array of {labels.dtype}: use labels.astype(int)")
    wrong = (labels < 0) | (labels >= len(classes))
    if wrong.any():
        raise ValueError(f"labels must be in 0..{len(classes) - 1}, as there are {len(classes)} classes, got "
                         f"{labels[wrong][0]} in `{name}`: number the classes from 0, or name all of them")
    return labels.astype(np.int64, copy=False)


def _frozen(array: np.ndarray) -> np.ndarray:
    """The array, copied unless nobody else can write to it."""
    if array.flags.writeable or array.base is not None:
        array = array.copy()
    array.setflags(write=False)
    return array
