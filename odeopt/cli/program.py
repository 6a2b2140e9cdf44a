"""The program: its commands and options, and how it ends."""

from __future__ import annotations

import os
import re
import sys
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from odeopt import __version__
from odeopt.cli import commands, machine
from odeopt.cli.names import FAMILIES, UsageError
from odeopt.language import FormulaError

USAGE = 2
_NAMES = """\
Formulas are named as name[parameter=value, ...]: "lc_gd[slope=0.25, grow=2]", "Rosenbrock[n=10]"; in capitals or not,
methods also by the papers' names. Values are numbers, texts in quotes, tuples, True, False or None.
Exit codes: 0 done, 1 a run or a check that failed, 2 a wrong command, 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process if not given.

    Returns
    -------
    int
        0 success, 1 a run or verification that failed, 2 a wrong command, 130 ended by Ctrl-C or by a reader that went
        away.
    """
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return commands.INTERRUPTED
    except BrokenPipeError:
        # the interpreter flushes stdout again when it ends, and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return commands.INTERRUPTED
    except (ValueError, FormulaError, ArithmeticError, OSError, MemoryError) as error:
        commands.say(f"odeopt: error: {_one_line(error)}")
        return USAGE


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(_joined(arguments))
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *where: commands.say(f"odeopt: warning: {message}")
        return options.run(options)


def _joined(arguments: Sequence[str]) -> list[str]:
    """`--box -3,3` as `--box=-3,3`: argparse would take the value for an option."""
    joined: list[str] = []
    for argument in arguments:
        if re.match(r"-[\d.]", argument) and joined and joined[-1].startswith("--"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}): take fewer starts or coordinates"
    return " ".join(str(error).split())


# -- commands and options

class _Parser(ArgumentParser):
    """Errors are one line, and raised."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}: see `{self.prog} --help`")


def _parser() -> ArgumentParser:
    parser = _Parser(prog="odeopt", description="Neural-network optimizers as ODE integrators.", epilog=_NAMES,
                     formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"odeopt {__version__}")
    add = _adder(parser, "COMMAND")

    command = add("list", commands.list_family, "name the formulas of a family", "list methods -v")
    command.add_argument("family", choices=FAMILIES, metavar="FAMILY", help=", ".join(FAMILIES))
    command.add_argument("-v", "--verbose", action="store_true", help="with parameters, defaults and sources")

    command = add("solve", commands.solve, "run a method from one start",
                  "solve Himmelblau 'lc_gd[slope=0.25]' --x0 -1,0.5")
    _add_problem(command)
    command.add_argument("--x0", type=_numbers, required=True, metavar="A,B,...", help="the start")
    _add_run(command)
    command.add_argument("--trace", action="store_true", help="record every trial: in --out, else as a table")

    command = add("basins", commands.basins, "which minimum every start of a box reaches; after a kill it goes on",
                  "basins PolyThree LC_EGD --box -3,3 --shape 100x100 --out basins.nc --plot basins.png")
    _add_problem(command)
    command.add_argument("--box", type=_box, metavar="LOW,HIGH[,...]",
                         help="one pair, or one for each coordinate; the objective's own if not given")
    command.add_argument("--shape", type=_shape, default=(100, 100), metavar="MxN", help="cells; 100x100 if not given")
    command.add_argument("--radius", type=float, metavar="R",
                         help="a run reaches a minimum within this distance; the objective's own if not given")
    _add_run(command)
    _add_threads(command)
    command.add_argument("--plot", metavar="FILE.png", help="draw the map, as PNG and as PDF")

    command = add("verify", commands.verify, "check what a flow, a scheme or a method says of itself",
                  "verify HeavyBall")
    command.add_argument("name", metavar="NAME", help="where several families have it: flows.Adam, methods.adam")

    command = add("show", commands.show, "print a saved result: formulas, options, versions", "show basins.nc")
    command.add_argument("file", metavar="FILE")

    command = add("rerun", commands.rerun, "run a saved result again and compare to the last bit", "rerun basins.nc")
    command.add_argument("file", metavar="FILE")
    _add_threads(command)

    command = add("compile", commands.compile_kernels,
                  "compile the kernels of `solve` and `basins` (--trace and --t-end have their own)",
                  "compile PolyThree lc_gd adam")
    command.add_argument("objective", metavar="OBJECTIVE")
    command.add_argument("methods", metavar="METHOD", nargs="+")

    add("info", machine.info, "versions, threads, processor, BLAS and cache folder", "info")

    command = add("cache", None, "compiled kernels and derivations", "cache info")
    add = _adder(command, "ACTION")
    add("info", machine.show_cache, "the folder and what it holds", "cache info")
    add("clear", machine.clear_cache, "delete all kernels and derivations", "cache clear")
    return parser


def _adder(parser: ArgumentParser, metavar: str) -> Callable[..., ArgumentParser]:
    """A function that adds a command to a parser."""
    subparsers = parser.add_subparsers(required=True, metavar=metavar, title="commands")

    def add(name: str, run: Callable[[Namespace], int] | None, words: str, example: str) -> ArgumentParser:
        command = subparsers.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".",
                                        epilog=f"example:\n  odeopt {example}", allow_abbrev=False,
                                        formatter_class=RawDescriptionHelpFormatter)
        command.set_defaults(run=run)
        return command
    return add


def _add_problem(command: ArgumentParser) -> None:
    command.add_argument("objective", metavar="OBJECTIVE", help="such as Rosenbrock[n=10]: `odeopt list objectives`")
    command.add_argument("method", metavar="METHOD", help="such as lc_gd[slope=0.25]: `odeopt list methods`")


def _add_run(command: ArgumentParser) -> None:
    command.add_argument("--gtol", type=float, metavar="TOL", help="converged when |g| <= TOL")
    command.add_argument("--max-steps", type=int, metavar="N", help="most accepted steps")
    command.add_argument("--max-trials", type=int, metavar="N", help="most trials, rejected ones too")
    command.add_argument("--t-end", type=float, metavar="T", help="time at which to end")
    command.add_argument("--time-limit", type=float, metavar="SECONDS",
                         help="after which a start is given up; not for the lanes, where starts run side by side")
    command.add_argument("--backend", choices=("lanes", "numpy"), help="compiled kernels or plain NumPy")
    command.add_argument("--out", metavar="FILE.nc", help="write the result there; loaded if it is there already")


def _add_threads(command: ArgumentParser) -> None:
    command.add_argument("--threads", type=int, metavar="N", help="all that may be used if not given")


# -- values

def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ArgumentTypeError(f"expected numbers with commas, such as -1,0.5, got {text!r}") from None


def _box(text: str) -> Any:
    numbers = _numbers(text)
    if len(numbers) % 2 or any(not low < high for low, high in zip(numbers[::2], numbers[1::2], strict=True)):
        raise ArgumentTypeError(f"expected low,high for all coordinates or for each, low < high, got {text!r}")
    return numbers if len(numbers) == 2 else tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", text):
        raise ArgumentTypeError(f"expected numbers of cells, such as 100x100, got {text!r}")
    return tuple(map(int, text.split("x")))
