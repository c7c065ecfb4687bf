"""`python -m experiments.diabetes`: see bayesreg/tasks/diabetes.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("diabetes", "python -m experiments.diabetes")
