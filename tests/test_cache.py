"""The kernel cache: never stale, never in the way, whatever state its folder is in."""

import contextlib
import ctypes
import glob
import json
import os
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
    modules = [m for name, m in sys.modules.items() if name.startswith("odeopt_kernel_")]
    loaded = [f for m in modules for f in vars(m).values() if hasattr(f, "cache_hits") or hasattr(f, "stats")]
    hits = [f.cache_hits if hasattr(f, "cache_hits") else sum(f.stats.cache_hits.values()) for f in loaded if
            hasattr(f, "cache_hits") or f.stats.cache_path and f.signatures]
    print(json.dumps(dict(backend=end.backend, x=end.x.tolist(), second=second.x.tolist(), sympy="sympy" in sys.modules,
                          warnings=[w.category.__name__ + ": " + str(w.message) for w in caught], hits=hits,
                          kernels=len(modules))))
"""


def worker(tmp_path, constant=1.0, both=False):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(WORKER).replace("{constant}", repr(constant)).replace("{both}", str(both)))
    return script


def start(script, cache, **options):
    environment = os.environ | {"ODEOPT_CACHE_DIR": str(cache), "PYTHONPATH": os.getcwd(), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                            **options)


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
        return constant*np.exp(0.5*x[0]**2) + np.log(1.0 + x[1]**2) + x[0]*x[1]

    def g(x):
        return np.array([constant*x[0]*np.exp(0.5*x[0]**2) + x[1], 2*x[1]/(1.0 + x[1]**2) + x[0]])
    ends = []
    with np.errstate(over="ignore"):
        for x in X:
            h = 0.1
            for _ in range(5):
                if lr is not None:
                    x = x - lr*g(x)
                    continue
                while not f(x - h*g(x)) - f(x) <= -0.5*h*(g(x) @ g(x)):
                    h = h/2.0
                x, h = x - h*g(x), h*1e4
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
    assert result["sympy"]
    assert result["kernels"] >= 1
    assert not any(result["hits"])
    return folder, script


def copied(warm, tmp_path):
    """A copy of the warm cache whose files keep their times, as numba's index needs them."""
    import shutil
    return shutil.copytree(warm[0] / "cache", tmp_path / "cache", copy_function=shutil.copy2)


def files(cache, ending):
    return sorted(glob.glob(os.path.join(glob.escape(str(cache)), "**", f"*{ending}"), recursive=True))


def test_a_second_process_derives_and_compiles_nothing(warm, tmp_path):
    result = run(warm[1], copied(warm, tmp_path))
    assert_right(result)
    assert not result["sympy"]
    assert result["hits"]
    assert all(hits > 0 for hits in result["hits"])
    assert result["warnings"] == []


def test_an_edited_formula_gives_the_new_result(warm, tmp_path):
    """The same file, class and line, with another constant in the text; and back again."""
    cache = copied(warm, tmp_path)
    assert_right(run(worker(tmp_path, 3.5), cache), 3.5)
    assert_right(run(worker(tmp_path, 3.25), cache), 3.25)
    back = run(worker(tmp_path, 1.0), cache)
    assert_right(back)
    assert all(hits > 0 for hits in back["hits"])
    assert np.abs(expected(3.5) - expected(3.25)).max() > 1e-3


def test_the_folder_is_private_to_the_user(warm):
    folders = [os.path.dirname(path) for path in files(warm[0] / "cache", ".py")]
    assert folders
    for folder in folders:
        assert stat.S_IMODE(os.stat(folder).st_mode) & 0o077 == 0


@pytest.mark.parametrize("processes", [2, 8])
def test_processes_may_begin_with_an_empty_cache_at_once(processes, tmp_path):
    script, cache = worker(tmp_path), tmp_path / "cache"
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(start(script, cache)) for _ in range(processes)]
        for result in map(finish, running):
            assert_right(result)
            assert result["warnings"] == []
    later = run(script, cache)
    assert_right(later)
    assert not later["sympy"]


# -- folders that cannot be written

def as_ordinary_user():
    """In the child: without root's right to write where permissions forbid it."""
    if os.geteuid() == 0:
        for capability in (1, 2):                           # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)        # PR_CAPBSET_DROP


@pytest.fixture
def forbidden(warm, tmp_path):
    """A copy of the warm cache, and an empty one, in which nothing can be written."""
    cache, empty = copied(warm, tmp_path), tmp_path / "empty"
    empty.mkdir()
    folders = [path for path, _, _ in os.walk(cache)] + [str(empty)]
    for folder in folders:
        os.chmod(folder, 0o555)
    trial = subprocess.run([sys.executable, "-c", "import sys; open(sys.argv[1] + '/x', 'w')", str(empty)], stderr=subprocess.PIPE,
                           text=True, preexec_fn=as_ordinary_user, check=False)
    yield cache, empty
    for folder in folders:
        os.chmod(folder, 0o755)
    assert "PermissionError" in trial.stderr                # or the tests that used this have shown nothing


def one_warning(result):
    assert len(result["warnings"]) == 1
    assert result["warnings"][0].startswith("RuntimeWarning: kernel cache ")
    assert "ODEOPT_CACHE_DIR" in result["warnings"][0]


def test_a_read_only_cache_is_read(forbidden, warm):
    """What it holds is not derived or compiled again, and one warning says why nothing is kept."""
    result = run(warm[1], forbidden[0], preexec_fn=as_ordinary_user)
    assert_right(result)
    one_warning(result)
    assert not result["sympy"]
    assert all(hits > 0 for hits in result["hits"])


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

def cut(data):
    return data[:len(data)//2]


def garble(data):
    """A few bytes changed in the middle, the length and both ends kept."""
    middle = len(data)//2
    return data[:middle - 20] + bytes(255 - byte for byte in data[middle - 20:middle + 20]) + data[middle + 20:]


def foreign(data):
    return bytes(range(256))*4


@pytest.mark.parametrize("ending", [".py", ".nbi", ".nbc", ".txt"])
@pytest.mark.parametrize("damage", [cut, garble, foreign, lambda data: b""], ids=["cut", "garbled", "foreign", "empty"])
def test_damaged_files_are_made_anew(warm, tmp_path, ending, damage):
    cache = copied(warm, tmp_path)
    damaged = files(cache, ending)
    assert damaged
    for path in damaged:
        times = os.stat(path)
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(damage(data))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    result = run(warm[1], cache)
    assert_right(result)
    assert result["warnings"] == []
    for path in damaged:                                    # and made whole
        with open(path, "rb") as file:
            assert file.read() != b""


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
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1:])
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


def test_kernels_are_named_by_their_text_and_loaded_once():
    from odeopt.compile import cache
    one, two = cache.load_kernel("x = 1\n"), cache.load_kernel("x = 2\n")
    assert (one.x, two.x) == (1, 2)
    assert cache.load_kernel("x = 1\n") is one
    assert one.__name__ != two.__name__
    assert cache.digest("x = 1\n")[:32] in one.__name__
