"""`python -m experiments.housing`: see bayesreg/tasks/housing.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("housing", "python -m experiments.housing")
