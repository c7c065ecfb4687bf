"""`python -m experiments.report`: the command `bayesreg report`, in a checkout."""

import sys

from bayesreg.cli.report import main

if __name__ == "__main__":
    sys.argv[0] = "python -m experiments.report"
    main()
