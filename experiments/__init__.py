"""Experiments in a checkout: `python -m experiments.cifar --prior entropic --guide delta`.

Each is `bayesreg run` for one task, which is defined in bayesreg/tasks/.
"""
