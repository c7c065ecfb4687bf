from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from made import write_imdb

from bayesreg.datasets import Data, imdb, load

NAMES = [f"{part}/{kind}/{n}_9.txt" for part in ("train", "test") for kind in ("pos", "neg") for n in range(10)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Great, isn't it?<br /><br />10/10!", ["great", "isn't", "it", "?", "10", "10", "!"]),
        ("'quoted' -- and so-called...", ["quoted", "and", "so", "called"]),
        ("", []),
        ("<br /> ... --", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert imdb.tokenise(text) == words


def test_the_most_frequent_words_come_first_and_the_alphabet_decides() -> None:
    reviews = [["b", "a", "a"], ["c", "b", "a", "d"]]
    assert imdb.count(reviews, 5) == {"a": 2, "b": 3, "c": 4}


def test_tokens_end_with_padding_and_long_reviews_are_cut() -> None:
    x = imdb.encode([["a", "x", "b"], [], ["b"] * 9], {"a": 2, "b": 3}, 4)
    assert x.tolist() == [[2, 1, 3, 0], [1, 0, 0, 0], [3, 3, 3, 3]]


def test_tokens_belong_to_their_review(imdb_root: Path) -> None:
    data = load("imdb", imdb_root)
    for part in (data.train, data.validation, data.test):
        assert part.x.shape == (len(part), 400)
        good = (part.x == data.train.x[data.train.y == 1][0, 1]).any(1)  # "great"
        assert torch.equal(good.long(), part.y)


def test_the_vocabulary_is_of_the_training_split_alone(imdb_root: Path) -> None:
    """Each review has a word of its own: those of the training split are known, the others are not."""
    data = load("imdb", imdb_root)
    known = {part: (getattr(data, part).x == 1).any(1) for part in ("train", "validation", "test")}
    assert not known["train"].any()
    texts, y = imdb.read(imdb_root / imdb.SOURCE.name)
    rest, held_out = imdb.split(len(y["train"]), 0.1, labels=y["train"])
    words = {word for i in rest for word in imdb.tokenise(texts["train"][i])}
    unknown = [bool(set(imdb.tokenise(texts["train"][i])) - words) for i in held_out]
    assert known["validation"].tolist() == unknown
    assert any(unknown)


def test_an_empty_review_is_one_unknown_word(tmp_path: Path) -> None:
    data = load("imdb", write_imdb(tmp_path, dict.fromkeys(NAMES, b"") | {NAMES[0]: b"fine"}))
    assert data.test.x[:, 0].tolist() == [1] * 20
    assert data.test.x[:, 1:].sum() == 0
    assert (torch.cat([data.train.x, data.validation.x]) != 0).sum(1).tolist() == [1] * 20


def test_text_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    data = load("imdb", write_imdb(tmp_path, dict.fromkeys(NAMES, b"caf\xe9 fine")))
    assert (data.test.x[0] != 0).sum() == 2


def test_the_second_start_reads_no_review(imdb_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("imdb", imdb_root)
    monkeypatch.setattr(imdb, "read", None)
    assert torch.equal(load("imdb", imdb_root).train.x, first.train.x)


@pytest.mark.parametrize("content", [b"", b"no archive", "half"])
def test_refuses_a_broken_archive(imdb_root: Path, vouch: Callable[[Path], None], content: bytes | str) -> None:
    path = imdb_root / imdb.SOURCE.name
    path.write_bytes(path.read_bytes()[:600] if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=rf"{path} is corrupt: got md5 .* expected {imdb.SOURCE.checksum}"):
        load("imdb", imdb_root)
    vouch(imdb_root)
    with pytest.raises(ValueError, match=f"{path} is broken: .*{imdb.URL}"):
        load("imdb", imdb_root)


@pytest.mark.parametrize(("lacking", "part"), [("test/pos", "test"), ("train/neg", "train"), ("t", "train")])
def test_refuses_an_archive_without_reviews(tmp_path: Path, lacking: str, part: str) -> None:
    kinds = [f"{part}/{kind}" for part in ("train", "test") for kind in ("pos", "neg")]
    reviews = {f"{kind}/1_1.txt": b"a film" for kind in kinds if not kind.startswith(lacking)}
    with pytest.raises(ValueError, match=f"has no reviews in aclImdb/{part}/neg or in aclImdb/{part}/pos"):
        load("imdb", write_imdb(tmp_path, reviews))


def test_the_real_imdb(real: Callable[[str], Data]) -> None:
    data = real("imdb")
    assert list(map(len, (data.train, data.validation, data.test))) == [22_500, 2_500, 25_000]
    for part in (data.train, data.validation, data.test):
        assert part.y.double().mean() == 0.5
        assert part.x[:, 0].min() >= 1
        assert part.x.max() == 19_999
        lengths = (part.x != 0).sum(1)
        assert torch.equal(lengths, (part.x != 0).long().cumprod(1).sum(1))  # padding at the end alone
        assert 200 < lengths.double().mean() < 250
        assert (part.x == 1).sum() / lengths.sum() < 0.05
