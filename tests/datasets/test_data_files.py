from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import platformdirs
import pytest

from bayesreg.datasets.files import Found, data_root, digest_of, find, provenance

URL = "https://example.org/letter.txt"
TEXT = b"dear reader"
MD5 = hashlib.md5(TEXT).hexdigest()
SHA256 = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    (tmp_path / "post").mkdir()
    (tmp_path / "post/letter.txt").write_bytes(TEXT)
    return tmp_path


def test_the_root_is_the_argument_else_the_variable_else_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAYESREG_DATA", "from_variable")
    assert data_root("from_argument") == Path("from_argument")
    assert data_root() == Path("from_variable")
    assert data_root("~/data") == Path.home() / "data"
    monkeypatch.delenv("BAYESREG_DATA")
    assert data_root() == Path(platformdirs.user_cache_dir("bayesreg"))
    monkeypatch.setenv("BAYESREG_DATA", "")
    assert data_root() == Path(platformdirs.user_cache_dir("bayesreg"))


@pytest.mark.parametrize("checksum", [MD5, SHA256])
def test_takes_a_published_file(letter: Path, checksum: str) -> None:
    found = find(letter, "post/letter.txt", url=URL, checksum=checksum)
    assert found == (letter / "post/letter.txt", "published checksum")


@pytest.mark.parametrize("line", ["{digest}  {name}", "{digest} *{name}", "{digest}  ./{name}", "{digest} *./{name}"])
@pytest.mark.parametrize("checksum", ["0" * 32, "0" * 64, None])
def test_takes_a_file_that_the_root_vouches_for(
    letter: Path, vouch: Callable[..., None], line: str, checksum: str | None
) -> None:
    vouch(letter, line)
    assert find(letter, "post/letter.txt", url=URL, checksum=checksum).provenance == "SHA256SUMS"


def test_refuses_a_corrupt_file(letter: Path, vouch: Callable[..., None]) -> None:
    vouch(letter)
    (letter / "post/letter.txt").write_bytes(TEXT + b"!")
    with pytest.raises(ValueError, match=rf"letter.txt is corrupt: got md5 [0-9a-f]+, expected {MD5}") as error:
        find(letter, "post/letter.txt", url=URL, checksum=MD5)
    assert hashlib.md5(TEXT + b"!").hexdigest() in str(error.value)
    assert URL in str(error.value)


def test_says_that_no_checksum_is_published(letter: Path) -> None:
    assert find(letter, "post/letter.txt", url=URL) == (letter / "post/letter.txt", "no published checksum")


def test_refuses_a_file_vouched_for_under_another_name(letter: Path) -> None:
    (letter / "SHA256SUMS").write_text(f"{SHA256}  letter.txt\n{SHA256}  post/letter\n\nnonsense\n")
    with pytest.raises(ValueError, match="corrupt"):
        find(letter, "post/letter.txt", url=URL, checksum="0" * 32)


def test_a_list_that_is_no_text_is_named(letter: Path) -> None:
    (letter / "SHA256SUMS").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="SHA256SUMS is not UTF-8 text"):
        find(letter, "post/letter.txt", url=URL)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_the_digest_is_that_of_the_whole_file(tmp_path: Path, algorithm: str, size: int) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    assert digest_of(tmp_path / "file", algorithm) == hashlib.new(algorithm, bytes(size)).hexdigest()


def test_says_where_to_put_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        find(tmp_path, "post/letter.txt", url=URL, checksum=SHA256)
    for said in [URL, f"sha256 {SHA256}", str(tmp_path / "post/letter.txt"), "data_dir", "$BAYESREG_DATA"]:
        assert said in str(error.value)


def test_the_many_files_of_a_folder_are_one_line_each_voucher(tmp_path):
    def found(who):
        return Found(tmp_path, who)

    several = {f"jpg/{n}": found("SHA256SUMS") for n in range(30)} | {"jpg/odd": found("published checksum")}
    one = {"labels.mat": found("published checksum")}
    assert provenance(several, one) == {
        "jpg (30 files)": "SHA256SUMS",
        "jpg/odd": "published checksum",
        "labels.mat": "published checksum",
    }
