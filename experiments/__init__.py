"""Experiments: one small file each. `python -m experiments.digits --help` says what it takes.

A new experiment is one more file, and a line here.
"""

EXPERIMENTS: dict[str, str] = {
    "synthetic": "Synthetic",
    "digits": "Digits",
    "diabetes": "Diabetes",
    "housing": "Housing",
    "cifar": "Cifar",
    "mnist": "Mnist",
    "flowers": "Flowers",
    "imdb": "Imdb",
    "beijing": "Beijing",
}
