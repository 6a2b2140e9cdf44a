"""Pictures of clothes: loss against work at the defaults."""

import xarray as xr

from experiments.networks import images

draw = images.draw


def compute(smoke: bool) -> xr.Dataset:
    clothes = images.clothes(smoke)
    if smoke:
        return images.train(clothes.subset(200, seed=0), images.METHODS, 2, 40)
    return images.train(clothes.subset(5000, seed=0), images.METHODS, 25, 400)


def caption(data: xr.Dataset) -> str:
    return images.caption(data, "Fashion-MNIST, 5000 of its 60 000 training images (the authors' code trains a "
                          "convolutional network on them)")
