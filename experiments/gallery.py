"""What a run leaves beside the figures: tables, and the gallery that shows everything."""

from __future__ import annotations

import os
import re
import secrets
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

INTRODUCTION = """\
# Figures

`make figures` draws all of them and writes this page; every measured number in the text was computed in the
run that drew the figure above it. The PDFs and the data (netCDF, in `figures/data`) stand beside the
pictures after a run. To change how a figure looks without computing it again: `.venv/bin/python -m
experiments --draw NAME`.
"""


class Skipped(Exception):
    """What a figure needs is not on this machine: it is left out, with this word, and nothing failed."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path whose file takes the place of `path` at the end, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_table(table: pd.DataFrame, data: xr.Dataset, stem: Path) -> None:
    """The table for readers as Markdown and LaTeX, and the data behind it as CSV."""
    write_text(stem.with_suffix(".md"), markdown(table))
    write_text(stem.with_suffix(".tex"), table.to_latex(index=False, escape=True))
    write_text(stem.with_suffix(".csv"), data.to_dataframe().to_csv(index=False))


def markdown(table: pd.DataFrame) -> str:
    """A table of texts, in Markdown."""
    rows = [list(table.columns), ["---"]*len(table.columns), *table.astype(str).values.tolist()]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def wrapped(text: str, width: int = 120) -> str:
    """A text with its paragraphs filled; tables stay."""
    blocks = text.strip().split("\n\n")
    filled = (b if b.startswith("|") else textwrap.fill(b, width, break_long_words=False) for b in blocks)
    return "\n\n".join(filled)


def section(name: str, module: Any, data: xr.Dataset, drawn: Figure | pd.DataFrame) -> str:
    """What the gallery says of one figure or table."""
    title = module.__doc__.splitlines()[0].rstrip(".")
    note, small = (f"**{data.attrs['smoke']}**\n\n", " SMOKE=1") if data.attrs["smoke"] else ("", "")
    caption = wrapped(module.caption(data))
    if isinstance(drawn, Figure):
        made = f"Made by `make figures/{name}.pdf{small}`."
        return f"### {title}\n\n{note}![{title}]({name}.png)\n\n{caption}\n\n{made}\n"
    files = ", ".join(f"[{suffix}]({name}.{suffix})" for suffix in ("md", "tex", "csv"))
    return (f"### {title}\n\n{note}{caption}\n\n{markdown(drawn)}\nFiles: {files}. "
            f"Made by `.venv/bin/python -m experiments {name}{' --smoke' if small else ''}`.\n")


def write(folder: Path, names: list[str], made: dict[str, str]) -> None:
    """Write the gallery; what was not made now keeps the section that it has."""
    page = folder/"README.md"
    known = {**_sections(page.read_text(encoding="utf-8") if page.exists() else ""), **made}
    parts, paper = [INTRODUCTION], ""
    for name in filter(known.__contains__, names):
        if paper != (paper := name.partition("/")[0]):
            package = import_module(f"experiments.{paper}")
            parts.append(f"## {package.__doc__.strip().rstrip('.')}\n\n{wrapped(package.SOURCE)}\n")
        parts.append(f"<!-- {name} -->\n{known[name]}<!-- -->\n")
    write_text(page, "\n".join(parts))


def _sections(page: str) -> dict[str, str]:
    return dict(re.findall(r"^<!-- (\S+) -->\n(.*?)<!-- -->$", page, flags=re.MULTILINE | re.DOTALL))
