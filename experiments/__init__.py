"""Experiments in a checkout: `python -m experiments.cifar --prior entropic --guide delta`.

Each is the command `bayesreg run` of one task, which stands in bayesreg/tasks/.
"""
