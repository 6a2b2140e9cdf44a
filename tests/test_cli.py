"""The command line: what it prints and writes is what the library computes, and its exit codes tell the truth."""

import configparser
import importlib
import inspect
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest

import odeopt as oo
from odeopt.cli import main, names, program
from odeopt.compile import cache

ROOT = pathlib.Path(oo.__file__).parents[1]
COMMANDS = ["list", "solve", "basins", "verify", "show", "rerun", "compile", "info", "cache", "cache info",
            "cache clear"]


def python(*arguments, **options):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=200, **options)


# -- names

@pytest.mark.parametrize(("text", "method"), [
    ("lc_gd", oo.methods.lc_gd()),
    ("LC_EGD", oo.methods.lc_gd()),
    ("lc_egd", oo.methods.lc_gd()),
    ("methods.LC", oo.methods.lc_gd()),
    ("lc_gd[]", oo.methods.lc_gd()),
    ("lc_gd[slope=0.25,grow=2]", oo.methods.lc_gd(slope=0.25, grow=2)),
    (" LC_EGD with Adam [ lr = 1e-2 ]", oo.methods.lc_gd_then_adam(lr=1e-2)),
    ("adam[betas=(0.5, 0.75)]", oo.methods.adam(betas=(0.5, 0.75))),
    ("adam[betas=[0.5, 0.75]]", oo.methods.adam(betas=(0.5, 0.75))),
])
def test_methods_by_name(text, method):
    assert names.made(text, "methods") == method


@pytest.mark.parametrize(("text", "formula"), [
    ("Rosenbrock[n=10]", oo.objectives.Rosenbrock(dimension=10)),
    ("rosenbrock[dimension=3, a=-2]", oo.objectives.Rosenbrock(3, -2)),
    ("Quadratic[spectrum=(1, 10, 100.0)]", oo.objectives.Quadratic((1, 10, 100.0))),
    ("objectives.Example[number=3]", oo.objectives.Example(3)),
    ("ScaledGradient[metric='diagonal']", oo.flows.ScaledGradient("diagonal")),
    ("SemiImplicitEuler[order=('x', 'v')]", oo.schemes.SemiImplicitEuler(("x", "v"))),
    ("bisection[h_max='flow', h_min=0]", oo.controllers.Bisection(h_max="flow", h_min=0)),
    ("Bisection[h_max=None]", oo.controllers.Bisection()),
])
def test_other_formulas_by_name(text, formula):
    families = [family for family in names.FAMILIES if family != "methods"]
    assert names.made(text, *families) == formula


def test_a_name_of_several_families_is_that_of_its_own_spelling():
    families = ("flows", "schemes", "methods")
    assert names.find("Adam", families) == ("flows", "Adam")
    assert names.find("adam", families) == ("methods", "adam")
    assert names.find("methods.Adam", families) == ("methods", "adam")
    with pytest.raises(names.UsageError, match=r"flows\.Adam or methods\.adam"):
        names.find("ADAM", families)


@pytest.mark.parametrize("name", oo.methods.names())
def test_every_alias_is_found(name):
    for spelling in (name, *oo.methods.names()[name]):
        assert names.find(spelling, ("methods",)) == ("methods", name)


def test_capitals_matter_only_where_they_tell_methods_apart():
    """PyTorch's momentum and the papers' Momentum differ: nothing but these two spellings names either."""
    meanings = {}
    for name, aliases in oo.methods.names().items():
        for spelling in (name, *aliases):
            meanings.setdefault(spelling.lower(), set()).add(name)
    assert {spelling for spelling, named in meanings.items() if len(named) > 1} == {"momentum"}
    for spelling, named in meanings.items():
        if len(named) == 1:
            assert names.find(spelling.title(), ("methods",)) == ("methods", *named)
    with pytest.raises(names.UsageError, match=r"methods\.ema_momentum or methods\.momentum"):
        names.find("MOMENTUM", ("methods",))


@pytest.mark.parametrize("family", names.FAMILIES)
def test_every_formula_that_is_listed_can_be_made_or_says_what_it_needs(family):
    for name, formula in names.formulas(family).items():
        if any(p.default is p.empty for p in inspect.signature(formula).parameters.values()):
            with pytest.raises(names.UsageError, match="use it from Python"):
                names.made(name, family)
        else:
            assert repr(names.made(name, family)) == repr(formula())


@pytest.mark.parametrize(("family", "word", "base"), [
    ("flows", "field", oo.Flow), ("schemes", "step", oo.Scheme), ("controllers", "control", oo.Controller),
    ("objectives", "value", oo.Landscape)])
def test_what_only_others_derive_from_is_not_listed(family, word, base):
    listed = [kind for kind in names.formulas(family).values() if issubclass(kind, base)]
    assert listed
    assert [kind for kind in listed if getattr(kind, word) is getattr(base, word)] == []


@pytest.mark.parametrize("value", ["__import__('os').getcwd()", "print(1)", "a.b", "[1 for i in (1,)]", "(lambda: 1)()",
                                   "f'{1}'", "1 if True else 2", "2**3"])
def test_values_are_literals(value):
    with pytest.raises(names.UsageError, match=r"literal"):
        names.made(f"lc_gd[slope={value}]", "methods")


# -- wrong commands

BAD = {
    "no command": ("", "COMMAND"),
    "command": ("sovle", "'solve'"),
    "option": ("info --fast", "--fast"),
    "abbreviation": ("solve Himmelblau gd --x0 1,1 --max 3", "--max"),
    "family": ("list flow", "flows"),
    "objective": ("solve Himmelbau gd --x0 1,1", "did you mean 'Himmelblau'"),
    "method": ("solve Himmelblau lc_gdd --x0 1,1", "did you mean 'lc_gd'"),
    "method as objective": ("solve gd gd --x0 1,1", "no objective 'gd'"),
    "ambiguous method": ("solve Himmelblau SGD --x0 1,1", "different methods"),
    "ambiguous formula": ("verify ADAGRAD", "flows.AdaGrad or methods.adagrad"),
    "formula": ("verify HeavyBal", "did you mean 'HeavyBall'"),
    "family before the dot": ("verify controllers.Constant", "flows or schemes or methods"),
    "needs data": ("solve Network gd --x0 1,1", "needs layers, inputs, targets"),
    "interface": ("solve Landscape gd --x0 1,1", "no objective 'Landscape'"),
    "parameter": ("solve Himmelblau 'lc_gd[sloep=1]' --x0 1,1", "did you mean 'slope'"),
    "parameter of none": ("solve 'Himmelblau[a=1]' gd --x0 1,1", "It has none"),
    "dimension twice": ("solve 'Rosenbrock[n=2, dimension=3]' gd --x0 1,1", "no parameter 'n'"),
    "parameter twice": ("solve Himmelblau 'gd[lr=1, lr=2]' --x0 1,1", "twice"),
    "kind": ("solve Himmelblau \"lc_gd[slope='steep']\" --x0 1,1", "must be float, got 'steep'"),
    "whole number": ("solve Himmelblau 'lcd_gd[bisections=2.5]' --x0 1,1", "must be int, got 2.5"),
    "unquoted text": ("verify 'ScaledGradient[metric=diagonal]'", "metric='diagonal'"),
    "range": ("solve Himmelblau 'gd[lr=-1]' --x0 1,1", "must be > 0"),
    "length": ("solve Himmelblau 'adam[betas=(0.9,)]' --x0 1,1", "odeopt list methods -v"),
    "position": ("solve Himmelblau 'gd[0.1]' --x0 1,1", "expected name[parameter=value"),
    "brackets": ("solve Himmelblau 'gd[lr=0.1' --x0 1,1", "bracket at its end"),
    "code": ("solve Himmelblau 'gd[lr=1)+f(a=1]' --x0 1,1", "cannot be read"),
    "comment": ("solve Himmelblau 'gd[lr=1)#]' --x0 1,1", "cannot be read"),
    "no start": ("solve Himmelblau gd", "--x0"),
    "start": ("solve Himmelblau gd --x0 1;1", "expected numbers with commas"),
    "coordinates": ("solve Himmelblau gd --x0 1,1,1", "takes points of 2 coordinates"),
    "tolerance": ("solve Himmelblau gd --x0 1,1 --gtol -1", "`gtol` must be >= 0"),
    "steps": ("solve Himmelblau gd --x0 1,1 --max-steps 0", "`max_steps` must be at least 1"),
    "end": ("solve Himmelblau gd --x0 1,1 --t-end 0", "`t_end` must be > 0"),
    "backend": ("solve Himmelblau gd --x0 1,1 --backend gpu", "'lanes'"),
    "time": ("basins Himmelblau gd --time-limit 0 --backend numpy", "`time_limit` must be > 0"),
    "no time": ("solve Himmelblau gd --x0 1,1 --time-limit soon", "--time-limit"),
    "time of the lanes": ("solve Himmelblau gd --x0 1,1 --time-limit 5", "must be None for the lanes"),
    "radius": ("basins Himmelblau gd --radius 0", "`radius` must be > 0"),
    "no residuals": ("solve Himmelblau lm --x0 1,1", "not known as a sum of squares"),
    "out folder": ("solve Himmelblau gd --x0 1,1 --out no/folder.nc", "in a folder that is there"),
    "out taken": ("solve Himmelblau gd --x0 1,1 --out other.nc", "no result saved by odeopt"),
    "box order": ("basins Himmelblau gd --box 3,-3", "low < high"),
    "box numbers": ("basins Himmelblau gd --box 1,2,3", "low < high"),
    "shape": ("basins Himmelblau gd --shape 10,10", "such as 100x100"),
    "empty shape": ("basins Himmelblau gd --shape 10x0", "such as 100x100"),
    "shape of another dimension": ("basins Himmelblau gd --shape 4x4x4", "write --shape 10x10"),
    "no memory": ("basins Himmelblau gd --shape 9000000x9000000", "take fewer starts"),
    "threads": ("basins Himmelblau gd --threads 0", "`threads` must be an integer >= 1"),
    "picture": ("basins Himmelblau gd --plot map.txt", "write FILE.png"),
    "picture of a line": ("basins PowerFour gd --shape 10 --plot map.png", "two coordinates"),
    "no file": ("show missing.nc", "is no file"),
    "folder": ("rerun .", "is no file"),
    "no result": ("show other.nc", "no result saved by odeopt"),
    "nothing to compile": ("compile Himmelblau", "METHOD"),
    "cache": ("cache empty", "clear"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_command_is_told_in_one_line(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/"other.nc").write_text("something else")
    command, expected = BAD[name]
    assert main(shlex.split(command.replace(";", r"\;"))) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("odeopt: error: ")
    assert told.err.count("\n") == 1
    assert expected in told.err
    assert [file.name for file in tmp_path.iterdir()] == ["other.nc"]


# -- help

@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_can_be_read(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    example = re.search(r"example:\n  odeopt (.*)", capsys.readouterr().out)[1]
    assert example.startswith(command)
    assert callable(program._parser().parse_args(program._joined(shlex.split(example))).run)


def test_help_of_the_program_names_all_commands_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^    {name} ", text, re.MULTILINE) for name in COMMANDS if " " not in name)
    assert "130 interrupted" in text


# -- list

@pytest.mark.parametrize("family", names.FAMILIES)
def test_list_has_a_line_for_each_formula(family, capsys):
    assert main(["list", family]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(names.formulas(family))
    summaries = [inspect.getdoc(formula).splitlines()[0] for formula in names.formulas(family).values()]
    assert all(summary in line for summary, line in zip(summaries, lines, strict=True))


def test_list_verbose_has_parameters_defaults_and_sources(capsys):
    assert main(["list", "flows", "-v"]) == 0
    text = capsys.readouterr().out
    assert "HeavyBall[friction=1.0, gain=1.0]\n    x' = v" in text
    assert "(Polyak 1964)" in text
    assert main(["list", "methods", "-v"]) == 0
    assert "lc_gd[h0=0.1, slope=0.5, shrink=2.0, grow=10000.0] (LC, LC_EGD)\n" in capsys.readouterr().out


# -- solve

START = [0.4, -0.7]


def test_solve_prints_what_the_library_computes(capsys):
    assert main(["solve", "PolyThree", "lc_gd[slope=0.25]", "--x0", "0.4,-0.7", "--gtol", "1e-8"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{oo.solve(oo.objectives.PolyThree(), oo.methods.lc_gd(slope=0.25), START, gtol=1e-8)}\n"
    assert "to compile or load" in told.err


def test_a_start_may_begin_with_a_minus(capsys):
    assert main(["solve", "Himmelblau", "lc_gd", "--x0", "-1,0.5", "--backend", "numpy"]) == 0
    expected = oo.solve(oo.objectives.Himmelblau(), oo.methods.lc_gd(), [-1.0, 0.5], backend="numpy")
    assert capsys.readouterr().out == f"{expected}\n"


def test_solve_of_what_does_not_converge_fails(capsys):
    assert main(["solve", "PolyThree", "gd[lr=100]", "--x0", "0.4,-0.7"]) == 1
    assert "DIVERGED" in capsys.readouterr().out
    assert main(["solve", "PolyThree", "gd", "--x0", "nan,0"]) == 1
    assert "DIVERGED" in capsys.readouterr().out
    assert main(["solve", "PolyThree", "lc_gd", "--x0", "0.4,-0.7", "--max-trials", "3"]) == 1
    assert "MAX_TRIALS" in capsys.readouterr().out


def test_solve_to_a_time_with_the_trace_as_a_table(capsys):
    assert main(["solve", "PolyThree", "gd[lr=0.0078125]", "--x0", "0.4,-0.7", "--t-end", "0.03125", "--trace"]) == 0
    solution = oo.solve(oo.objectives.PolyThree(), oo.methods.gd(lr=0.0078125), START, t_end=0.03125, trace=True)
    assert solution.status == oo.Status.REACHED_T
    text = capsys.readouterr().out
    assert text == f"{solution}\n{solution.trace.to_pandas().to_string()}\n"
    assert len(solution.trace) == 5                         # the start and 0.03125/0.0078125 steps


def test_a_start_is_given_up_when_its_time_is_up(capsys):
    command = ["solve", "PolyThree", "gd[lr=1e-9]", "--x0", "0.4,-0.7", "--max-steps", "1000000000"]
    assert main([*command, "--backend", "numpy", "--time-limit", "0.01"]) == 1
    assert "TIME_LIMIT" in capsys.readouterr().out


@pytest.mark.parametrize("backend", ["lanes", "numpy"])
def test_solve_on_the_backend_that_is_asked_for(backend, capsys):
    assert main(["solve", "PolyThree", "lc_gd", "--x0", "0.4,-0.7", "--gtol", "1e-3", "--backend", backend]) == 0
    told = capsys.readouterr()
    expected = oo.solve(oo.objectives.PolyThree(), oo.methods.lc_gd(), START, gtol=1e-3, backend=backend)
    assert told.out == f"{expected}\n"
    assert told.err.startswith(backend)


def test_solve_into_a_file_that_shows_and_runs_again(capsys, tmp_path):
    out = str(tmp_path/"run.nc")
    command = ["solve", "PolyThree", "lc_gd", "--x0", "0.4,-0.7", "--trace", "--out", out]
    assert main(command) == 0
    printed = capsys.readouterr().out
    kept = oo.load(out)[0]
    expected = oo.solve(oo.objectives.PolyThree(), oo.methods.lc_gd(), START, trace=True)
    np.testing.assert_array_equal(kept.x, expected.x)
    np.testing.assert_array_equal(kept.trace.V, expected.trace.V)
    assert printed == f"{expected}\n"                       # the trace is in the file

    assert main(command) == 0
    told = capsys.readouterr()
    assert told.out == printed
    assert told.err.startswith("nothing ran")

    assert main([*command, "--gtol", "1e-3"]) == 2
    assert "another problem" in capsys.readouterr().err

    assert main(["show", out]) == 0
    text = capsys.readouterr().out
    assert text.startswith(printed)
    for line in ("objective   PolyThree()", "scheme      ExplicitEuler()", f"odeopt      {oo.__version__}"):
        assert line in text.splitlines()

    assert main(["rerun", out]) == 0
    assert "equal to the last bit" in capsys.readouterr().out


def test_rerun_of_other_bits_fails(capsys, tmp_path):
    solution = oo.solve(oo.objectives.PolyThree(), oo.methods.lc_gd(), START)
    solution.ensemble.x[0, 0] = np.nextafter(solution.x[0], 1.0)
    solution.save(tmp_path/"run.nc")
    assert main(["rerun", str(tmp_path/"run.nc")]) == 1
    assert "x: 1 numbers differ" in capsys.readouterr().out


def test_a_formula_of_the_users_own_is_shown_but_not_run(capsys, tmp_path):
    oo.solve(oo.objectives.Function(sphere), oo.methods.lc_gd(), START, gtol=1e-3).save(tmp_path/"run.nc")
    assert main(["show", str(tmp_path/"run.nc")]) == 0
    assert "sphere" in capsys.readouterr().out
    assert main(["rerun", str(tmp_path/"run.nc")]) == 2
    assert "oo.load(path, objective=...)" in capsys.readouterr().err


def sphere(x):
    return float(x @ x)


# -- basins

def test_basins_into_a_file_and_a_picture(capsys, tmp_path):
    out, picture = tmp_path/"map.nc", tmp_path/"map.png"
    command = ["basins", "PolyThree", "LC_EGD", "--box", "-3,3,-2,2", "--shape", "20x15", "--gtol", "1e-3"]
    assert main([*command, "--threads", "1", "--out", str(out), "--plot", str(picture)]) == 0
    told = capsys.readouterr()
    expected = oo.studies.basins(oo.objectives.PolyThree(), oo.methods.lc_gd(), ((-3, 3), (-2, 2)), (20, 15), gtol=1e-3)
    assert told.out == f"{expected}\n"
    kept = oo.load(out)
    np.testing.assert_array_equal(kept.label, expected.label)
    np.testing.assert_array_equal(kept.ensemble.x, expected.ensemble.x)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["show", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{expected}\nobjective")
    assert main(["rerun", str(out), "--threads", "2"]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map.nc", "map.pdf", "map.png"]


def test_basins_take_the_options_of_runs_and_a_radius(capsys):
    """Runs to the time 1/2 end there, and labels say which of them are near a minimum."""
    command = ["basins", "PolyThree", "gd[lr=0.0078125]", "--shape", "4x4", "--t-end", "0.5", "--radius", "0.25"]
    assert main([*command, "--max-trials", "1000", "--time-limit", "600", "--backend", "numpy"]) == 0
    told = capsys.readouterr()
    expected = oo.studies.basins(oo.objectives.PolyThree(), oo.methods.gd(lr=0.0078125), shape=(4, 4), t_end=0.5,
                                 radius=0.25, max_trials=1000, backend="numpy")
    assert told.out == f"{expected}\n"
    assert told.err.startswith("numpy")


@pytest.mark.parametrize(("command", "function", "further"), [
    ("solve Himmelblau gd --x0 1,1", oo.solve_many, {"starts", "threads"}),
    ("basins Himmelblau gd", oo.studies.basins, {"minima", "options"})])
def test_the_options_of_a_command_are_those_of_its_function(command, function, further):
    """But for what is not printed, and what only networks have."""
    options = vars(program._parser().parse_args(command.split()))
    not_there = {"progress", "count_rises", "stop_at_noise"} | further
    assert set(inspect.signature(function).parameters) - not_there <= options.keys()
    assert {"gtol", "max_steps", "max_trials", "t_end", "time_limit", "backend", "out"} <= options.keys()


def test_basins_of_which_no_run_converges_fail(capsys):
    assert main(["basins", "PolyThree", "gd", "--shape", "2x2", "--max-steps", "1"]) == 1
    assert "not converged" in capsys.readouterr().out


def test_basins_go_on_after_ctrl_c(capsys, tmp_path):
    """What is interrupted and gone on with is, to the last bit, what one run gives: `rerun` makes that run."""
    out = tmp_path/"map.nc"
    # up to 1e9 trials, seconds on any processor; starts that diverge end at once and are in the journal soon
    command = ["basins", "PolyFive", "gd[lr=1e-6]", "--shape", "50x50", "--max-steps", "400000", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "odeopt", *command], cwd=ROOT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    journal = tmp_path/"map.nc.part"
    while process.poll() is None and not (journal.exists() and journal.stat().st_size > 10_000):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert printed == ""
    assert "Traceback" not in told
    assert "the same command goes on" in told
    assert journal.exists()
    assert not out.exists()
    main(command)
    assert not journal.exists()
    assert main(["rerun", str(out)]) == 0
    assert "Rerun of 2500 runs: equal to the last bit" in capsys.readouterr().out


# -- verify

@dataclass(frozen=True)
class Boastful(oo.flows.HeavyBall):
    """A heavy ball that claims twice its dissipation."""

    def dissipation(self, v):
        return 2.0*self.friction*(v @ v)


def test_verify_fails_if_something_is_refuted(capsys, monkeypatch):
    assert main(["verify", "HeavyBall[friction=0.5]"]) == 0
    assert "dissipation: proved" in capsys.readouterr().out
    monkeypatch.setattr(oo.flows, "Boastful", Boastful, raising=False)
    monkeypatch.setattr(oo.flows, "__all__", [*oo.flows.__all__, "Boastful"])
    assert main(["verify", "boastful"]) == 1
    assert "dissipation: refuted" in capsys.readouterr().out


def test_verify_schemes_and_methods(capsys):
    assert main(["verify", "Heun"]) == 0
    assert "stated order 2, measured 2.0" in capsys.readouterr().out
    assert main(["verify", "lc_gd"]) == 0
    assert "fixed points: " in capsys.readouterr().out


# -- kernels and the machine

def test_compiled_kernels_are_those_that_runs_ask_for(tmp_path):
    environment = os.environ | {"ODEOPT_CACHE_DIR": str(tmp_path)}
    done = python("-m", "odeopt", "compile", "QuarticSaddle", "lc_gd_then_adam", env=environment)
    assert (done.returncode, done.stdout) == (0, "")
    assert [line.split(" on ")[0] for line in done.stderr.splitlines()] == ["lc_gd_then_adam", "adam"]
    kernels = set(tmp_path.rglob("*.kernel"))
    assert len(kernels) >= 2
    for method in ("lc_gd", "adam"):
        ran = python("-m", "odeopt", "solve", "QuarticSaddle", method, "--x0", "1,1", env=environment)
        assert ran.returncode in (0, 1), ran.stderr
        assert ran.stdout.startswith(f"{method} on QuarticSaddle")
    assert set(tmp_path.rglob("*.kernel")) == kernels


def test_what_runs_in_numpy_needs_no_kernel(capsys):
    assert main(["compile", "StyblinskiTang[n=20]", "gd"]) == 0
    assert "nothing to compile" in capsys.readouterr().err


def test_the_cache_is_measured_and_cleared_and_nothing_else(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path))
    kernels, derived, other = pathlib.Path(cache.kernel_folder()), tmp_path/"derived", tmp_path/"notes"
    for folder, name in ((kernels, "a.kernel"), (derived, "b.txt"), (other, "thesis.txt"), (derived, "mine.tex")):
        folder.mkdir(exist_ok=True)
        (folder/name).write_bytes(bytes(1_000_000))
    assert main(["cache", "info"]) == 0
    assert f"{tmp_path}: 1 kernels, 1 derivations, 2.0 MB\n" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert "1 kernels, 1 derivations, 2.0 MB" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["derived", "mine.tex", "notes", "thesis.txt"]
    assert main(["cache", "clear"]) == 0
    assert "0 kernels, 0 derivations" in capsys.readouterr().out


def test_an_absent_cache_is_empty(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("ODEOPT_CACHE_DIR", str(tmp_path/"none"))
    assert main(["cache", "info"]) == main(["cache", "clear"]) == main(["info"]) == 0
    assert not (tmp_path/"none").exists()


def test_info_has_versions_and_what_slows(capsys, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert main(["info"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert lines["odeopt"] == oo.__version__
    assert lines["NumPy"] == np.__version__
    assert lines["OPENBLAS_CORETYPE"].startswith("Haswell (")
    assert "unset it" in lines["OPENBLAS_CORETYPE"]
    assert lines["OPENBLAS_NUM_THREADS"] == "1"
    assert lines["cache"].startswith(cache.root())
    assert {"threads", "CPU", "BLAS", "numba", "scipy"} <= lines.keys()


# -- the process

def test_listing_loads_no_compiler_and_no_plotting():
    code = "import sys; from odeopt.cli import main; main(['list', 'methods']); print('\\n', *sys.modules)"
    done = python("-c", code)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "odeopt" in loaded
    assert not loaded & {"scipy", "sympy", "numba", "llvmlite", "xarray", "matplotlib", "pandas", "joblib", "tqdm"}


def test_exit_codes_of_the_process():
    assert python("-m", "odeopt", "--version").stdout == f"odeopt {oo.__version__}\n"
    wrong = python("-m", "odeopt", "list", "nothing")
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_ends_it_quietly(unbuffered):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run([sys.executable, "-m", "odeopt", "list", "methods"], cwd=ROOT, stdout=write,
                             stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": unbuffered}, check=False)
    os.close(write)
    assert (process.returncode, process.stderr) == (130, b"")


def test_the_console_script_is_this_program():
    config = configparser.ConfigParser()
    config.read(ROOT/"setup.cfg")
    if not config.has_section("options.entry_points"):
        pytest.skip("not a source tree")
    script, _, target = config["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, _, function = target.partition(":")
    assert script == "odeopt"
    assert getattr(importlib.import_module(module), function) is main
