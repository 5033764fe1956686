"""The arguments of every command, and its help; see :mod:`mentor_pyg.cli`."""
