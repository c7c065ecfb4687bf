"""`python -m bayesreg`: the command `bayesreg`."""

from bayesreg.cli.__main__ import main

main()
