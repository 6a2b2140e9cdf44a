"""From recorded formulas to SymPy expressions and machine code. Knows nothing of any flow."""
