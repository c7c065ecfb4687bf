"""`python -m experiments.synthetic`: see bayesreg/tasks/synthetic.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("synthetic", "python -m experiments.synthetic")
