"""Data sets read from files: IDX and tables, good and bad; folders; fetching, from a server of the test's own."""

import contextlib
import gzip
import hashlib
import http.server
import itertools
import struct
import threading

import numpy as np
import pandas as pd
import pytest

import odeopt as oo
from odeopt.data import files, read_idx, splits

pytest.importorskip("sklearn", reason="pip install 'odeopt-lab[data]'")
pytest.importorskip("pooch", reason="pip install 'odeopt-lab[data]'")
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, RobustScaler, StandardScaler

NAMES = [f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder for files of the user's, and nothing of this machine's."""
    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("ODEOPT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


# -- IDX, written number by number

CODES = {
    "uint8": (8, "B"), "int8": (9, "b"), "int16": (11, "h"), "int32": (12, "i"), "float32": (13, "f"),
    "float64": (14, "d"),
}  # fmt: skip


def idx(array):
    code, letter = CODES[str(array.dtype)]
    header = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    places = itertools.product(*map(range, array.shape))
    return header + b"".join(struct.pack(">" + letter, array[place]) for place in places)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3), (1, 1, 1, 1)])
def test_idx_is_read_as_it_was_written(shape, dtype, packed, tmp_path):
    rng = np.random.default_rng(2)
    array = (rng.normal(size=shape) * 60).astype("int8" if dtype[0] in "iu" else dtype).astype(dtype)
    body = idx(array)
    (tmp_path / "file").write_bytes(gzip.compress(body) if packed else body)
    found = read_idx(tmp_path / "file")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
    assert found.dtype.isnative


GOOD = idx(np.arange(6, dtype="int16").reshape(2, 3))
PACKED = gzip.compress(GOOD, mtime=0)     # no time: names of tests must be the same in every process


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no IDX file.*nothing"),
        (b"\0\0\x08", "no IDX file.*00 00 08"),
        (b"\x01" + GOOD[1:], "no IDX file.*01 00"),
        (b"\0\0\x0a" + GOOD[3:], "no IDX file"),
        (b"\0\0\x08\0", "no IDX file"),
        (b"PK\x03\x04" + GOOD, "no IDX file.*50 4b"),
        (b"0.1,0.2\n", "no IDX file"),
        (GOOD[:9], "within its header, after 9 of 12"),
        (GOOD[:-1], r"cut short: it holds 23 bytes, expected 24 for \(2, 3\)"),
        (GOOD[:12], "cut short"),
        (GOOD + b"\0", "too long: it holds 25 bytes"),
        (b"\0\0\x08\xff" + b"\xff" * 1020, "cut short"),
        (PACKED[:-9], "damaged gzip"),
        (PACKED[:12] + b"\xff\xff" + PACKED[14:], "damaged gzip"),
        (PACKED[:-6] + b"\0" + PACKED[-5:], "damaged gzip"),
        (PACKED + b"more", "damaged gzip"),
        (gzip.compress(GOOD[:-2], mtime=0), "cut short"),
    ],
)
def test_hostile_idx_is_refused(body, message, tmp_path):
    (tmp_path / "file").write_bytes(body)
    with pytest.raises(ValueError, match=message) as error:
        read_idx(tmp_path / "file")
    assert str(tmp_path / "file") in str(error.value)


def test_a_missing_idx_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")


# -- images


def pictures(counts=(7, 4), classes=10, seed=0):
    rng = np.random.default_rng(seed)
    for count in counts:
        yield rng.integers(0, 256, (count, 28, 28)).astype("uint8")
        yield rng.integers(0, classes, count).astype("uint8")


def put(place, arrays, names=NAMES, suffix=""):
    place.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        body = idx(array)
        (place / (name + suffix)).write_bytes(gzip.compress(body) if suffix else body)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_images_of_a_folder(name, suffix, folder):
    arrays = list(pictures())
    put(folder / name, arrays, suffix=suffix)
    data = getattr(oo.data, name)()
    assert (data.inputs.shape, data.test_inputs.shape) == ((7, 784), (4, 784))
    for found, given in zip((data.inputs, data.test_inputs), arrays[::2], strict=True):
        np.testing.assert_array_equal(found, [[value / 255 for value in image.flat] for image in given])
    np.testing.assert_array_equal(data.targets, arrays[1])
    np.testing.assert_array_equal(data.test_targets, arrays[3])
    assert len(data.classes) == 10
    with pytest.raises(ValueError, match="`dtype` must be float64 or float32, got 'float16'"):
        getattr(oo.data, name)(dtype="float16")
    single = getattr(oo.data, name)(dtype="float32").inputs
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, data.inputs, rtol=np.finfo(np.float32).eps)


@pytest.mark.parametrize(("part", "classes", "first"), [("balanced", 47, 0), ("letters", 26, 1), ("byclass", 62, 0)])
def test_emnist_is_turned_to_rows(part, classes, first, folder):
    train, labels, test, test_labels = pictures(classes=classes)
    arrays = [train.transpose(0, 2, 1), labels + np.uint8(first)]
    arrays += [test.transpose(0, 2, 1), test_labels + np.uint8(first)]
    put(folder / "emnist", arrays, [f"emnist-{part}-{name.replace('t10k', 'test')}" for name in NAMES], ".gz")
    data = oo.data.emnist(part)
    np.testing.assert_array_equal(data.inputs.reshape(-1, 28, 28) * 255.0, train)
    np.testing.assert_array_equal(data.targets, labels)
    np.testing.assert_array_equal(data.test_targets, test_labels)
    assert len(set(data.classes)) == classes
    with pytest.raises(ValueError, match="one of balanced, bymerge"):
        oo.data.emnist("capitals")


def test_emnists_classes_are_in_its_order():
    """The file emnist-balanced-mapping.txt numbers ASCII codes in rising order."""
    from odeopt.data.images import _EMNIST
    for part in ("balanced", "byclass", "digits", "letters"):
        assert list(_EMNIST[part]) == sorted(_EMNIST[part])


@pytest.mark.parametrize(
    ("place", "array", "message"),
    [
        (0, np.zeros((7, 28, 27), "uint8"), r"expected images \(P, 28, 28\)"),
        (0, np.zeros((7, 784), "uint8"), r"expected images \(P, 28, 28\)"),
        (0, np.zeros((0, 28, 28), "uint8"), r"expected images \(P, 28, 28\)"),
        (0, np.zeros((7, 28, 28), "int32"), "of uint8"),
        (1, np.zeros(6, "uint8"), "each of the 7 samples"),
        (1, np.full(7, 10, "uint8"), r"labels must be in 0..9.*got 10"),
        (3, np.zeros(5, "uint8"), "each of the 4 samples"),
    ],
)
def test_images_that_do_not_fit_are_refused(place, array, message, folder):
    arrays = list(pictures())
    arrays[place] = array
    put(folder / "mnist", arrays)
    with pytest.raises(ValueError, match=message):
        oo.data.mnist()


# -- folders and fetching


def test_where_to_put_a_missing_file(folder, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"sonar\.all-data.*archive\.ics\.uci\.edu") as error:
        oo.data.sonar()
    assert str(folder / "sonar") in str(error.value)
    monkeypatch.delenv("ODEOPT_DATA_DIR")
    with pytest.raises(FileNotFoundError, match="FOLDER/sonar and set ODEOPT_DATA_DIR=FOLDER"):
        oo.data.sonar()
    monkeypatch.setenv("ODEOPT_DATA_DIR", str(folder / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere', which is no folder"):
        oo.data.sonar()


@contextlib.contextmanager
def served(place):
    """A server on this machine for the files of a folder, and the list of those that were asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(place))

        def log_message(self, *arguments):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A publication of small images of MNIST's form: the folder that is to be served."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("ODEOPT_DATA_DIR")
    put(tmp_path / "published", pictures(), suffix=".gz")
    return tmp_path / "published"


def digests(place):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}


def test_files_are_fetched_once_and_checked(published, tmp_path, monkeypatch):
    known = digests(published)
    with served(published) as (url, asked):
        monkeypatch.setitem(files.PUBLICATIONS, "mnist", files.Publication("page", url, known))
        first = oo.data.mnist()
        assert len(asked) == 4
        again = oo.data.mnist()
        assert len(asked) == 4
        (tmp_path / "cache/data/mnist" / f"{NAMES[0]}.gz").write_bytes(b"damaged")
        mended = oo.data.mnist()
        assert len(asked) == 5
    for data in (again, mended):
        np.testing.assert_array_equal(data.inputs, first.inputs)
    assert {path.name for path in (tmp_path / "cache/data/mnist").iterdir()} == set(known)


def test_a_file_of_another_checksum_is_not_used(published, tmp_path, monkeypatch):
    known = digests(published) | {f"{NAMES[2]}.gz": "0" * 64}
    with served(published) as (url, _):
        monkeypatch.setitem(files.PUBLICATIONS, "mnist", files.Publication("page", url, known))
        with pytest.raises(ValueError, match=f"{NAMES[2]}.gz.*does not match the known hash"):
            oo.data.mnist()
    assert not (tmp_path / "cache/data/mnist" / f"{NAMES[2]}.gz").exists()


@pytest.mark.parametrize("there", [True, False])
def test_what_cannot_be_fetched_is_asked_for(there, published, tmp_path, monkeypatch):
    """A server that does not have the file, and none."""
    known = digests(published)
    (published / f"{NAMES[0]}.gz").unlink()
    with served(published) as (url, _):
        monkeypatch.setitem(files.PUBLICATIONS, "mnist", files.Publication("page", url, known))
        if there:
            with pytest.raises(FileNotFoundError, match=f"HTTPError.*get it from page.*{NAMES[0]}.gz"):
                oo.data.mnist()
    if not there:
        with pytest.raises(FileNotFoundError, match=f"ConnectionError.*get it from page.*{NAMES[0]}.gz"):
            oo.data.mnist()


def test_a_named_folder_comes_first(folder, published, tmp_path, monkeypatch):
    monkeypatch.setenv("ODEOPT_DATA_DIR", str(folder))
    put(folder / "mnist", pictures(seed=1))
    put(tmp_path / "system", pictures(seed=2), suffix=".gz")
    monkeypatch.setitem(
        files.PUBLICATIONS, "mnist", files.Publication("page", system=str(tmp_path / "system"), hint="")
    )
    np.testing.assert_array_equal(oo.data.mnist().targets, list(pictures(seed=1))[1])
    (folder / "mnist" / NAMES[1]).unlink()
    np.testing.assert_array_equal(oo.data.mnist().targets, list(pictures(seed=2))[1])


def test_known_digests_are_sha256():
    known = [digest for publication in files.PUBLICATIONS.values() for digest in publication.digests.values()]
    assert len(known) == len(set(known)) == 12
    assert {len(bytes.fromhex(digest)) for digest in known} == {32}


# -- the real Fashion-MNIST, where the system has it

FASHION = files.Path(files.PUBLICATIONS["fashion_mnist"].system)
real = pytest.mark.skipif(not FASHION.is_dir(), reason="apt install dataset-fashion-mnist")


@real
def test_the_real_fashion_mnist(monkeypatch):
    """Its numbers as everybody prints them: mean 0.2860 and deviation 0.3530 of the training pixels."""
    data = oo.data.fashion_mnist("float32")
    assert (data.inputs.shape, data.test_inputs.shape) == ((60_000, 784), (10_000, 784))
    assert np.bincount(data.targets).tolist() == [6000] * 10
    assert np.bincount(data.test_targets).tolist() == [1000] * 10
    assert data.targets[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert data.test_targets[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert round(float(data.inputs.mean(dtype=float)), 4) == 0.2860
    assert round(float(data.inputs.std(dtype=float)), 4) == 0.3530
    assert data.classes[data.targets[0]] == "ankle boot"


@real
@pytest.mark.parametrize("name", NAMES)
def test_the_systems_fashion_mnist_is_the_published_one(name):
    """Debian takes name and time out of gzip's header; with both put back, the files have their published digests."""
    body = (FASHION / f"{name}.gz").read_bytes()
    written = 1_504_176_606 if name.startswith("train") else 1_504_176_627  # 31 August 2017
    original = b"\x1f\x8b\x08\x08" + struct.pack("<I", written) + body[8:10] + name.encode() + b"\0" + body[10:]
    known = files.PUBLICATIONS["fashion_mnist"].digests[f"{name}.gz"]
    assert hashlib.sha256(original).hexdigest() == known


# -- tables


def table(folder, name, file, frame, **options):
    (folder / name).mkdir(exist_ok=True)
    frame.to_csv(folder / name / file, index=False, **options)


def echoes():
    frame = pd.DataFrame(np.random.default_rng(5).random((208, 60)))
    frame[60] = ["R"] * 97 + ["M"] * 111
    return frame


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_sonar(suffix, folder):
    frame = echoes()
    table(folder, "sonar", "sonar.all-data" + suffix, frame, header=False)
    x, y = frame.iloc[:, :60].to_numpy(), LabelEncoder().fit_transform(frame[60])
    train, test, labels, test_labels = train_test_split(x, y, test_size=0.5, random_state=7)
    scaler, data = StandardScaler().fit(train), oo.data.sonar()
    assert (data.inputs.shape, data.test_inputs.shape) == ((104, 60), (104, 60))
    np.testing.assert_allclose(data.inputs, scaler.transform(train), atol=1e-12)
    np.testing.assert_allclose(data.test_inputs, scaler.transform(test), atol=1e-12)
    np.testing.assert_array_equal(data.targets, labels)
    np.testing.assert_array_equal(data.test_targets, test_labels)
    assert data.classes[data.targets[labels.argmax()]] == "rock"


def gems(rows=203):
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({name: rng.random(rows) for name in ("carat", "depth", "table", "price", "x", "y", "z")})
    frame["price"] = rng.integers(300, 18_000, rows)
    frame["cut"] = rng.choice(["Ideal", "Fair", "Good", "Very Good", "Premium"], rows)
    frame["color"] = rng.choice(list("GDEFHIJ"), rows)
    frame["clarity"] = rng.choice(["SI2", "IF", "VS1", "I1"], rows)
    return frame


@pytest.mark.parametrize("index", [False, True])
def test_diamonds(index, folder):
    """Some copies of the file have a first column of row numbers."""
    frame = gems()
    if index:
        frame.insert(0, "Unnamed: 0", range(1, 204))
    table(folder, "diamonds", "diamonds.csv", frame)
    for grade in ("cut", "color", "clarity"):
        frame[grade] = LabelEncoder().fit_transform(frame[grade])
    x = frame[["carat", "cut", "color", "clarity", "depth", "table", "x", "y", "z"]].to_numpy(float)
    train, test, price, test_price = train_test_split(
        x, np.log2(1 + frame["price"].to_numpy()), test_size=0.3, random_state=7
    )
    data, scaler = oo.data.diamonds(), StandardScaler().fit(train)
    np.testing.assert_allclose(data.inputs, scaler.transform(train), atol=1e-12)
    np.testing.assert_allclose(data.test_inputs, scaler.transform(test), atol=1e-12)
    np.testing.assert_allclose(data.targets, (price - price.min()) / np.ptp(price), atol=1e-14)
    np.testing.assert_allclose(data.test_targets, (test_price - price.min()) / np.ptp(price), atol=1e-14)
    assert (data.targets.min(), data.targets.max()) == (0.0, 1.0)


def houses(rows=600):
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"longitude": rng.uniform(-124, -114, rows), "latitude": rng.uniform(32, 42, rows),
                          "housing_median_age": rng.integers(1, 53, rows).astype(float)})  # fmt: skip
    frame["total_rooms"] = np.rint(np.exp(rng.normal(7.6, 0.7, rows)))
    frame["total_bedrooms"] = np.rint(frame["total_rooms"] * rng.uniform(0.15, 0.25, rows))
    frame["population"] = np.rint(np.exp(rng.normal(7.1, 0.7, rows)))
    frame["households"] = np.rint(frame["total_rooms"] / rng.normal(5.4, 1.2, rows).clip(2.0))
    frame["median_income"] = np.exp(rng.normal(1.25, 0.45, rows))
    frame["median_house_value"] = np.rint(np.exp(rng.normal(12.1, 0.55, rows)))
    frame["ocean_proximity"] = rng.choice(["NEAR BAY", "<1H OCEAN", "INLAND", "NEAR OCEAN", "ISLAND"], rows)
    frame.loc[::37, "total_bedrooms"] = np.nan
    return frame


def notebook(frame):
    """The authors' notebook, with the libraries that it uses."""
    frame["total_bedrooms"] = frame["total_bedrooms"].fillna(frame["total_bedrooms"].median())
    frame["population_per_household"] = frame["population"] / frame["households"]
    frame["bedrooms_per_room"] = frame["total_bedrooms"] / frame["total_rooms"]
    frame["rooms_per_household"] = frame["total_rooms"] / frame["households"]
    numeric = [column for column in frame if column != "ocean_proximity"]
    for column in numeric * 100:
        outliers = 1
        while outliers:
            low, high = frame[column].quantile(0.25), frame[column].quantile(0.75)
            inner = frame[column].between(low - 1.5 * (high - low), high + 1.5 * (high - low), inclusive="neither")
            outliers = (~inner).sum()
            frame = frame[inner]
    train, test = train_test_split(frame, test_size=0.2, random_state=42)
    inputs = [column for column in numeric if column != "median_house_value"]
    scaler, code = RobustScaler().fit(train[inputs]), OneHotEncoder(sparse_output=False)
    code.fit(train[["ocean_proximity"]])
    price = train["median_house_value"]
    for part in (train, test):
        yield np.hstack([scaler.transform(part[inputs]), code.transform(part[["ocean_proximity"]])])
        yield (part["median_house_value"] - price.min()) / (price.max() - price.min())


def test_california(folder):
    frame = houses()
    table(folder, "california", "housing.csv", frame)
    data, expected = oo.data.california(), list(notebook(frame))
    assert data.inputs.shape[1] == 16
    assert 200 < len(data.inputs) < 450  # a good part are outliers
    arrays = (data.inputs, data.targets, data.test_inputs, data.test_targets)
    for found, array in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(found, array, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("sonar", "sonar.all-data", "", "no table of comma-separated values"),
        ("sonar", "sonar.all-data", "1,2\n1,2,3\n", "no table of comma-separated values"),
        ("sonar", "sonar.all-data", "1,2,M\n", "3 columns, expected 60 numbers and M or R"),
        ("sonar", "sonar.all-data", "0.1," * 60 + "X\n", "'X' in row 1, column 60, is none of M, R"),
        ("sonar", "sonar.all-data", "0.1," * 60 + "M\n" + "0.1," * 59 + "a,R\n", "'a' in row 2, column 59, is no"),
        ("sonar", "sonar.all-data", "0.1," * 59 + "inf,R\n", "in row 1, column 59, is no finite number"),
        ("sonar", "sonar.all-data", "0.1," * 59 + ",R\n", "in row 1, column 59, is no finite number"),
        ("diamonds", "diamonds.csv", "carat,cut\n1,Ideal\n", "no column color, clarity"),
        ("california", "housing.csv", "1,2,3\n4,5,6\n", "no column longitude.*without its head"),
    ],
)
def test_bad_tables_are_refused(name, file, text, message, folder):
    (folder / name).mkdir()
    (folder / name / file).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        getattr(oo.data, name)()
    assert str(folder / name / file) in str(error.value)


@pytest.mark.parametrize(
    ("name", "file", "frame", "column", "value", "message"),
    [
        ("diamonds", "diamonds.csv", gems, "price", "dear", "'dear' in row 5, column 'price', is no finite number"),
        ("diamonds", "diamonds.csv", gems, "price", -1, "-1.0 in column 'price' is no price"),
        ("diamonds", "diamonds.csv", gems, "cut", None, "in row 5, column 'cut', is none of Fair, Good"),
        ("california", "housing.csv", houses, "total_bedrooms", "many", "'many' in row 5, column 'total_bedrooms'"),
        ("california", "housing.csv", houses, "latitude", None, "in row 5, column 'latitude', is no finite number"),
        ("california", "housing.csv", houses, "ocean_proximity", "LAKE", "'LAKE' in row 5.*none of <1H OCEAN"),
    ],
)
def test_bad_cells_are_named(name, file, frame, column, value, message, folder):
    cells = frame().astype({column: object})
    cells.loc[4, column] = value
    table(folder, name, file, cells)
    with pytest.raises(ValueError, match=message):
        getattr(oo.data, name)()


def test_prices_that_are_all_the_same(folder):
    table(folder, "diamonds", "diamonds.csv", gems().assign(price=7))
    with pytest.raises(ValueError, match=r"all training targets of diamonds are 3\.0"):
        oo.data.diamonds()


def test_a_table_of_outliers_alone(folder):
    frame = houses(40)
    frame["latitude"] = 34.0
    table(folder, "california", "housing.csv", frame)
    with pytest.raises(ValueError, match="no two rows that are no outliers"):
        oo.data.california()


def test_a_damaged_gzip_table(folder):
    (folder / "sonar").mkdir()
    packed = gzip.compress(echoes().to_csv(index=False, header=False).encode())
    (folder / "sonar/sonar.all-data.gz").write_bytes(packed[:-20])
    with pytest.raises(ValueError, match="no table of comma-separated values"):
        oo.data.sonar()


def test_keras_shuffle_is_a_permutation():
    train, test = splits.shuffled(506, 0.2, 113)
    assert (len(train), len(test)) == (404, 102)
    assert sorted([*train, *test]) == list(range(506))
