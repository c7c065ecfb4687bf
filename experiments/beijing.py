"""`python -m experiments.beijing`: see bayesreg/tasks/beijing.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("beijing", "python -m experiments.beijing")
