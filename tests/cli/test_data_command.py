"""bayesreg data, on files at file:// addresses."""

import hashlib

import pytest

from bayesreg import datasets
from bayesreg.cli import data
from bayesreg.datasets import Source


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Two data sets: "letters" of two files, "many" of an archive of 30. The folder that publishes them."""
    folder = tmp_path / "published"
    folder.mkdir()
    sources = []
    for name in ("a", "b"):
        (folder / name).write_text(f"letter {name}")
        checksum = hashlib.md5((folder / name).read_bytes()).hexdigest()
        sources.append(Source(f"letters/{name}", (folder / name).as_uri(), checksum))
    many = Source("many.zip", "https://example.org/many.zip", "0" * 32, {f"many/{i}": None for i in range(30)})
    monkeypatch.setattr(datasets, "SOURCES", {"letters": tuple(sources), "many": (many,)})
    return folder


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run it with a root of its own: (exit status, standard output, standard error)."""

    def run(*options):
        monkeypatch.setattr("sys.argv", ["data", *options, "--data-dir", str(tmp_path / "root")])
        with pytest.raises(SystemExit) as end:
            data.main()
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return run


@pytest.mark.usefixtures("published")
def test_verify_names_what_is_missing_then_fetch_gets_it(command, tmp_path):
    status, out, err = command("verify", "letters")
    assert (status, out) == (1, "")
    assert all(str(tmp_path / "root/letters" / name) in err for name in ("a", "b"))
    assert command("fetch", "letters") == (0, "letters/a: published checksum\nletters/b: published checksum\n", "")
    assert command("verify", "letters")[0] == 0


@pytest.mark.usefixtures("published")
def test_verify_tells_a_corrupt_file_from_the_others(command, tmp_path):
    command("fetch", "letters")
    (tmp_path / "root/letters/a").write_text("letter?")
    status, out, err = command("verify", "letters")
    assert (status, out) == (1, "letters/b: published checksum\n")
    assert f"{tmp_path / 'root/letters/a'} is corrupt" in err


def test_fetch_says_what_cannot_be_had_and_goes_on_with_the_others(command, published, monkeypatch):
    monkeypatch.setattr("bayesreg.datasets.download.PAUSE", 0.0)
    monkeypatch.setattr(datasets, "SOURCES", dict(reversed(datasets.SOURCES.items())))
    (published / "b").write_text("another letter")
    (many,) = datasets.SOURCES["many"]
    object.__setattr__(many, "url", (published / "nothing").as_uri())
    status, out, err = command("fetch", "all")
    assert status == 1
    assert f"{many.url} cannot be downloaded" in err
    assert "is not what was published" in err
    assert "Traceback" not in out + err


@pytest.mark.usefixtures("published")
def test_a_folder_of_many_files_is_one_line(command, tmp_path):
    files = [tmp_path / "root/many" / str(i) for i in range(30)]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_text(file.name)
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  many/{file.name}\n" for file in files)
    (tmp_path / "root/SHA256SUMS").write_text(sums)
    assert command("verify", "many") == (0, "many/ (30 files): SHA256SUMS\n", "")


@pytest.mark.usefixtures("published")
def test_files_without_a_published_checksum_are_no_error(command, tmp_path):
    files = [tmp_path / "root/many" / str(i) for i in range(30)]
    files[0].parent.mkdir(parents=True)
    for file in files:
        file.write_text(file.name)
    assert command("verify", "many") == (0, "many/ (30 files): no published checksum\n", "")


@pytest.mark.usefixtures("published")
def test_an_unknown_name_is_refused(command):
    status, _, err = command("verify", "digits")
    assert status == 2
    assert "no data set of files is called 'digits': all, or one of letters, many" in err
