"""Files of public data sets below one root: found, verified, and unpickled without running their code."""

from __future__ import annotations

import codecs
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs

SUMS = "SHA256SUMS"


class Found(NamedTuple):
    """A verified file, and who vouches for it: "published checksum" or "SHA256SUMS"."""

    path: Path
    provenance: str


def data_root(data_dir: str | Path | None = None) -> Path:
    """The folder of all data: `data_dir`, else $BAYESREG_DATA, else the platform's cache."""
    root = data_dir or os.environ.get("BAYESREG_DATA") or platformdirs.user_cache_dir("bayesreg")
    return Path(root).expanduser()


def find(root: Path, name: str, *, url: str, md5: str | None = None, sha256: str | None = None) -> Found:
    """The file `name` (with forward slashes) below `root`, published at `url` with one of the checksums.

    It is taken when its checksum is the published one, or when root/SHA256SUMS, in the format of sha256sum,
    lists it with its own: so a re-packed copy of equal content can be used, and is recorded as such.

    Raises FileNotFoundError if there is no such file, ValueError if nobody vouches for its content.
    """
    algorithm, published = ("sha256", sha256) if sha256 else ("md5", md5)
    path = root / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} is not in the data root {root}: get it from {url} and put it at {path} "
            f"({algorithm} {published}), or give another root as data_dir or $BAYESREG_DATA"
        )
    digest = _digest(path, algorithm)
    if digest == published:
        return Found(path, "published checksum")
    if _digest(path, "sha256") in _listed(root / SUMS, name):
        return Found(path, SUMS)
    raise ValueError(
        f"{path} is corrupt: got {algorithm} {digest}, expected {published}, and {root / SUMS} does not "
        f"vouch for it. Get it again from {url}; or add its sha256 to {SUMS} if it is a copy that you trust"
    )


def read_pickle(path: Path) -> Any:
    """What a pickle of plain containers and NumPy arrays holds; the strings of Python 2 come as bytes.

    Raises ValueError if it is broken, or asks for anything else: a pickle can name any function to be called.
    """
    with path.open("rb") as file:
        try:
            return _ArrayUnpickler(file, encoding="bytes").load()
        except Exception as error:  # a broken stream can fail as EOFError, KeyError, TypeError, MemoryError, ...
            raise ValueError(f"{path} is not a pickle of arrays: {error}. Get the published file") from error


# NumPy has moved and hidden this function more than once, but every array names it.
_reconstruct = np.empty(0).__reduce__()[0]

_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,  # how Python 3 writes bytes at protocol 2
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused") from None


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _listed(sums: Path, name: str) -> set[str]:
    """The digests that a sha256sum file lists for `name`; a line is "digest  name" or "digest *./name"."""
    if not sums.is_file():
        return set()
    lines = (line.partition(" ") for line in sums.read_text(encoding="utf-8").splitlines())
    return {digest.lower() for digest, _, listed in lines if listed[1:].removeprefix("./") == name}
