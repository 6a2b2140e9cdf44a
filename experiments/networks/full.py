"""The 60 000 pictures of clothes: one training by each method."""

import pandas as pd
import xarray as xr

from experiments.networks import images


def compute(smoke: bool) -> xr.Dataset:
    clothes = images.clothes(smoke)
    return images.train(clothes.subset(1000, seed=0) if smoke else clothes, images.METHODS, 1, 20 if smoke else 300)


def draw(data: xr.Dataset) -> pd.DataFrame:
    return images.table(data)


def caption(data: xr.Dataset) -> str:
    found = images.medians(data)
    loss, accuracy = found["train_loss"].sort_values(), found["test_accuracy"].sort_values(ascending=False)
    controlled = accuracy[accuracy.index.str.startswith("LC")]
    return f"""\
Fashion-MNIST with {data.samples} training samples and {data.tested} to test on, all in one batch; network, methods and
work as above, {int(data["passes"][-1])} passes from one "Bengio" start. {loss.index[0]} reaches the smallest training
loss, {loss.iloc[0]:#.3g}, and {accuracy.index[0]} the best test accuracy, {100*accuracy.iloc[0]:.1f} %; under Lyapunov
control the best is {controlled.index[0]} with {100*controlled.iloc[0]:.1f} %. One start: differences of less than a
point say nothing."""
