"""`python -m experiments.data`: the command `bayesreg data`, in a checkout."""

import sys

from bayesreg.cli.data import main

if __name__ == "__main__":
    sys.argv[0] = "python -m experiments.data"
    main()
