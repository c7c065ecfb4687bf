"""bayesreg: which prior should regularise this network?"""

from bayesreg import datasets, guides, methods, metrics, nets, priors
from bayesreg.datasets import Data, Dataset
from bayesreg.diagnostics import to_arviz
from bayesreg.fit import Diverged, fit
from bayesreg.likelihoods import Bernoulli, Categorical, Gaussian, Heteroscedastic, Likelihood
from bayesreg.methods import Method
from bayesreg.model import Model
from bayesreg.posterior import Posterior
from bayesreg.priors import ARD, L1, L2, Batch, Entropic, Flat, FunctionPrior, Prior, Smoothness, WeightPrior

__version__ = "0.1.0"

__all__ = [
    "ARD",
    "L1",
    "L2",
    "Batch",
    "Bernoulli",
    "Categorical",
    "Data",
    "Dataset",
    "Diverged",
    "Entropic",
    "Flat",
    "FunctionPrior",
    "Gaussian",
    "Heteroscedastic",
    "Likelihood",
    "Method",
    "Model",
    "Posterior",
    "Prior",
    "Smoothness",
    "WeightPrior",
    "datasets",
    "fit",
    "guides",
    "methods",
    "metrics",
    "nets",
    "priors",
    "to_arviz",
]
