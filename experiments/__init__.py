"""The figures and tables of papers, drawn again: `python -m experiments`."""
