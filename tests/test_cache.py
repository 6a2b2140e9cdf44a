"""The kernel cache: never stale, never in the way, whatever state its folder is in."""

import contextlib
import ctypes
import glob
import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

WORKER = """
    import json, sys, warnings
    import numpy as np
    import odeopt as oo

    class Curved(oo.Landscape):
        def value(self, x, y):
            return {constant}*np.exp(0.5*x*x) + np.log(1.0 + y*y) + x*y

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        X = np.random.default_rng(0).uniform(-1.0, 1.0, (70, 2))
        end = oo.solve_many(Curved(), oo.methods.lc_gd(), X, max_steps=5, gtol=0.0)
        second = oo.solve_many(Curved(), oo.methods.gd(lr=0.05), X, max_steps=5, gtol=0.0) if {both} else end
    print(json.dumps(dict(backend=end.backend, x=end.x.tolist(), second=second.x.tolist(),
                          sympy="sympy" in sys.modules,
                          numba="numba" in sys.modules,
                          warnings=[w.category.__name__ + ": " + str(w.message) for w in caught])))
"""


def worker(tmp_path, constant=1.0, both=False):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(WORKER).replace("{constant}", repr(constant)).replace("{both}", str(both))
    )
    return script


def start(script, cache, preexec_fn=None, **variables):
    environment = os.environ | variables | {
        "ODEOPT_CACHE_DIR": str(cache),
        "PYTHONPATH": os.getcwd(),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=preexec_fn,
    )


def finish(process):
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors[-3000:]
    result = json.loads(out.splitlines()[-1])
    assert result["backend"] == "lanes"
    return result


def run(script, cache, **options):
    with start(script, cache, **options) as process:
        return finish(process)


def expected(constant=1.0, lr=None):
    """The same five steps, written out: LC on f, or gradient descent."""
    X = np.random.default_rng(0).uniform(-1.0, 1.0, (70, 2))

    def f(x):
        return constant * np.exp(0.5 * x[0] ** 2) + np.log(1.0 + x[1] ** 2) + x[0] * x[1]

    def g(x):
        return np.array(
            [constant * x[0] * np.exp(0.5 * x[0] ** 2) + x[1], 2 * x[1] / (1.0 + x[1] ** 2) + x[0]]
        )

    ends = []
    with np.errstate(over="ignore"):
        for x in X:
            h = 0.1
            for _ in range(5):
                if lr is not None:
                    x = x - lr * g(x)
                    continue
                while not f(x - h * g(x)) - f(x) <= -0.5 * h * (g(x) @ g(x)):
                    h = h / 2.0
                x, h = x - h * g(x), h * 1e4
            ends.append(x)
    return np.array(ends)


def assert_right(result, constant=1.0):
    np.testing.assert_allclose(result["x"], expected(constant), rtol=1e-8, atol=1e-10)


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A folder with the worker's kernels and derivations, and the worker."""
    folder = tmp_path_factory.mktemp("warm")
    script = worker(folder)
    result = run(script, folder / "cache")
    assert_right(result)
    assert result["warnings"] == []
    assert result["numba"]
    return folder, script


def copied(warm, tmp_path):
    """A copy of the warm cache."""
    return shutil.copytree(warm[0] / "cache", tmp_path / "cache")


def files(cache, ending):
    return sorted(glob.glob(os.path.join(glob.escape(str(cache)), "**", f"*{ending}"), recursive=True))


def test_a_second_process_derives_and_compiles_nothing(warm, tmp_path):
    result = run(warm[1], copied(warm, tmp_path))
    assert_right(result)
    assert not result["sympy"]
    assert not result["numba"]
    assert result["warnings"] == []


def test_an_edited_formula_gives_the_new_result(warm, tmp_path):
    """The same file, class and line, with another constant in the text; and back again."""
    cache = copied(warm, tmp_path)
    assert_right(run(worker(tmp_path, 3.5), cache), 3.5)
    assert_right(run(worker(tmp_path, 3.25), cache), 3.25)
    back = run(worker(tmp_path, 1.0), cache)
    assert_right(back)
    assert not back["numba"]
    assert np.abs(expected(3.5) - expected(3.25)).max() > 1e-3


def test_the_folder_is_private_to_the_user(warm):
    folders = [os.path.dirname(path) for path in files(warm[0] / "cache", ".kernel")]
    assert folders
    for folder in folders:
        assert stat.S_IMODE(os.stat(folder).st_mode) & 0o077 == 0


def test_two_processes_may_begin_with_an_empty_cache_at_once(tmp_path):
    script, cache = worker(tmp_path), tmp_path / "cache"
    with start(script, cache) as one, start(script, cache) as two:
        for result in map(finish, (one, two)):
            assert_right(result)
            assert result["warnings"] == []
    later = run(script, cache)
    assert_right(later)
    assert not later["sympy"]


KERNEL = """
import math

from numba import cfunc, njit


@njit("float64(float64)", forceinline=True)
def inner(x):
    return math.sin(x) + 1.0


@cfunc("float64(float64)")
def f(x):
    return 3.0*inner(x)


@cfunc("float64(float64)")
def g(x):
    return 2.0*x - 1.0
"""
SMALL = """
    import ctypes, glob, math, os, random, sys, warnings
    from odeopt.compile import cache

    warnings.simplefilter("error")
    compilations = []
    compiled = cache._compiled
    cache._compiled = lambda text, path, *rest: compilations.append(path) or compiled(text, path, *rest)

    def loaded():       # anew, as in another process; whether it was compiled
        cache._loaded.clear()
        compilations.clear()
        kernel = cache.load_kernel(KERNEL)
        f, g = (ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(c.address) for c in (kernel.f, kernel.g))
        assert (f(0.5), g(2.0)) == (3.0*(math.sin(0.5) + 1.0), 3.0)
        return len(compilations)
"""


def small(tmp_path, cache, more, **options):
    script = tmp_path / "small.py"
    script.write_text(f"KERNEL = {KERNEL!r}\n" + textwrap.dedent(SMALL) + textwrap.dedent(more))
    return start(script, cache, **options)


def test_eight_processes_may_compile_the_same_kernel_at_once(tmp_path):
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(small(tmp_path, tmp_path / "cache", "print(loaded(), loaded())"))
            for _ in range(8)
        ]
        for process in running:
            out, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors[-3000:]
            assert len(out.split()) == 2
    with small(tmp_path, tmp_path / "cache", "print(loaded(), 'numba' in sys.modules)") as last:
        assert last.communicate(timeout=200)[0].split() == ["0", "False"]


# -- folders that cannot be written


def as_ordinary_user():
    """In the child: without root's right to write where permissions forbid it."""
    if os.geteuid() == 0:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture
def forbidden(warm, tmp_path):
    """A copy of the warm cache, and an empty one, in which nothing can be written."""
    cache, empty = copied(warm, tmp_path), tmp_path / "empty"
    empty.mkdir()
    folders = [path for path, _, _ in os.walk(cache)] + [str(empty)]
    for folder in folders:
        os.chmod(folder, 0o555)
    trial = subprocess.run(
        [sys.executable, "-c", "import sys; open(sys.argv[1] + '/x', 'w')", str(empty)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_ordinary_user,
        check=False,
    )
    yield cache, empty
    for folder in folders:
        os.chmod(folder, 0o755)
    assert "PermissionError" in trial.stderr  # or the tests that used this have shown nothing


def one_warning(result):
    assert len(result["warnings"]) == 1
    assert result["warnings"][0].startswith("RuntimeWarning: kernel cache ")
    assert "ODEOPT_CACHE_DIR" in result["warnings"][0]


def test_a_read_only_cache_is_read(forbidden, warm):
    """What it holds is not derived or compiled again."""
    result = run(warm[1], forbidden[0], preexec_fn=as_ordinary_user)
    assert_right(result)
    assert result["warnings"] == []
    assert not result["sympy"]
    assert not result["numba"]


def test_a_cache_that_cannot_be_written_warns_once(forbidden, tmp_path):
    result = run(worker(tmp_path, both=True), forbidden[1], preexec_fn=as_ordinary_user)
    assert_right(result)
    np.testing.assert_allclose(result["second"], expected(lr=0.05), rtol=1e-12)
    one_warning(result)
    assert os.listdir(forbidden[1]) == []


def test_a_file_in_the_place_of_the_folder_is_no_folder(warm, tmp_path):
    place = tmp_path / "cache"
    place.write_text("not a folder\n")
    result = run(warm[1], place)
    assert_right(result)
    one_warning(result)
    assert place.read_text() == "not a folder\n"


# -- files that are not what was written

DAMAGE = """
    rng = random.Random(0)

    def foreign(data):
        return bytes(range(256))*4

    def garbled(data):
        where, length = rng.randrange(len(data)), rng.choice([1, 4, 40])
        changed = bytes(255 - byte for byte in data[where:where + length])
        return data[:where] + changed + data[where + length:]

    def cut(data):
        return data[:rng.randrange(len(data))]

    assert loaded() == 1
    path, = glob.glob(os.path.join(cache.kernel_folder(), "*.kernel"))
    for damage in (foreign, cut, cut, *[garbled]*20):
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(damage(data))
        assert loaded() == 1, damage
        assert loaded() == 0, damage                        # all is whole again
    print("survived")
"""


def test_damaged_kernels_are_compiled_anew(tmp_path):
    """Cut, overwritten, or some bytes changed anywhere: LLVM would abort, or worse run it."""
    with small(tmp_path, tmp_path / "cache", DAMAGE) as process:
        out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors[-3000:]
    assert out == "survived\n"


@pytest.mark.parametrize("ending", [".kernel", ".txt"])
def test_a_run_survives_a_damaged_cache(warm, tmp_path, ending):
    cache = copied(warm, tmp_path)
    damaged = files(cache, ending)
    assert damaged
    for path in damaged:
        with open(path, "rb+") as file:
            data = file.read()
            file.seek(len(data) // 2)
            file.write(bytes(255 - byte for byte in data[len(data) // 2 : len(data) // 2 + 20]))
    result = run(warm[1], cache)
    assert_right(result)
    assert result["warnings"] == []


def test_derivations_are_kept_whole_or_not_at_all(tmp_path, monkeypatch):
    from odeopt.compile import cache

    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path / "new"))
    assert cache.root() == str(tmp_path / "new")
    assert cache.recall("derived/a.txt") is None
    text = "def f(x):\n    return 2.0*x\n"
    cache.remember("derived/a.txt", text)
    assert cache.recall("derived/a.txt") == text
    path = tmp_path / "new" / "derived" / "a.txt"
    whole = path.read_bytes()
    for k in range(len(whole)):
        path.write_bytes(whole[:k])
        assert cache.recall("derived/a.txt") is None
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])
        assert cache.recall("derived/a.txt") in (None, text)
    path.write_bytes(b"\xff\xfe\x00")
    assert cache.recall("derived/a.txt") is None


def test_the_user_cache_folder_is_the_default(tmp_path, monkeypatch):
    from odeopt.compile import cache

    monkeypatch.delenv("ODEOPT_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.root() == str(tmp_path / "odeopt")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.root() == str(tmp_path / ".cache" / "odeopt")
    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path / "own"))
    assert os.path.dirname(cache.kernel_folder()) == str(tmp_path / "own")


def test_kernels_are_named_by_their_text_and_loaded_once(tmp_path, monkeypatch):
    from odeopt.compile import cache

    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path))
    one = cache.load_kernel(KERNEL)
    other = KERNEL.replace("2.0*x", "4.0*x")
    assert cache.load_kernel(other).g.address != one.g.address
    assert cache.load_kernel(KERNEL) is one
    names = {os.path.basename(path) for path in files(tmp_path, ".kernel")}
    assert f"{cache.digest(other)[:32]}.kernel" in names


def test_kernels_compile_where_numba_is_told_not_to(tmp_path):
    """NUMBA_DISABLE_JIT is for debugging functions of one's own: Python cannot run the text of a kernel."""
    result = run(worker(tmp_path), tmp_path / "cache", NUMBA_DISABLE_JIT="1")
    assert_right(result)
    assert result["warnings"] == []


def test_a_kernel_that_needs_numba_to_run_is_refused(tmp_path, monkeypatch):
    from odeopt.compile import cache

    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"function f calls numba's numba_gil_ensure.*forceinline"):
        cache.load_kernel(KERNEL.replace(", forceinline=True", ""))
    assert files(tmp_path, ".kernel") == []


def test_functions_of_ones_own_compile_before_and_after_a_kernel(tmp_path, monkeypatch):
    """Kernels are compiled to object files by numba's own context, which compiles everybody's functions to memory."""
    import numba

    from odeopt.compile import cache

    def clipped(a, n):
        total = 0.0
        for k in range(0, n, 3):
            total += min(max(a[k % a.size], 0.5), abs(a[0])) + np.exp(-a[k % a.size])
        return total + np.sort(a)[-1]

    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path))
    a = np.random.default_rng(0).normal(size=7)
    before = numba.njit(clipped)
    assert before(a, 20) == pytest.approx(clipped(a, 20), rel=1e-14)
    cache.load_kernel(KERNEL.replace("2.0*x", "5.0*x"))
    with pytest.raises(RuntimeError):
        cache.load_kernel(KERNEL.replace(", forceinline=True", ""))
    assert numba.njit(clipped)(a, 20) == before(a, 20)
    assert numba.njit(clipped)(a.astype(np.float32), 20) == pytest.approx(clipped(a, 20), rel=1e-5)
