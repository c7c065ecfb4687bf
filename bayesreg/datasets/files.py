"""Files of public data sets below one root: found and verified."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import platformdirs

from bayesreg.progress import bar

SUMS = "SHA256SUMS"
UNPUBLISHED = "no published checksum"
MANY = 20  # files of a folder
LARGE = 10**8  # bytes that take a while to read
Sums = Mapping[str, Set[str]]


class Found(NamedTuple):
    """A file, and who vouches for it: "published checksum" or "SHA256SUMS"; else "no published checksum"."""

    path: Path
    provenance: str


@dataclass(frozen=True)
class Source:
    """What is published at one URL: a file that is read as it is, or an archive of such files.

    name      its place below the data root, with forward slashes; it is unpacked next to it
    url       where it is published
    checksum  of the published file, md5 or sha256, recognised by its length
    members   what it unpacks to, {place below the data root: published checksum or None}; {} is read as it is
    packed    whether it is read packed; then its members will do where only they are there
    limit     the most bytes that it may have, as published and unpacked: anything larger is not it
    """

    name: str
    url: str
    checksum: str
    members: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    packed: bool = False
    limit: int = 2**30

    def files(self, root: Path) -> Mapping[str, str | None]:
        """The files below `root` that are read: {name: published checksum or None}."""
        unpacked = any((root / member).exists() for member in self.members)
        if self.members and (not self.packed or (unpacked and not (root / self.name).exists())):
            return self.members
        return {self.name: self.checksum}

    def find(self, root: Path) -> dict[str, Found]:
        """Those files, verified. Raises as `find` does."""
        sums = read_sums(root)
        files = bar(self.files(root).items(), desc=f"verifying {self.name}")
        return {name: find(root, name, url=self.url, checksum=value, sums=sums) for name, value in files}


def data_root(data_dir: str | Path | None = None) -> Path:
    """The folder of all data: `data_dir`, else $BAYESREG_DATA, else the platform's cache."""
    root = data_dir or os.environ.get("BAYESREG_DATA") or platformdirs.user_cache_dir("bayesreg")
    return Path(root).expanduser()


def find(root: Path, name: str, *, url: str, checksum: str | None = None, sums: Sums | None = None) -> Found:
    """The file `name` (with forward slashes) below `root`, published at `url` with that md5 or sha256, if any.

    It is accepted when its checksum is the published one, or when root/SHA256SUMS, in the format of sha256sum, lists
    its own: so a re-packed copy with the same content can be used, and is recorded as such. Where none is published and
    none is listed, it is accepted as it is, and that is recorded. `sums` saves reading that list again.

    Raises FileNotFoundError if there is no such file, ValueError if its checksum is different.
    """
    algorithm, path = algorithm_of(checksum), root / name
    if not path.is_file():
        published = f"{algorithm} {checksum}" if checksum else f"{UNPUBLISHED}, but {SUMS} may list its sha256"
        raise FileNotFoundError(
            f"{name} is not in the data root {root}: get it from {url} and put it at {path} "
            f"({published}), or give another root as data_dir or $BAYESREG_DATA"
        )
    listed = (read_sums(root) if sums is None else sums).get(name, set())
    if checksum is None and not listed:
        return Found(path, UNPUBLISHED)
    digest = digest_of(path, algorithm)
    if digest == checksum:
        return Found(path, "published checksum")
    if listed and digest_of(path, "sha256") in listed:
        return Found(path, SUMS)
    expected = checksum or f"{' or '.join(sorted(listed))} of {root / SUMS}"
    raise ValueError(
        f"{path} is corrupt: got {algorithm} {digest}, expected {expected}. Get it again from {url}; or list its "
        f"sha256 in {root / SUMS} if it is a copy that you trust"
    )


def provenance(*found: Mapping[str, Found]) -> dict[str, str]:
    """Who vouches for each file, by name; a folder of many files is one line, "jpg (8189 files)"."""
    vouched = {name: file.provenance for part in found for name, file in part.items()}
    folders = Counter((name.rpartition("/")[0], who) for name, who in vouched.items())
    lines: dict[str, str] = {}
    for name, who in vouched.items():
        folder = name.rpartition("/")[0]
        count = folders[folder, who]
        lines[f"{folder} ({count} files)" if count > MANY else name] = who
    return lines


def algorithm_of(checksum: str | None) -> str:
    """Which algorithm made a checksum; sha256 where there is none."""
    return "md5" if checksum and len(checksum) == 32 else "sha256"


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, in hexadecimal."""
    digest, size = hashlib.new(algorithm), path.stat().st_size
    shown = bar(desc=f"verifying {path.name}", total=size, unit="B", unit_scale=True, show=size > LARGE)
    with path.open("rb") as file, shown:
        while chunk := file.read(2**20):
            digest.update(chunk)
            shown.update(len(chunk))
    return digest.hexdigest()


def read_sums(root: Path) -> Sums:
    """{name: its digests} that root/SHA256SUMS lists, if there is one; a line is "digest  name" or "digest *./name".

    Raises ValueError if it is not text.
    """
    listed: dict[str, set[str]] = {}
    sums = root / SUMS
    try:
        lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    except UnicodeDecodeError as error:
        raise ValueError(f"{sums} is not UTF-8 text ({error}): write it again with sha256sum, or delete it") from None
    for line in lines:
        digest, _, name = line.partition(" ")
        listed.setdefault(name[1:].removeprefix("./"), set()).add(digest.lower())
    return listed
