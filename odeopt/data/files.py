"""Where the files of data sets are: in a folder that the user names, in the system's, or fetched once.

A file is fetched only if its SHA-256 is known, and used only if it has it. Those here are of the files as published;
their MD5 sums are in torchvision.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Publication:
    """How to come by the files of a data set.

    Parameters
    ----------
    page : str
        Where they can be had by hand.
    url : str
        The folder that they are fetched from.
    digests : dict
        SHA-256 of each file that can be fetched.
    system : str
        The folder of a package of the system that holds them.
    hint : str
        How to get that package, the end of a sentence.
    """

    page: str
    url: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    system: str = ""
    hint: str = ""


PUBLICATIONS = {
    "mnist": Publication("http://yann.lecun.com/exdb/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist/", {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"}),
    "fashion_mnist": Publication(
        "https://github.com/zalandoresearch/fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", {
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
        "/usr/share/datasets/fashion-mnist", "; or on Debian: apt install dataset-fashion-mnist"),
    "kmnist": Publication("http://codh.rois.ac.jp/kmnist", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/", {
        "train-images-idx3-ubyte.gz": "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "train-labels-idx1-ubyte.gz": "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "t10k-images-idx3-ubyte.gz": "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "t10k-labels-idx1-ubyte.gz": "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"}),
    "emnist": Publication("https://www.nist.gov/itl/products-and-services/emnist-dataset (gzip.zip)"),
    "sonar": Publication("https://archive.ics.uci.edu/dataset/151"),
    "diamonds": Publication("https://www.kaggle.com/datasets/shivam2503/diamonds"),
    "california": Publication("https://www.kaggle.com/datasets/camnugent/california-housing-prices"),
}


def find(name: str, file: str) -> Path:
    """The path of a file of a data set, as it is named or with ".gz" behind.

    Looked for in ODEOPT_DATA_DIR/`name`, then in the system's folder; else fetched into the user's cache folder.

    Parameters
    ----------
    name : str
        The data set, a key of `PUBLICATIONS`.
    file : str
        Without ".gz".

    Raises
    ------
    FileNotFoundError
        If it is nowhere, and cannot be fetched; or if ODEOPT_DATA_DIR is no folder.
    ValueError
        If what was fetched is another file.
    """
    known = PUBLICATIONS[name]
    for folder in _folders(name, known):
        for candidate in (folder/file, folder/f"{file}.gz"):
            if candidate.is_file():
                return candidate
    if f"{file}.gz" in known.digests:
        return _fetched(name, f"{file}.gz", known)
    raise FileNotFoundError(_missing(name, file, known))


@contextlib.contextmanager
def data_libraries() -> Iterator[None]:
    """Says how to install a library that an import within does not find."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"this data set needs {error.name}, which is not installed: pip install "
                                  "'odeopt-lab[data]'", name=error.name) from error


def _folders(name: str, known: Publication) -> Iterator[Path]:
    named = os.environ.get("ODEOPT_DATA_DIR")
    if named:
        if not Path(named).is_dir():
            raise FileNotFoundError(f"ODEOPT_DATA_DIR is {named!r}, which is no folder: create it, or unset it")
        yield Path(named, name)
    if known.system:
        yield Path(known.system)


def _fetched(name: str, file: str, known: Publication) -> Path:
    from odeopt.compile.cache import root
    with data_libraries():
        import pooch
    try:
        path = pooch.retrieve(known.url + file, f"sha256:{known.digests[file]}", file, Path(root(), "data", name))
    except OSError as error:
        raise FileNotFoundError(f"{known.url}{file} cannot be fetched ({type(error).__name__}); "
                                + _missing(name, file.removesuffix(".gz"), known)) from error
    return Path(path)


def _missing(name: str, file: str, known: Publication) -> str:
    named = os.environ.get("ODEOPT_DATA_DIR")
    place = os.path.join(named, name) if named else f"FOLDER/{name} and set ODEOPT_DATA_DIR=FOLDER"
    return (f"the file {file} of the data set {name} is not there: get it from {known.page}, and put it, plain or as "
            f"{file}.gz, into {place}{known.hint}")
