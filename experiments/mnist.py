"""`python -m experiments.mnist`: see bayesreg/tasks/mnist.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("mnist", "python -m experiments.mnist")
