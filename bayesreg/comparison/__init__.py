"""The comparison of methods on tasks: which runs it has, in which order, how long they take, and where they are kept.

Comparison → Plan (which runs) → Stages (in which order, within a Budget) → Work (does them on an engine)
"""

from bayesreg.comparison.comparison import FIRST_TUNING, Comparison, usual_output

__all__ = ["FIRST_TUNING", "Comparison", "usual_output"]
