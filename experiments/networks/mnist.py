"""Handwritten digits: loss against work at the defaults."""

import xarray as xr

from experiments.networks import images
from odeopt import data as samples

draw = images.draw


def compute(smoke: bool) -> xr.Dataset:
    digits = samples.mnist_5000().split(0.2, seed=7)
    if smoke:
        return images.train(digits.subset(200, seed=0), images.METHODS, 2, 40)
    return images.train(digits, images.METHODS, 25, 400)


def caption(data: xr.Dataset) -> str:
    return images.caption(data, "MNIST, 5000 of its images")
