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

SUMS = "SHA256SUMS"
MANY = 20  # files of a folder
Sums = Mapping[str, Set[str]]


class Found(NamedTuple):
    """A verified file, and who vouches for it: "published checksum" or "SHA256SUMS"."""

    path: Path
    provenance: str


@dataclass(frozen=True)
class Source:
    """What is published at one URL: a file that is read as it is, or an archive of such files.

    name      its place below the data root, with forward slashes; it is unpacked beside itself
    url       where it is published
    checksum  of the published file, md5 or sha256, told by the length
    members   what it unpacks to, {place below the data root: published checksum or None}; {} is read as it is
    packed    whether it is read packed; its members, where they alone are there, are then as good
    """

    name: str
    url: str
    checksum: str
    members: Mapping[str, str | None] = field(default_factory=dict)
    packed: bool = False

    def files(self, root: Path) -> Mapping[str, str | None]:
        """The files below `root` that are read: {name: published checksum or None}."""
        unpacked = any((root / member).exists() for member in self.members)
        if self.members and (not self.packed or (unpacked and not (root / self.name).exists())):
            return self.members
        return {self.name: self.checksum}

    def find(self, root: Path) -> dict[str, Found]:
        """Those files, verified. Raises as `find` does."""
        files, sums = self.files(root), read_sums(root)
        return {name: find(root, name, url=self.url, checksum=value, sums=sums) for name, value in files.items()}


def data_root(data_dir: str | Path | None = None) -> Path:
    """The folder of all data: `data_dir`, else $BAYESREG_DATA, else the platform's cache."""
    root = data_dir or os.environ.get("BAYESREG_DATA") or platformdirs.user_cache_dir("bayesreg")
    return Path(root).expanduser()


def find(root: Path, name: str, *, url: str, checksum: str | None = None, sums: Sums | None = None) -> Found:
    """The file `name` (with forward slashes) below `root`, published at `url` with that md5 or sha256, if any.

    It is taken when its checksum is the published one, or when root/SHA256SUMS, in the format of sha256sum,
    lists it with its own: so a re-packed copy of equal content can be used, and is recorded as such. `sums`
    spares reading that list once more.

    Raises FileNotFoundError if there is no such file, ValueError if nobody vouches for its content.
    """
    algorithm, path = algorithm_of(checksum), root / name
    published = f"{algorithm} {checksum}" if checksum else f"listed in {root / SUMS}, since no checksum is published"
    if not path.is_file():
        raise FileNotFoundError(
            f"{name} is not in the data root {root}: get it from {url} and put it at {path} "
            f"({published}), or give another root as data_dir or $BAYESREG_DATA"
        )
    digest = digest_of(path, algorithm)
    if digest == checksum:
        return Found(path, "published checksum")
    if digest_of(path, "sha256") in (read_sums(root) if sums is None else sums).get(name, ()):
        return Found(path, SUMS)
    raise ValueError(
        f"{path} is corrupt: got {algorithm} {digest}, expected {checksum or published}, and {root / SUMS} does not "
        f"vouch for it. Get it again from {url}; or add its sha256 to {SUMS} if it is a copy that you trust"
    )


def provenance(*found: Mapping[str, Found]) -> dict[str, str]:
    """Who vouches for each file, by name; the many files of a folder are one line, "jpg (8189 files)"."""
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def read_sums(root: Path) -> Sums:
    """{name: its digests} that root/SHA256SUMS lists, if there is one; a line is "digest  name" or "digest *./name"."""
    listed: dict[str, set[str]] = {}
    sums = root / SUMS
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []:
        digest, _, name = line.partition(" ")
        listed.setdefault(name[1:].removeprefix("./"), set()).add(digest.lower())
    return listed
