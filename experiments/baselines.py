"""`python -m experiments.baselines`: the command `bayesreg baselines`, in a checkout."""

import sys

from bayesreg.cli.baselines import main

if __name__ == "__main__":
    sys.argv[0] = "python -m experiments.baselines"
    main()
