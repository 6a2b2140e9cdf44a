"""Who may import whom, and what `import odeopt` costs."""

import ast
import json
import os
import pathlib
import subprocess
import sys

import pytest

import odeopt

PACKAGE = pathlib.Path(odeopt.__file__).parent
HEAVY = {"scipy", "sympy", "numba", "llvmlite", "xarray", "matplotlib", "pandas", "joblib", "tqdm"}
FORMULAS = {"flows", "schemes", "controllers", "objectives"}
READERS = {"trial", "backends", "solver", "results", "studies", "verify", "plot", "cli"}


def python(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=PACKAGE.parent,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def loaded_by(statement):
    """Top-level names and odeopt's modules that a statement loads in a new process."""
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    names = set(json.loads(python(code)))
    return {name.partition(".")[0] for name in names}, {name for name in names if name.startswith("odeopt.")}


def test_importing_the_package_loads_little():
    everything, own = loaded_by("import odeopt")
    assert not everything & HEAVY
    assert not own


@pytest.mark.parametrize(
    "name", ["objectives", "flows", "schemes", "controllers", "methods", "solve_many", "Landscape", "iterate"]
)
def test_formulas_and_entry_points_load_no_compiler(name):
    everything, _ = loaded_by(f"import odeopt; odeopt.{name}")
    assert not everything & HEAVY


def test_a_numpy_run_loads_no_compiler():
    everything, _ = loaded_by(
        "import odeopt as oo; oo.solve(oo.objectives.Function(lambda x: float(x @ x), lambda x: 2*x), "
        "oo.methods.lc_gd(), [1.0, 2.0])"
    )
    assert not everything & HEAVY


@pytest.mark.parametrize(
    "before",
    [
        "oo.solve_many",
        "oo.studies",
        "from odeopt import studies",
        "from odeopt.studies import basins",
        "oo.Solution",
        "oo.solve",
        "import odeopt.methods",
    ],
)
def test_names_mean_the_same_in_any_order(before):
    """`odeopt.solve` is the function, whatever was imported before."""
    assert (
        python(f"import odeopt as oo; {before}; print(callable(oo.solve), callable(oo.solve_many))")
        == "True True\n"
    )


def test_every_public_name_is_there():
    names = [name for name in odeopt.__all__ if name != "plot"]
    assert len(set(odeopt.__all__)) == len(odeopt.__all__)
    for name in names:
        assert getattr(odeopt, name) is not None
        assert name in dir(odeopt)
    with pytest.raises(AttributeError, match="no attribute 'solv'"):
        odeopt.solv  # noqa: B018


# -- layers, read from the source


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """(imported module, whether at the top of the file) of every import, relative ones resolved."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = {
        id(n) for f in ast.walk(tree) if isinstance(f, (ast.FunctionDef, ast.Lambda)) for n in ast.walk(f)
    }
    checked = {
        id(n)
        for i in ast.walk(tree)
        if isinstance(i, ast.If) and "TYPE_CHECKING" in ast.dump(i.test)
        for n in ast.walk(i)
    }
    for node in ast.walk(tree):
        if id(node) in checked:
            continue
        top = id(node) not in inner
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = (
                ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            )
            base = ".".join(filter(None, (base, node.module)))
            yield base, top
            yield from ((f"{base}.{alias.name}", top) for alias in node.names)


FILES = sorted(PACKAGE.rglob("*.py"))
EDGES = [(module_name(path), name, top) for path in FILES for name, top in imports(path)]


def layer(module):
    """The part of the package that a module belongs to; None for other packages and the package itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "odeopt" and len(parts) > 1 else None


def edges(sources):
    found = [(source, name, top) for source, name, top in EDGES if layer(source) in sources]
    assert found
    return found


def test_the_reader_of_imports_sees_them_all():
    assert ("odeopt.compile.emit", "odeopt.compile.tracer.Graph", True) in EDGES
    assert ("odeopt.objectives.base", "odeopt.compile.derivative.Derivatives", False) in EDGES
    assert ("odeopt.objectives.neurons", "odeopt.objectives.base.Landscape", True) in EDGES
    assert ("odeopt.flows", "odeopt.flows.base.Flow", True) in EDGES
    assert len({layer(source) for source, _, _ in EDGES} - {None}) >= 8


def test_the_compiler_knows_no_formula_and_no_run():
    forbidden = FORMULAS | READERS | {"methods"}
    assert [edge for edge in edges({"compile"}) if layer(edge[1]) in forbidden] == []


def test_the_language_stands_on_numpy_alone():
    for source, name, _ in edges({"language", "status"}):
        assert name.split(".")[0] in sys.stdlib_module_names | {"numpy"}, (source, name)


def test_formulas_know_no_reader():
    for source, name, top in edges(FORMULAS):
        assert layer(name) not in READERS | {"methods"}, (source, name)
        if name.split(".")[0] in HEAVY:  # the normal distribution function of arrays
            assert (source, name.split(".")[0], top) == ("odeopt.objectives.network.activations", "scipy", False)
        if layer(name) == "compile":  # landscapes derive their gradients, networks compile, when first asked
            allowed = ("base", "function", "network.kernel", "shipped")
            assert source in {f"odeopt.objectives.{module}" for module in allowed}
            assert not top, (source, name)


def test_only_plot_draws_and_plot_never_solves():
    assert {layer(source) for source, name, _ in EDGES if name.split(".")[0] == "matplotlib"} == {"plot"}
    for source, name, _ in edges({"plot"}):
        assert layer(name) not in {"solver", "trial", "studies", "verify", "methods", "compile"}, (
            source,
            name,
        )


def test_runs_and_results_know_no_study():
    for source, name, _ in edges({"trial", "backends", "solver", "results", "methods"}):
        if source != "odeopt.results.storage":  # it writes and reads what studies found, too
            assert layer(name) not in {"studies", "verify", "plot", "cli"}, (source, name)


def test_backends_know_no_formula():
    for source, name, _ in edges({"backends"}):
        assert layer(name) not in FORMULAS | {"methods", "solver"}, (source, name)


def test_heavy_libraries_are_imported_when_needed_only():
    """At the top of a file: numba in the compiler's files of kernel text, SymPy in the symbolic reader, xarray and
    pandas where results are written."""
    allowed = {
        "odeopt.compile.vector_math": {"numba", "llvmlite"},
        "odeopt.compile.driver": {"numba", "llvmlite"},
        "odeopt.compile.strips": {"numba", "llvmlite"},
        "odeopt.compile.instructions": {"numba", "llvmlite"},
        "odeopt.compile.symbolic": {"sympy"},
        "odeopt.results.labelled": {"pandas", "xarray"},
        "odeopt.results.storage": {"xarray"},
    }
    for source, name, top in EDGES:
        library = name.split(".")[0]
        if top and library in HEAVY and layer(source) not in ("plot", "verify"):
            assert library in allowed.get(source, set()), (source, name)


def test_no_module_imports_itself_in_a_circle():
    """At the top of files; the package itself imports nothing there."""
    modules = {source for source, _, _ in EDGES}
    graph = {module: set() for module in modules}
    for source, name, top in EDGES:
        target = name if name in modules else name.rpartition(".")[0]
        if top and target in modules and target != source:
            graph[source].add(target)
    assert graph["odeopt"] == set()
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for target in graph[module]:
            if not module.startswith(target + "."):  # a package's __init__ imports its own files
                visit(target)
        path.pop()
        done.add(module)

    for module in modules:
        visit(module)


def test_the_metadata_asks_for_what_is_imported():
    import configparser

    config = configparser.ConfigParser()
    config.read(PACKAGE.parent / "setup.cfg")
    if not config.has_option("options", "install_requires"):
        pytest.skip("not a source tree")
    asked = {
        line.split(">")[0].split("[")[0].strip()
        for line in config["options"]["install_requires"].splitlines()
        if line and not line.startswith("#")
    } | {"llvmlite", "cycler"}  # which come with numba and matplotlib
    used = {name.split(".")[0] for _, name, _ in EDGES} - set(sys.stdlib_module_names) - {"odeopt", ""}
    optional = {"torch", "jax", "optax", "sklearn", "pooch", "mlxtend", "dask"}
    assert used - optional <= asked
