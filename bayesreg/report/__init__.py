"""From run directories to figures, tables and one HTML page, with pandas alone.

runs = load("runs")             # one row per run
histories(runs)                 # one row per run and epoch
baselines(runs)                 # one row per task and baseline
print(terminal(runs))           # the table for the terminal
write("runs", "reports/mine")   # reports/mine/index.html, results.csv, selected.csv and pictures
"""

from bayesreg.report.baselines import baselines
from bayesreg.report.histories import histories
from bayesreg.report.load import left_out, load
from bayesreg.report.page import Said, write
from bayesreg.report.record import failure
from bayesreg.report.terminal import terminal

__all__ = ["Said", "baselines", "failure", "histories", "left_out", "load", "terminal", "write"]
