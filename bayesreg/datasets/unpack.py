"""Archives, unpacked: nothing is written outside their folder, and no file is ever partly there."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from bayesreg.files import write_atomically
from bayesreg.progress import bar

from .files import SUMS, Source, digest_of


def unpack(source: Source, root: Path) -> None:
    """Move the members of the verified archive into their places; SHA256SUMS vouches for those without a checksum.

    Each appears there whole. Raises ValueError where the archive does not hold them, or declares more bytes than the
    source may have, OSError where there is no room for it: the archive stays.
    """
    archive = root / source.name
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{archive.name}.") as folder:
        try:
            _extract(archive, Path(folder), source.limit)
            for name in source.members:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(folder) / (root / name).relative_to(archive.parent), root / name)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, FileNotFoundError) as error:
            raise ValueError(f"{archive} does not hold what it should: {error}") from error
        except OSError as error:
            raise OSError(f"{archive} cannot be unpacked next to it: {error}. The same command resumes") from error
    _vouch(root, [name for name, checksum in source.members.items() if checksum is None])


def _extract(archive: Path, folder: Path, limit: int) -> None:
    """Everything in an archive, and in those within it, below `folder` and nowhere else: at most `limit` bytes."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as outer:
            left = limit - _declared(archive, (member.file_size for member in outer.infolist()), limit)
            outer.extractall(folder, bar(outer.namelist(), desc=f"unpacking {archive.name}"))
        for inner in folder.glob("*.zip"):
            _extract(
                inner.rename(inner.with_suffix(".unpacked")), folder, left
            )  # renamed, so that it is not found again
    else:
        with tarfile.open(archive) as tar:
            _declared(archive, (member.size for member in tar), limit)
            tar.extractall(folder, bar(tar.getmembers(), desc=f"unpacking {archive.name}"), filter="data")


def _declared(archive: Path, sizes: Iterable[int], limit: int) -> int:
    """The total size that an archive declares for its members, read only until it is too large."""
    total = 0
    for size in sizes:
        total += size
        if total > limit:
            raise ValueError(f"{archive} says that it unpacks to {total} bytes or more, its files have at most {limit}")
    return total


def _vouch(root: Path, names: list[str]) -> None:
    """List the files in root/SHA256SUMS, replacing what it says about them."""
    if not names:
        return
    sums = root / SUMS
    with FileLock(root / f".{SUMS}.lock"):
        lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
        ours = set(names)
        lines = [line for line in lines if line.partition(" ")[2][1:].removeprefix("./") not in ours]
        lines += [f"{digest_of(root / name)}  {name}" for name in names]
        text = "".join(f"{line}\n" for line in lines)
        write_atomically(sums, lambda part: part.write_text(text, encoding="utf-8"))
