"""Interrupts, children, full disks and damaged caches: what has ended is kept, and nothing hangs."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import odeopt as oo
from odeopt.objectives import PolyTwo
from odeopt.status import Status

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX processes")

HEAD = """
    import multiprocessing, os, signal, sys, threading, time, warnings
    import numpy as np
    import odeopt as oo
    from odeopt.objectives import Function, PolyTwo

    X = np.random.default_rng(0).uniform(-1.0, 1.0, (300, 2))

    def ends(backend="lanes"):
        return oo.solve_many(PolyTwo(), oo.methods.lc_gd(), X, max_steps=20, gtol=0.0, backend=backend)

    def bits(end=None):
        end = ends() if end is None else end
        return end.x.tobytes() + end.status.tobytes() + end.trials.tobytes()
"""


def child(tmp_path, body, *arguments, **variables):
    """What a script printed; it may take a minute, and leaves no error behind."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(HEAD) + textwrap.dedent(body))
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.getcwd()} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def printed(tmp_path, body, *arguments, **variables):
    done = child(tmp_path, body, *arguments, **variables)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


# -- Ctrl-C: a signal from outside, in each backend

INTERRUPT = """
    import odeopt.results.storage                           # which takes long to import the first time

    if __name__ == "__main__":
        backend, out = sys.argv[1:3]
        S = {"lanes": 3000, "vector": 40, "numpy": 40}[backend]
        starts = np.full((S, 2), 0.3)
        starts[:4] = [2.0, -1.0]                            # at a minimum: they end as they begin
        if backend == "lanes":
            objective = PolyTwo()
        else:
            objective = Function(PolyTwo().f, PolyTwo().gradient)
        method = oo.methods.gd(1e-9)
        oo.solve_many(objective, method, starts[:2], max_steps=3, backend=backend)      # compiled before the clock runs
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            end = oo.solve_many(objective, method, starts, max_steps=10**12, backend=backend, threads=2,
                                out=out or None)
        assert time.perf_counter() - began < 20
        assert np.array_equal(end.x[:4], starts[:4]), end.x[:4]
        print(end.counts(), len(caught), "INTERRUPTED" in str(caught[0].message), np.isfinite(end.fun[:4]).all())
"""


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("backend", ["lanes", "vector", "numpy"])
def test_ctrl_c_returns_what_has_ended(backend, kept, tmp_path):
    out = tmp_path / "a.nc" if kept else ""
    S = {"lanes": 3000, "vector": 40, "numpy": 40}[backend]
    told = printed(tmp_path, INTERRUPT, backend, out)
    assert told == f"{{'INTERRUPTED': {S - 4}, 'CONVERGED': 4}} 1 True True"
    assert os.path.exists(f"{out}.part") == kept
    assert not (kept and os.path.exists(out))


COMPILING = """
    from odeopt.compile import cache

    compiled, pressed = cache._compiled, []

    def interrupted(*arguments):
        if not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)
        return compiled(*arguments)

    cache._compiled = interrupted
    try:
        ends()
    except KeyboardInterrupt:
        print("interrupted", [f for _, _, fs in os.walk(sys.argv[1]) for f in fs if f.endswith(".kernel")])
    print(ends().counts())
"""


def test_ctrl_c_while_compiling_leaves_nothing_half_done(tmp_path):
    told = printed(tmp_path, COMPILING, tmp_path / "cache", ODEOPT_CACHE_DIR=str(tmp_path / "cache"))
    assert told.splitlines()[0] == "interrupted []"
    assert told.splitlines()[1].startswith("{")


# -- children

CHILDREN = """
    def send(queue):
        queue.put(bits())

    if __name__ == "__main__":
        mine = bits()                                       # threads have run and kernels are loaded
        context = multiprocessing.get_context(sys.argv[1])
        queue = context.Queue()
        children = [context.Process(target=send, args=(queue,)) for _ in range(3)]
        for each in children:
            each.start()
        same = [queue.get(timeout=40) == mine for _ in children]
        for each in children:
            each.join(20)
        print(same, [each.exitcode for each in children], bits() == mine)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_children_run_lanes_to_the_same_bits(way, tmp_path):
    assert printed(tmp_path, CHILDREN, way) == "[True, True, True] [0, 0, 0] True"


FORK = """
    mine = bits()
    if (pid := os.fork()) == 0:
        os._exit(0 if bits() == mine else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), bits() == mine)
"""


def test_a_forked_child_runs_lanes(tmp_path):
    assert printed(tmp_path, FORK) == "0 True"


def test_lanes_run_where_numba_may_not_compile(tmp_path):
    assert printed(tmp_path, "print(ends().counts())", NUMBA_DISABLE_JIT="1") == "{'MAX_STEPS': 300}"


# -- disks

DISK = """
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end = ends()
    print(end.counts(), [str(w.message).partition(" (")[0] for w in caught])
    try:
        end.save(sys.argv[2])
    except OSError as error:
        print("OSError", os.path.exists(sys.argv[2]))
"""


@pytest.mark.parametrize("size", [0, 4096])
def test_a_full_disk_costs_the_cache_and_the_file_not_the_result(size, tmp_path):
    cache = tmp_path / "cache"
    told = printed(tmp_path, DISK, size, tmp_path / "a.nc", ODEOPT_CACHE_DIR=str(cache)).splitlines()
    assert told[0] == f"{{'MAX_STEPS': 300}} ['kernel cache {cache} cannot be written']"
    assert told[1] == "OSError False"
    left = [name for _, _, names in os.walk(cache) for name in names if name.endswith(".kernel")]
    assert left == []


@pytest.mark.parametrize("name", ["NUMBA_CPU_NAME", "NUMBA_OPT", "NUMBA_ENABLE_AVX"])
def test_machine_code_of_another_kind_is_in_another_folder(name, monkeypatch):
    """It is neither run nor overwritten."""
    from odeopt.compile import cache

    before = cache._machine.__wrapped__()
    monkeypatch.setenv(name, "0")
    assert cache._machine.__wrapped__() != before


# -- files of results

FOREIGN = {
    "empty": b"",
    "text": b"x,y\n1,2\n",
    "pickle": b"\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "zip": b"PK\x03\x04" + bytes(60),
    "HDF5 without a body": b"\x89HDF\r\n\x1a\n" + bytes(200),
    "a seal alone": b"\nodeopt sha256 " + b"0" * 64 + b"\n",
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("way", ["load", "out"])
def test_files_of_another_origin_are_refused_and_left_alone(case, way, tmp_path):
    path = tmp_path / "a.nc"
    path.write_bytes(FOREIGN[case])
    with pytest.raises(ValueError, match=r"no result|damaged|does not hold") as caught:
        if way == "load":
            oo.load(path)
        else:
            oo.solve_many(PolyTwo(), oo.methods.gd(), [[0.1, 0.2]], max_steps=3, backend="numpy", out=path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == FOREIGN[case]


@pytest.mark.parametrize(
    ("name", "value"), [("objective", 3), ("objective", PolyTwo), ("method", "gd"), ("method", 1.0)]
)
def test_what_takes_the_place_of_a_files_formulas(name, value, tmp_path):
    end = oo.solve(PolyTwo(), oo.methods.gd(), [0.1, 0.2], max_steps=3, backend="numpy")
    end.save(tmp_path / "a.nc")
    with pytest.raises(TypeError, match=f"`{name}` must be"):
        oo.load(tmp_path / "a.nc", **{name: value})


def test_a_file_in_the_place_of_a_folder_is_no_place_for_a_result(tmp_path):
    (tmp_path / "file").write_text("mine")
    end = oo.solve(PolyTwo(), oo.methods.gd(), [0.1, 0.2], max_steps=3, backend="numpy")
    for path in (tmp_path / "file" / "a.nc", tmp_path / "none" / "a.nc", tmp_path):
        with pytest.raises(OSError, match=r"."):
            end.save(path)
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
    assert end.status == Status.MAX_STEPS
    assert np.isfinite(end.x).all()


def test_a_signal_that_is_no_interrupt_ends_a_run(tmp_path):
    """SIGTERM keeps its meaning: a run in the lanes holds no process back."""
    body = """
        starts = np.full((3000, 2), 0.3)
        threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGTERM)).start()
        oo.solve_many(PolyTwo(), oo.methods.gd(1e-9), starts, max_steps=10**12)
    """
    assert child(tmp_path, body).returncode == -signal.SIGTERM
