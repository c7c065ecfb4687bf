"""`python -m experiments.flowers`: see bayesreg/tasks/flowers.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("flowers", "python -m experiments.flowers")
