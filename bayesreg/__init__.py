"""bayesreg: which prior should regularise this network?

The public names are those of the stub beside this file, each imported on first use, so that the command line answers
before PyTorch is loaded.
"""

import importlib
import sys
import types
from typing import Any

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(types.ModuleType):
    """`fit` names a module and the function in it: the package shows the function, whoever imports the module first."""

    @property
    def fit(self) -> Any:
        from bayesreg.fit import fit

        return fit

    @fit.setter
    def fit(self, module: Any) -> None:
        """Ignore what the import system sets for every module of a package."""

    def __reduce__(self) -> Any:
        return importlib.import_module, (self.__name__,)  # a function that names the package can be pickled


sys.modules[__name__].__class__ = _Package
