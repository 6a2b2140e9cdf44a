"""Results that last: files that come back to the last bit or are refused, tables, runs repeated."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass

import h5py
import numpy as np
import pytest
import xarray as xr

import odeopt as oo
from odeopt import Status
from odeopt.methods import Method
from odeopt.objectives import Function, Objective, PolyThree, PolyTwo
from odeopt.results import storage
from odeopt.results.description import StandIn, describe, fingerprint, rebuilt
from odeopt.results.environment import environment
from odeopt.solver import prepare


def starts(S, n=2, seed=0):
    return np.random.default_rng(seed).uniform(-3.0, 3.0, (S, n))


def mixed(S):
    """Starts of every fate."""
    X = starts(S)
    X[3], X[5], X[7] = 1e80, np.nan, (0.0, -1.0)
    return X


def bowl(x):
    return float(x @ x)


@dataclass(frozen=True)
class Tilted(oo.Landscape):
    """A class that the package does not have."""

    tilt: float = 0.25

    def value(self, x, y):
        return (x * x - 1.0) * (x * x - 1.0) + y * y + self.tilt * x


BOTH = oo.Method(
    oo.flows.HeavyBall(2.0),
    oo.schemes.SemiImplicitEuler(),
    oo.controllers.Both(
        first=oo.controllers.LyapunovBacktracking(h_max="flow"), second=oo.controllers.Bisection(h_max=0.5)
    ),
    0.1,
)
RUNS = {
    "lanes": lambda: oo.solve_many(PolyThree(), oo.methods.lc_gd(), mixed(300), max_steps=40),
    "numpy": lambda: oo.solve_many(Function(bowl), oo.methods.lc_gd(), starts(5), trace=True),
    "blocks": lambda: oo.solve_many(PolyTwo(), oo.methods.adam(lr=0.1), mixed(90), max_steps=90, trace=True),
    "memory": lambda: oo.solve_many(PolyTwo(), BOTH, mixed(40), count_rises=0.0, t_end=3.5, backend="lanes"),
    "then": lambda: oo.solve_many(
        PolyThree(), oo.methods.lc_gd_then_adam(), mixed(150), gtol=1e-13, max_steps=300, trace=True
    ),
    "wide": lambda: oo.solve_many(
        oo.objectives.Rosenbrock(dimension=16), oo.methods.lc_momentum(), starts(70, 16), max_steps=30
    ),
    "own": lambda: oo.solve_many(Tilted(), oo.methods.lc_gd(), starts(20), trace=True),
    "basins": lambda: oo.studies.basins(PolyThree(), oo.methods.lcd_gd(), shape=(9, 11), max_steps=30),
    "solution": lambda: oo.solve(PolyThree(), oo.methods.lcd_gd(), [0.4, -0.7], trace=True),
    "second part": lambda: RUNS["then"]()[
        int(np.flatnonzero(RUNS["then"]().status == Status.MAX_STEPS)[0])
    ],
}


def ensemble_of(result):
    return getattr(result, "ensemble", result)


def bits(result, prefix=""):
    """Every array of a result, by name, in bytes with one kind of NaN."""
    if isinstance(result, oo.Solution):
        names = ("x", "fun", "jac", "V", "t", "h", "nit", "trials", "nfev", "njev", "nhev", "status", "starts")
        arrays = {name: np.asarray(getattr(result, name)) for name in names}
        arrays |= {f"z.{name}": np.asarray(block) for name, block in result.z.items()}
    else:
        arrays = ensemble_of(result).arrays() | {"V": ensemble_of(result).V}
        arrays |= {name: getattr(result, name) for name in ("label", "minima") if hasattr(result, name)}
    trace = getattr(result, "trace", None)
    if trace is not None:
        arrays |= {f"trace.{name}": array for name, array in trace.arrays().items()}
        arrays |= {f"trace.{name}": getattr(trace, name) for name in ("f", "V", "accepted", "g_norm")}
    found = {}
    for name, array in arrays.items():
        array = np.where(np.isnan(array), np.nan, array) if array.dtype == float else array
        found[prefix + name] = (array.shape, array.dtype, array.tobytes())
    if getattr(result, "then", None) is not None:
        found |= bits(result.then, prefix + "then.")
    return found


@pytest.mark.parametrize("case", list(RUNS))
def test_what_is_saved_comes_back_to_the_last_bit(case, tmp_path):
    before = RUNS[case]()
    before.save(tmp_path / "a.nc")
    after = oo.load(tmp_path / "a.nc")
    assert type(after) is type(before)
    assert bits(after) == bits(before)
    assert os.listdir(tmp_path) == ["a.nc"]
    one, two = ensemble_of(before), ensemble_of(after)
    assert (repr(two.objective), repr(two.method)) == (repr(one.objective), repr(one.method))
    assert (two.limits, two.options) == (one.limits, one.options)
    for name in ("backend", "flags", "threads", "time", "compile_time", "started", "finished", "environment"):
        assert getattr(two, name) == getattr(one, name), name
    assert two.memory.keys() == one.memory.keys()
    if isinstance(before, oo.studies.Basins):
        assert (after.box, after.shape, after.radius) == (before.box, before.shape, before.radius)
    shown = [line for line in repr(after).splitlines() if "loaded from" not in line]
    assert shown == repr(before).splitlines()


@pytest.mark.parametrize("case", [case for case in RUNS if case not in ("numpy", "own")])
def test_a_loaded_result_runs_again_to_the_same_bits(case, tmp_path):
    before = RUNS[case]()
    before.save(tmp_path / "a.nc")
    for result in (before, oo.load(tmp_path / "a.nc")):
        again = result.rerun(threads=1)
        assert again.equal, again
        assert again.changed == {}
        assert "equal to the last bit" in repr(again)


def test_a_rerun_names_what_differs(tmp_path):
    before = RUNS["then"]()
    before.x[4, 1] += 0.5
    before.then.nit[0] += 3
    before.trace.t[:2, 1] = -0.0
    vars(before)["environment"] = environment() | {"numba": "0.1", "cores": "3"}
    again = before.rerun()
    assert not again.equal
    assert set(again.differences) == {"x", "then.nit", "trace.t"}
    assert again.differences["x"].count == 1
    assert again.differences["x"].most == pytest.approx(0.5, rel=1e-9)
    assert again.differences["then.nit"].most == 3.0
    assert again.changed == {"numba": ("0.1", environment()["numba"])}
    for words in ("different", "x: 1 numbers differ", "numba was 0.1"):
        assert words in repr(again)


# -- formulas


def test_every_method_and_landscape_comes_back_from_its_description():
    for name in oo.methods.names():
        method = oo.methods.get(name)
        text = json.dumps(describe(method))
        assert "stand-in" not in text
        assert rebuilt(json.loads(text), Method) == method
    landscapes = [getattr(oo.objectives, name) for name in oo.objectives.__all__]
    landscapes = [kind for kind in landscapes if dataclasses.is_dataclass(kind) and issubclass(kind, oo.Landscape)]
    assert len(landscapes) > 20
    for kind in landscapes:
        back = rebuilt(json.loads(json.dumps(describe(kind()))), Objective)
        assert back == kind()
        assert type(back) is kind
    spectrum = (*np.random.default_rng(0).uniform(size=20), np.float64(1 / 3), 1e300, 7)
    back = rebuilt(json.loads(json.dumps(describe(oo.objectives.Quadratic(spectrum)))), Objective)
    assert back.spectrum == spectrum


def test_a_class_of_the_users_own_is_stood_for_until_it_is_given(tmp_path):
    before = RUNS["own"]()
    before.save(tmp_path / "a.nc")
    after = oo.load(tmp_path / "a.nc")
    assert isinstance(after.objective, StandIn)
    assert after.method == oo.methods.lc_gd()
    for act in (after.rerun, lambda: oo.solve(after.objective, oo.methods.gd(), [1.0, 2.0])):
        with pytest.raises(oo.FormulaError, match=r"Tilted\(tilt=0.25\).*oo.load\(path, objective="):
            act()
    after.save(tmp_path / "b.nc")
    assert bits(oo.load(tmp_path / "b.nc")) == bits(before)
    given = oo.load(tmp_path / "b.nc", objective=Tilted())
    assert given.objective == Tilted()
    assert given.rerun().equal
    assert not oo.load(tmp_path / "b.nc", objective=Tilted(0.5)).rerun().equal
    with pytest.raises(TypeError, match="must be an Objective"):
        oo.load(tmp_path / "a.nc", objective=Tilted)


@pytest.mark.parametrize("part", ["flow", "scheme", "controller"])
def test_every_part_of_a_method_can_be_stood_for(part, tmp_path):
    kinds = {
        "flow": (oo.flows.HeavyBall, "HeavyBall"),
        "scheme": (oo.schemes.SemiImplicitEuler, "SemiImplicitEuler"),
        "controller": (oo.controllers.Constant, "Constant"),
    }
    kind, text = kinds[part]
    own = dataclasses.dataclass(frozen=True)(type("Own" + text, (kind,), {}))
    parts = {name: kind() for name, (kind, _) in kinds.items()} | {part: own()}
    method = oo.Method(**parts, h0=0.1)
    before = oo.solve_many(PolyTwo(), method, starts(4), max_steps=5)
    before.save(tmp_path / "a.nc")
    after = oo.load(tmp_path / "a.nc")
    assert bits(after) == bits(before)
    assert repr(after.method) == repr(method)
    with pytest.raises(oo.FormulaError, match="Own" + text):
        after.rerun()
    assert oo.load(tmp_path / "a.nc", method=method).rerun().equal
    with pytest.raises(ValueError, match="blocks"):
        oo.load(tmp_path / "a.nc", method=oo.methods.adam())


EVIL = {
    "no class": {"class": "os.system", "fields": {"command": "true"}},
    "a function": {"class": "methods.get", "fields": {"name": "gd"}},
    "not public": {"class": "objectives.base", "fields": {}},
    "dunder": {"class": "objectives.__builtins__", "fields": {}},
    "another family": {"class": "flows.HeavyBall", "fields": {"friction": 1.0, "gain": 1.0}},
    "a field missing": {"class": "objectives.Rosenbrock", "fields": {"a": 1.0}},
    "a field too many": {"class": "objectives.PolyTwo", "fields": {"activation": 1.0}},
    "a text for a number": {
        "class": "objectives.Rosenbrock",
        "fields": {"dimension": 2, "a": "__import__('os')", "b": 1.0},
    },
    "a callable": {
        "class": "objectives.Function",
        "fields": {"fun": "os.system", "jac": True, "args": [], "hess": None},
    },
    "a number": 3.0,
    "a list": [[[]]],
    "no fields": {"class": "objectives.PolyTwo"},
    "a status": {"status": "HACKED"},
    "an array": {"array": "AAAA", "dtype": "O", "shape": [1]},
    "a stand-in of nothing": {"stand-in": "Popen", "fields": {"text": "x"}},
    "a stand-in of fields": {"stand-in": "Objective", "fields": {"text": 1, "dimension": "x"}},
}


@pytest.mark.parametrize("description", list(EVIL.values()), ids=list(EVIL))
def test_a_description_of_anything_else_is_refused(description):
    with pytest.raises(ValueError, match=r"."):
        rebuilt(description, Objective)


def test_fingerprints_follow_code_closures_and_fields_and_are_the_same_in_every_process():
    def made(shift, slope=2.0):
        return lambda x: slope * float(x @ x) + shift

    prints = [fingerprint(Function(f)) for f in (bowl, made(1.0), made(2.0), made(1.0, 3.0), np.sum)]
    prints += [fingerprint(PolyTwo()), fingerprint(PolyThree()), fingerprint(Tilted()), fingerprint(Tilted(0.5))]
    assert len(set(prints)) == len(prints)
    assert fingerprint(Function(made(1.0))) == prints[1]
    code = (
        "import odeopt as oo; from odeopt.results.description import fingerprint as p; "
        "from odeopt.solver import prepare; "
        "m = prepare(oo.objectives.PolyTwo(), oo.methods.lcd_gd(), [[1., 2.]], gtol=1e-6, max_steps=9).machine; "
        "print(p(m), p(lambda x: x + 1))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] != ""


# -- labels and tables


def test_datasets_are_labelled_and_any_reader_of_netcdf_sees_them(tmp_path):
    found = oo.studies.basins(PolyThree(), oo.methods.lc_gd(), box=((-3, 3), (-1, 2)), shape=(6, 4), trace=True)
    found.save(tmp_path / "a.nc")
    runs, data = found.ensemble, found.to_xarray()
    assert data["label"].dims == ("x0", "x1")
    for i in range(6):
        for j in range(4):
            cell = data.isel(x0=i, x1=j)
            np.testing.assert_array_equal([cell["x0"], cell["x1"]], runs.starts[4 * i + j])
            assert cell["label"] == found.label[i, j]
            assert cell["steps"] == runs.nit[4 * i + j]
    ends = runs.to_xarray()
    assert dict(ends.sizes) == {"start": 24, "coordinate": 2}
    for dataset in (data, ends, runs.trace.to_xarray(), runs[3].trace.to_xarray(), runs[3].to_xarray()):
        for variable in dataset.data_vars.values():
            assert variable.attrs["units"] == "1"
            assert variable.attrs["long_name"]
    np.testing.assert_array_equal(ends["V"], PolyThree().f(runs.x))
    assert runs[3].to_xarray()["fun"] == runs.fun[3]
    with xr.open_dataset(tmp_path / "a.nc") as root, xr.open_dataset(tmp_path / "a.nc", group="basins") as grid:
        xr.testing.assert_identical(root.drop_vars("run"), ends)
        xr.testing.assert_identical(grid.drop_vars("run"), data)
        about = json.loads(root["run"].item())
    assert about["environment"]["NumPy"] == np.__version__
    assert {"CPU", "cores", "system", "odeopt", "Python", "numba", "llvmlite"} < about["environment"].keys()
    assert about["limits"]["gtol"] == 1e-4
    assert about["method"]["class"] == "methods.Method"


def test_tables_have_one_line_a_start_or_a_trial():
    runs = RUNS["blocks"]()
    table = runs.to_pandas()
    assert len(table) == len(runs)
    np.testing.assert_array_equal(table["x1"], runs.x[:, 1])
    np.testing.assert_array_equal(table["z.m0"], runs.z["m"][:, 0])
    assert list(table["status"]) == [Status(s).name for s in runs.status]
    one = runs[0]
    trials = one.to_pandas()
    assert len(trials) == one.trials + 1
    np.testing.assert_array_equal(trials["h"], one.trace.h)
    np.testing.assert_array_equal(trials["accepted"], one.trace.accepted)
    np.testing.assert_array_equal(trials[["x0", "x1"]], one.trace.x)
    whole = runs.trace.to_pandas()
    assert whole.index.names == ["start", "row"]
    np.testing.assert_array_equal(whole.loc[0, "t"][: len(trials)], trials["t"])
    found = RUNS["basins"]()
    assert list(found.to_pandas()["label"]) == found.label.ravel().tolist()
    with pytest.raises(ValueError, match="trace=True"):
        oo.solve(PolyTwo(), oo.methods.gd(), [1.0, 2.0], max_steps=3).to_pandas()


# -- damaged, foreign and hostile files


def refused(path, match="."):
    with pytest.raises(ValueError, match=match) as caught:
        oo.load(path)
    assert str(path) in str(caught.value)


def sealed(path):
    """Give a file that was changed the seal of a whole one."""
    content = path.read_bytes()
    content = content[: content.rfind(storage._SEAL)] if storage._SEAL in content else content
    path.write_bytes(content + storage._SEAL + hashlib.sha256(content).hexdigest().encode() + b"\n")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.nc"
    RUNS["basins"]().save(path)
    return path


def test_a_file_that_is_cut_short_is_refused(saved):
    content = saved.read_bytes()
    ends = range(len(content) - 90, len(content))
    for length in (0, 1, 7, 8, 100, 511, 4096, *range(5000, len(content), 9973), *ends):
        saved.write_bytes(content[:length])
        refused(saved, "cut short|damaged")


def test_a_file_with_a_wrong_bit_is_refused(saved):
    content, rng = saved.read_bytes(), np.random.default_rng(0)
    for place in (*rng.integers(0, len(content), 300), len(content) - 1, len(content) - 70):
        wrong = bytearray(content)
        wrong[place] ^= 1 << int(rng.integers(8))
        saved.write_bytes(bytes(wrong))
        refused(saved, "damaged|cut short")


def test_files_of_another_origin_are_refused(tmp_path):
    foreign = tmp_path / "a.nc"
    xr.Dataset({"x": ("start", np.zeros(3))}).to_netcdf(foreign, engine="h5netcdf")
    refused(foreign, "no result saved by odeopt")
    sealed(foreign)
    refused(foreign)
    for content in (b"", b"CDF\x01", b"\x89HDF\r\n\x1a\n" + bytes(400), b"import os"):
        foreign.write_bytes(content)
        refused(foreign)
        sealed(foreign)
        refused(foreign)
    with pytest.raises(FileNotFoundError):
        oo.load(tmp_path / "none.nc")
    with pytest.raises(IsADirectoryError):
        oo.load(tmp_path)


def rewritten(file, **changes):
    """Replace entries of the JSON of the root."""
    about = json.loads(file["run"][()]) | changes
    file["run"][()] = json.dumps(about)


def replaced(file, name, array):
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = array
    for key in ("units", "long_name"):
        file[name].attrs[key] = attributes[key]


def external(file):
    del file["x"]
    file["x"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file):
    del file["x"]
    file["x"] = h5py.SoftLink("/starts")


def twice(file):
    del file["x"]
    file["x"] = file["starts"]


def within_itself(file):
    file["then"] = file["/"]


def zipped(file):
    del file["fun"]
    file.create_dataset("fun", data=np.zeros(99), compression="gzip")


def raw(file):
    del file["fun"]
    file.create_dataset("fun", (99,), "f8", external=[("/etc/passwd", 0, 792)])


def objects(file):
    del file["fun"]
    file.create_dataset("fun", (99,), h5py.string_dtype())


HOSTILE = {
    "os.system": lambda f: rewritten(f, objective=EVIL["no class"]),
    "a method of functions": lambda f: rewritten(f, method=EVIL["a function"]),
    "JSON too deep": lambda f: f["run"].__setitem__((), "[" * 100_000),
    "no JSON": lambda f: f["run"].__setitem__((), "__import__('os').system('true')"),
    "a list": lambda f: f["run"].__setitem__((), "[1]"),
    "another version": lambda f: rewritten(f, version=99),
    "another kind": lambda f: rewritten(f, kind="__class__"),
    "a solution of many": lambda f: rewritten(f, kind="Solution"),
    "options": lambda f: rewritten(f, options={"out": "/tmp/x"}),
    "limits": lambda f: rewritten(f, limits={"gtol": "1"}),
    "flags": lambda f: rewritten(f, flags=[1]),
    "backend": lambda f: rewritten(f, backend=None),
    "threads": lambda f: rewritten(f, threads=-1),
    "environment": lambda f: rewritten(f, environment={"CPU": 1}),
    "state": lambda f: rewritten(f, state=["x", "v"]),
    "another dimension": lambda f: rewritten(f, objective=describe(oo.objectives.Rosenbrock(dimension=3))),
    "status": lambda f: replaced(f, "status", np.full(99, 99)),
    "negative counts": lambda f: replaced(f, "nit", np.full(99, -1)),
    "kind of numbers": lambda f: replaced(f, "nit", np.full(99, 1.0)),
    "shape": lambda f: replaced(f, "fun", np.zeros(98)),
    "labels": lambda f: replaced(f, "basins/label", np.full((9, 11), 4)),
    "an array missing": lambda f: f.__delitem__("fun"),
    "an array too many": lambda f: f.create_dataset("more", data=np.zeros(99)),
    "no group": lambda f: f.__delitem__("basins"),
    "a link to another file": external,
    "a soft link": soft,
    "a second name": twice,
    "a group within itself": within_itself,
    "a filter": zipped,
    "another file's bytes": raw,
    "objects": objects,
    "huge": lambda f: f.create_dataset("huge", (1 << 40,), "f8", chunks=(1 << 20,)),
}


@pytest.mark.parametrize("harm", list(HOSTILE.values()), ids=list(HOSTILE))
def test_a_file_with_a_whole_seal_and_wrong_contents_is_refused(harm, saved, monkeypatch):
    monkeypatch.setattr(os, "system", lambda *a: pytest.fail("executed"))
    with h5py.File(saved, "r+") as file:
        harm(file)
    sealed(saved)
    refused(saved)


def test_a_failed_save_leaves_what_was_there(saved, monkeypatch):
    content = saved.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        RUNS["solution"]().save(saved)
    assert saved.read_bytes() == content
    assert os.listdir(saved.parent) == [saved.name]


# -- what stays in memory

MEASURED = """
    import resource, sys
    import numpy as np
    import odeopt as oo

    def peak():
        return 1024*resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    S, most = 400_000, int(sys.argv[1])
    X = np.random.default_rng(0).uniform(-3.0, 3.0, (S, 2))
    oo.solve_many(oo.objectives.PolyTwo(), oo.methods.lc_gd(), X[:20_000], max_steps=most)
    before = peak()
    end = oo.solve_many(oo.objectives.PolyTwo(), oo.methods.lc_gd(), X, max_steps=most)
    own = sum(array.nbytes for array in end.arrays().values())
    print((peak() - before - own)/S)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_the_lanes_need_little_room_beside_their_results(tmp_path):
    """At most 200 bytes a start, whatever the number of trials."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(MEASURED))
    for most in ("3", "300"):
        done = subprocess.run(
            [sys.executable, str(script), most],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
        assert float(done.stdout) < 200


def test_labels_are_the_nearest_minimum_within_the_radius():
    runs = oo.solve_many(PolyThree(), oo.methods.lc_gd(), mixed(400), max_steps=60)
    minima = np.concatenate([PolyThree().minima, [[0.0, -1.001], [np.inf, 0.0]]])
    found = oo.studies.basins.__globals__["label"](runs, minima, 0.3)
    for i, x in enumerate(runs.x):
        distances = np.linalg.norm(x - minima, axis=1)
        nearest = int(np.nanargmin(distances)) if np.isfinite(distances).any() else -1
        reached = nearest if nearest >= 0 and distances[nearest] <= 0.3 else -1
        if runs.success[i]:
            assert found[i] == reached
        else:
            assert found[i] in (-2, -3)


def test_the_problem_is_what_results_depend_on():
    def problem(objective=None, method=None, X=((1.0, 2.0),), **options):
        given = {"gtol": 1e-6, "max_steps": 10} | options
        return prepare(objective or PolyTwo(), method or oo.methods.lc_gd(), X, **given).problem

    same = problem()
    assert problem(threads=7, progress=True, backend="lanes") == same
    others = [
        problem(PolyThree()),
        problem(method=oo.methods.lc_gd(slope=0.4)),
        problem(method=oo.methods.lc_gd_then_adam()),
        problem(X=((1.0, np.nextafter(2.0, 3.0)),)),
        problem(X=((1.0, 2.0), (1.0, 2.0))),
        problem(gtol=1e-7),
        problem(max_steps=11),
        problem(t_end=1.0),
        problem(count_rises=0.1),
        problem(trace=True),
        problem(backend="numpy"),
    ]
    assert len({same, *others}) == 1 + len(others)
