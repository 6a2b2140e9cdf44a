"""Handwritten digits: loss against work at the defaults."""

import xarray as xr

from experiments.networks import images

draw = images.draw


def compute(smoke: bool) -> xr.Dataset:
    digits = images.digits()
    if smoke:
        return images.train(digits.subset(200, seed=0), images.METHODS, 2, 40)
    return images.train(digits, images.METHODS, 25, 400)


def caption(data: xr.Dataset) -> str:
    return images.caption(data, "MNIST, 5000 of its images")
