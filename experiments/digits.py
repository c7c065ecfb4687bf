"""`python -m experiments.digits`: see bayesreg/tasks/digits.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("digits", "python -m experiments.digits")
