"""`python -m experiments.cifar`: see bayesreg/tasks/cifar.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("cifar", "python -m experiments.cifar")
