"""The baselines of a run's data: see `bayesreg.baseline_cache`."""

from bayesreg.baseline_cache import record

__all__ = ["record"]
