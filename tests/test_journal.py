"""Runs that are killed, interrupted or out of room go on from their journal, to the same bits."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import odeopt as oo
from odeopt import Status
from odeopt.backends import lanes as solving
from odeopt.objectives import Function, PolyThree, PolyTwo
from odeopt.results import journal


def starts(S):
    return np.random.default_rng(0).uniform(-3.0, 3.0, (S, 2))


CASES = {
    "lanes": (PolyThree(), oo.methods.lcd_gd(), starts(3000), {"max_steps": 60}),
    "lanes, then": (
        PolyThree(),
        oo.methods.lc_gd_then_adam(),
        starts(2000),
        {"gtol": 1e-13, "max_steps": 300},
    ),
    "numpy": (
        PolyTwo(),
        oo.methods.lc_momentum(),
        starts(24),
        {"backend": "numpy", "max_steps": 4, "count_rises": 0.0},
    ),
    "numpy, then": (
        PolyThree(),
        oo.methods.lc_gd_then_adam(),
        starts(7),
        {"gtol": 1e-13, "max_steps": 60, "backend": "numpy"},
    ),
}


def run(case, **options):
    objective, method, X, given = CASES[case]
    return oo.solve_many(objective, method, X, **given, **options)


def assert_same_bits(one, two):
    arrays, others = one.arrays(), two.arrays()
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        if name == "seconds":
            continue
        kept, other = (np.where(np.isnan(a), np.nan, a) for a in (array, others[name]))
        assert kept.tobytes() == other.tobytes(), name
    assert (one.then is None) == (two.then is None)
    if one.then is not None:
        assert_same_bits(one.then, two.then)


class Cut(BaseException):
    """Stands for a death between two records."""


def cut_after(records, monkeypatch):
    """Let a run die when it has written so many records."""
    write, written = journal.Journal._append, []

    def dying(self, record):
        if len(written) == records:
            raise Cut
        written.append(record)
        write(self, record)

    monkeypatch.setattr(journal.Journal, "_append", dying)


@pytest.fixture
def restored(monkeypatch):
    """How many runs each journal gave back."""
    counts, restore = [], journal.Journal.restore

    def counted(self, records):
        done = restore(self, records)
        counts.append(int(done.sum()))
        return done

    monkeypatch.setattr(journal.Journal, "restore", counted)
    return counts


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("records", [0, 1, 5])
def test_a_run_that_died_goes_on_to_the_same_bits(case, records, tmp_path, monkeypatch, restored):
    monkeypatch.setattr(solving, "CHUNK", 100)
    whole, out = run(case), tmp_path / "a.nc"
    assert (whole.then is not None) == ("then" in case)
    with monkeypatch.context() as patch:
        cut_after(records, patch)
        with pytest.raises(Cut):
            run(case, out=out)
    left = sorted(os.listdir(tmp_path))
    assert left == (["a.nc.part"] if len(left) == 1 else ["a.nc.part", "a.nc.part.then"])
    assert_same_bits(run(case, out=out, threads=1), whole)
    assert sum(restored) >= records
    assert os.listdir(tmp_path) == ["a.nc"]
    assert_same_bits(oo.load(out), whole)


def test_a_finished_file_is_loaded_and_nothing_runs(tmp_path):
    calls = []

    def bowl(x):
        calls.append(x)
        return float(x @ x)

    def solved(slope=0.5, **options):
        function = Function(counted, lambda x: 2.0 * x)
        return oo.solve_many(function, oo.methods.lc_gd(slope=slope), starts(4), out=tmp_path / "a.nc", **options)

    counted = Switched(bowl)
    first = solved()
    ran = len(calls)
    assert ran > 4
    (tmp_path / "a.nc.part").write_bytes(b"")               # killed between the file and the end of its journal
    again = solved(threads=1, progress=True)
    assert len(calls) == ran
    assert_same_bits(again, first)
    assert again.objective.fun is counted
    assert first.path is None
    assert again.path == str(tmp_path / "a.nc")
    assert "loaded from" in repr(again)
    assert os.listdir(tmp_path) == ["a.nc"]
    for changed in ({"slope": 0.4}, {"gtol": 1e-3}):
        with pytest.raises(FileExistsError, match="choose another `out`"):
            solved(**changed)
    (tmp_path / "a.nc").write_bytes(b"notes")
    with pytest.raises(ValueError, match="no result saved by odeopt"):
        solved()
    assert (tmp_path / "a.nc").read_bytes() == b"notes"


def test_basins_and_single_runs_go_into_files_too(tmp_path, monkeypatch, restored):
    def found(**options):
        return oo.studies.basins(PolyThree(), oo.methods.lc_gd(), shape=(30, 40), max_steps=60, **options)

    monkeypatch.setattr(solving, "CHUNK", 100)
    out, whole = tmp_path / "a.nc", found()
    with monkeypatch.context() as patch:
        cut_after(3, patch)
        with pytest.raises(Cut):
            found(out=out)
    for basins in (found(out=out), found(out=out), oo.load(out)):
        assert_same_bits(basins.ensemble, whole.ensemble)
        np.testing.assert_array_equal(basins.label, whole.label)
    assert restored[-1] > 0
    with pytest.raises(FileExistsError):
        found(out=out, minima=[[0.0, -1.0]])
    with pytest.raises(FileExistsError):                    # the same runs, but no basins
        oo.solve_many(PolyThree(), oo.methods.lc_gd(), whole.ensemble.starts, **whole.ensemble.options, out=out)
    one = oo.solve(PolyThree(), oo.methods.lc_gd(), [0.4, -0.7], trace=True, out=tmp_path / "b.nc")
    back = oo.solve(PolyThree(), oo.methods.lc_gd(), [0.4, -0.7], trace=True, out=tmp_path / "b.nc")
    np.testing.assert_array_equal(back.trace.x, one.trace.x)
    assert sorted(os.listdir(tmp_path)) == ["a.nc", "b.nc"]


# -- journals that are torn, foreign or taken


@pytest.fixture
def part(tmp_path, monkeypatch):
    """The journal of a run that died."""
    with monkeypatch.context() as patch:
        cut_after(20, patch)
        with pytest.raises(Cut):
            run("numpy", out=tmp_path / "a.nc")
    return tmp_path / "a.nc.part"


def test_a_torn_tail_is_cut_off(part, restored):
    content, whole = part.read_bytes(), run("numpy")
    head = content.index(b"\n") + 1
    size = (len(content) - head) // 20
    for length in (0, 10, head - 1, head, head + 1, head + size - 1, head + 3 * size, len(content) - 1):
        part.write_bytes(content[:length])
        assert_same_bits(run("numpy", out=part.with_suffix("")), whole)
        assert restored[-1] == max(0, (length - head) // size)
        part.with_suffix("").unlink()
    rng = np.random.default_rng(0)
    for place in (*rng.integers(head, len(content), 12), head, head + 7):
        wrong = bytearray(content)
        wrong[place] ^= 1 << int(rng.integers(8))
        part.write_bytes(bytes(wrong))
        assert_same_bits(run("numpy", out=part.with_suffix("")), whole)
        assert restored[-1] == (place - head) // size
        part.with_suffix("").unlink()


def test_the_journal_of_another_problem_is_refused_and_kept(part):
    objective, method, X, given = CASES["numpy"]
    content, out = part.read_bytes(), part.with_suffix("")
    moved = X.copy()
    moved[0, 0] += 1e-9
    for others in ((PolyThree(), method, X), (objective, oo.methods.lc_gd(), X), (objective, method, moved)):
        with pytest.raises(FileExistsError, match=r"a.nc.part is the journal of another problem.*delete it"):
            oo.solve_many(*others, **given, out=out)
    with pytest.raises(FileExistsError, match="another problem"):
        oo.solve_many(objective, method, X, **given | {"max_steps": 7}, out=out)
    header, _, rest = content.partition(b"\n")
    about = json.loads(header)
    about["environment"]["numba"] = "0.1"
    part.write_bytes(json.dumps(about).encode() + b"\n" + rest)
    with pytest.raises(FileExistsError, match=r"numba '0.1' then"):
        run("numpy", out=out)
    for foreign in (b"x", b"\n" * 400, b'{"format": 3}\n', b"[" * 70_000, bytes(70_000)):
        part.write_bytes(foreign)
        with pytest.raises(ValueError, match=r"a.nc.part is no journal.*delete it"):
            run("numpy", out=out)
        assert part.read_bytes() == foreign


def test_two_runs_do_not_write_one_journal(part):
    pytest.importorskip("fcntl")
    import fcntl

    with open(part, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process is writing the journal"):
            run("numpy", out=part.with_suffix(""))


# -- kills and interrupts

KILLED = """
    import os, sys
    import numpy as np
    import odeopt as oo

    from odeopt.backends import lanes as solving
    solving.CHUNK = 100
    X = np.random.default_rng(0).uniform(-3.0, 3.0, (6000, 2))
    oo.solve_many(oo.objectives.PolyTwo(), oo.methods.gd(1e-3), X, gtol=1e-9, max_steps=40_000, threads=2,
                  out=sys.argv[1])
"""


def test_a_killed_process_goes_on_to_the_same_bits(tmp_path, restored):
    script, out = tmp_path / "script.py", tmp_path / "a.nc"
    script.write_text(textwrap.dedent(KILLED))
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    with subprocess.Popen([sys.executable, str(script), str(out)], env=environment) as process:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            if os.path.exists(f"{out}.part") and os.path.getsize(f"{out}.part") > 100_000:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    X = np.random.default_rng(0).uniform(-3.0, 3.0, (6000, 2))

    def solved(**options):
        return oo.solve_many(PolyTwo(), oo.methods.gd(1e-3), X, gtol=1e-9, max_steps=40_000, **options)

    assert_same_bits(solved(out=out), solved())
    assert 0 < restored[0] < 6000


SUICIDE = """
    import os, signal, sys
    import numpy as np
    import odeopt as oo

    calls = 0

    def bowl(x):
        global calls
        calls += 1
        if os.environ["DIE"] == "yes" and x[0] == 7.0:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(x @ x)

    X = np.stack([np.arange(1.0, 13.0), np.ones(12)], axis=1)
    end = oo.solve_many(oo.objectives.Function(bowl, lambda x: 2*x), oo.methods.lc_gd(), X, out=sys.argv[1])
    print(calls, end.nfev.sum(), end.nfev[:6].sum(), end.counts())
"""


def test_a_python_function_that_kills_its_process_costs_the_run_in_flight(tmp_path):
    script, out = tmp_path / "script.py", tmp_path / "a.nc"
    script.write_text(textwrap.dedent(SUICIDE))

    def process(die, out):
        environment = os.environ | {"PYTHONPATH": os.getcwd(), "DIE": die}
        return subprocess.run(
            [sys.executable, str(script), str(out)], env=environment, capture_output=True, text=True, check=False
        )

    assert process("yes", out).returncode == -signal.SIGKILL
    resumed = process("no", out)
    assert resumed.returncode == 0, resumed.stderr
    calls, evaluations, first_six, counts = resumed.stdout.split(" ", 3)
    assert counts.strip() == "{'CONVERGED': 12}"
    # the first six are not run again, but the first one's record is begun; `fun` takes 12 evaluations at the ends
    assert int(calls) == int(evaluations) - int(first_six) + 12 + 1


def test_ctrl_c_keeps_the_journal(tmp_path, restored):
    presses = [KeyboardInterrupt]

    def bowl(x):
        if x[0] == 5.0 and presses:
            raise presses.pop()
        return float(x @ x)

    X, out = np.stack([np.arange(1.0, 9.0), np.ones(8)], axis=1), tmp_path / "a.nc"

    def solved():
        return oo.solve_many(Function(switched, lambda x: 2.0 * x), oo.methods.lc_gd(), X, out=out)

    switched = Switched(bowl)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        begun = solved()
    assert begun.counts() == {"INTERRUPTED": 4, "CONVERGED": 4}
    assert os.listdir(tmp_path) == ["a.nc.part"]
    end = solved()
    assert restored[-1] == 4
    assert end.counts() == {"CONVERGED": 8}
    assert os.listdir(tmp_path) == ["a.nc"]
    kept = begun.status == Status.CONVERGED
    np.testing.assert_array_equal(end.seconds[kept], begun.seconds[kept])
    assert np.all(end.seconds > 0.0)
    assert np.isnan(begun.seconds[5:]).all()  # never begun


class Switched:
    """A function whose state is no part of the problem."""

    __slots__ = ("function",)

    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x)


INTERRUPTED = """
    import signal, sys, threading, time, warnings
    import numpy as np
    import odeopt as oo
    from odeopt.results import journal

    def send():
        time.sleep(float(sys.argv[2]))
        signal.raise_signal(signal.SIGINT)

    def restored(self, records, restore=journal.Journal.restore):
        threading.Thread(target=send, daemon=True).start()
        return restore(self, records)

    journal.Journal.restore = restored

    X = np.random.default_rng(0).uniform(-0.5, 0.5, (3000, 2))
    X[:40] = [2.0, -1.0] + 1e-9*X[:40]                      # converged as they start
    oo.solve_many(oo.objectives.PolyTwo(), oo.methods.gd(1e-7), X[:2], max_steps=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        end = oo.solve_many(oo.objectives.PolyTwo(), oo.methods.gd(1e-7), X, gtol=1e-6, max_steps=10**9,
                            out=sys.argv[1])
    print(end.counts())
"""


def test_ctrl_c_in_the_lanes_keeps_the_journal(tmp_path):
    script, out = tmp_path / "script.py", tmp_path / "a.nc"
    script.write_text(textwrap.dedent(INTERRUPTED))
    for _ in range(2):                                      # the second goes on, and is interrupted too
        done = subprocess.run(
            [sys.executable, str(script), str(out), "1.0"],
            env=os.environ | {"PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        assert done.stdout == "{'INTERRUPTED': 2960, 'CONVERGED': 40}\n"
        assert sorted(os.listdir(tmp_path)) == ["a.nc.part", "script.py"]


# -- no room

FULL = """
    import resource, sys, warnings
    import numpy as np
    import odeopt as oo

    X = np.random.default_rng(0).uniform(-3.0, 3.0, (20_000, 2))
    objective, method = oo.objectives.PolyTwo(), oo.methods.lc_gd()
    whole = oo.solve_many(objective, method, X)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        end = oo.solve_many(objective, method, X, out=sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert all(array.tobytes() == end.arrays()[name].tobytes() for name, array in whole.arrays().items())
    print(*(w.category.__name__ + ": " + str(w.message) for w in caught), sep="\\n")
"""


def test_a_full_disk_costs_neither_the_run_nor_what_was_journaled(tmp_path, restored):
    """Files that may not grow beyond a limit stand for the disk: write fails as there, half-way through a record."""
    pytest.importorskip("resource")
    script, out = tmp_path / "script.py", tmp_path / "a.nc"
    script.write_text(textwrap.dedent(FULL))
    done = subprocess.run(
        [sys.executable, str(script), str(out), "500001"],
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.strip().splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"RuntimeWarning: the journal {out}.part cannot be written")
    assert told[1].startswith(f"RuntimeWarning: {out} cannot be written")
    assert sorted(os.listdir(tmp_path)) == ["a.nc.part", "script.py"]
    X = np.random.default_rng(0).uniform(-3.0, 3.0, (20_000, 2))
    whole = oo.solve_many(PolyTwo(), oo.methods.lc_gd(), X)
    assert_same_bits(oo.solve_many(PolyTwo(), oo.methods.lc_gd(), X, out=out), whole)
    assert 0 < restored[-1] < 20_000


def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    def never(x):
        raise AssertionError("it ran")

    (tmp_path / "file").write_text("")
    for out in (tmp_path / "none" / "a.nc", tmp_path / "file" / "a.nc"):
        with pytest.raises(OSError, match="`out` cannot be written"):
            oo.solve_many(Function(never, never), oo.methods.gd(), starts(2), out=out)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(PermissionError, match="`out` cannot be written"):
        run("numpy", out=folder / "a.nc")


def test_a_folder_that_vanishes_does_not_cost_the_result(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    def bowl(x):
        if x[0] == 3.0:
            shutil.rmtree(folder, ignore_errors=True)
        return float(x @ x)

    X = np.stack([np.arange(1.0, 6.0), np.ones(5)], axis=1)
    with pytest.warns(RuntimeWarning, match=r"a.nc cannot be written .* the result is returned"):
        end = oo.solve_many(Function(bowl, lambda x: 2.0 * x), oo.methods.lc_gd(), X, out=folder / "a.nc")
    assert end.counts() == {"CONVERGED": 5}
    assert (end.status == Status.CONVERGED).all()
    end.save(tmp_path / "b.nc")
    assert_same_bits(oo.load(tmp_path / "b.nc"), end)
