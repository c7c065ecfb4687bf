"""`python -m experiments.imdb`: see bayesreg/tasks/imdb.py."""

from bayesreg.cli.run import run

if __name__ == "__main__":
    run("imdb", "python -m experiments.imdb")
