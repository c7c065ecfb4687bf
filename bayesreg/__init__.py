"""bayesreg: which prior should regularise this network?"""

from bayesreg import datasets, guides, metrics, nets, priors
from bayesreg.datasets import Data, Dataset
from bayesreg.diagnostics import to_arviz
from bayesreg.fit import Diverged, fit
from bayesreg.likelihoods import Bernoulli, Categorical, Gaussian, Heteroscedastic, Likelihood
from bayesreg.model import Model
from bayesreg.posterior import Posterior
from bayesreg.priors import (
    ARD,
    L1,
    L2,
    Batch,
    ElasticNet,
    Entropic,
    Flat,
    FunctionPrior,
    Latent,
    Prior,
    Smoothness,
    WeightPrior,
)

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
    "ElasticNet",
    "Entropic",
    "Flat",
    "FunctionPrior",
    "Gaussian",
    "Heteroscedastic",
    "Latent",
    "Likelihood",
    "Model",
    "Posterior",
    "Prior",
    "Smoothness",
    "WeightPrior",
    "datasets",
    "fit",
    "guides",
    "metrics",
    "nets",
    "priors",
    "to_arviz",
]
