"""The small tables: two of them of one's own, as `br.Task` takes arrays, with an MLP that fits them."""

from sklearn.datasets import load_breast_cancer, load_wine

import bayesreg as br

cancer = br.Data.split(*load_breast_cancer(return_X_y=True), scale=True, name="breast cancer")
wine = br.Data.split(*load_wine(return_X_y=True), scale=True, name="wine")
tasks = ["synthetic", "digits", "diabetes", "housing", br.Task(None, cancer), br.Task(None, wine)]
