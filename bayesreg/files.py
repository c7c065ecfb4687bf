"""Files that are whole or not there: nobody sees a partial one, and later damage is noticed."""

from __future__ import annotations

import errno
import glob
import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FULL = (errno.ENOSPC, errno.EDQUOT)  # of an OSError: no space left, on the disk or for this user


class Unusable(ValueError):
    """A file that is damaged, or not what it is read as."""


def write_atomically(path: str | Path, write: Callable[[Path], Any]) -> Path:
    """Let `write` fill a file beside `path`, then move it into place; the old file stays if it fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")  # process numbers repeat across machines
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a full disk has no name
        raise
    finally:
        part.unlink(missing_ok=True)
    return path


def remove_parts(path: Path) -> None:
    """Remove what killed processes left while writing `path`; to be called by the one process that may write it now."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        part.unlink(missing_ok=True)


def save_tensors(path: str | Path, kind: str, state: dict[str, Any]) -> Path:
    """Write a state as `torch.save` does, a zip archive, with its kind and SHA-256 as the archive's comment."""
    archive = io.BytesIO()
    torch.save(state, archive)
    body = archive.getbuffer()[:-2]  # all but the length of the comment, which is 0

    def write(part: Path) -> None:
        with part.open("wb") as file:
            file.write(body)
            file.write(_comment(kind, body))

    return write_atomically(path, write)


def load_tensors(path: str | Path, kind: str) -> dict[str, Any]:
    """What `save_tensors` wrote, on the CPU. `Unusable` unless the file is of that kind and whole, bit for bit."""
    whole = check_tensors(path, kind)
    try:
        return torch.load(io.BytesIO(whole), map_location="cpu", weights_only=True)
    except Exception as error:  # intact, but not for this version of PyTorch
        raise Unusable(f"{path} cannot be read by PyTorch {torch.__version__}: {error}") from None


def check_tensors(path: str | Path, kind: str) -> memoryview:
    """The bytes of what `save_tensors` wrote. `Unusable` unless the file is of that kind and whole, bit for bit."""
    whole = memoryview(Path(path).read_bytes())
    body = whole[: -len(_comment(kind, b""))]
    if whole[len(body) :] != _comment(kind, body):
        what = "empty" if not len(whole) else "damaged, or from elsewhere" if whole[:2] == b"PK" else "of another kind"
        raise Unusable(f"{path} is not a {kind} that bayesreg saved: it is {what}")
    return whole


def _comment(kind: str, body: bytes | memoryview) -> bytes:
    text = f"bayesreg {kind}, sha256 {hashlib.sha256(body).hexdigest()}".encode()
    return len(text).to_bytes(2, "little") + text


def read_json(path: Path, *needed: str) -> dict[str, Any]:
    """The JSON object in a file, which has the keys `needed`. `Unusable` for anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path} is not readable as JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(value, dict):
        raise Unusable(f"{path} holds {type(value).__name__}, not a JSON object")
    if missing := [key for key in needed if key not in value]:
        raise Unusable(f"{path} lacks {', '.join(missing)}")
    return value


def are_numbers(value: Any) -> bool:
    """Whether it is a table {name: number}."""
    return isinstance(value, dict) and all(isinstance(number, int | float) for number in value.values())


def sha256_of(tensors: Mapping[str, Tensor]) -> str:
    """64 hexadecimal digits: a hash of tensors, of their names, types, shapes and values."""
    made = hashlib.sha256()
    for name, tensor in tensors.items():
        made.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        made.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return made.hexdigest()
