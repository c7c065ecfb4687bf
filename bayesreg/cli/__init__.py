"""The command line: `bayesreg compare | run | report | data | baselines`, each a small file here.

Nothing heavy is imported before the options are read, so --help answers at once.
"""
