"""What runs a machine from many starts: compiled lanes, compiled vectors, or plain NumPy."""
