"""Reviews of films, good or bad."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np

from bayesreg.progress import bar

from .base import Data, Dataset, split
from .cache import Arrays, cached
from .files import Source, data_root, provenance

VERSION = 1  # of the parsing: cached arrays of another version are not read
URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
SOURCE = Source("imdb/aclImdb_v1.tar.gz", URL, "7c2ac02c03563afcf9b574c7e56c153a", limit=10**8)
REVIEW = re.compile(r"aclImdb/(train|test)/(neg|pos)/\d+_\d+\.txt")
WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[!?]")  # don't is one word; ! and ? express a mood
BREAK = "<br />"
PADDING, UNKNOWN = 0, 1


def load(data_dir: str | Path | None = None, words: int = 20_000, length: int = 400) -> Data:
    """IMDB: x int64 [n, length], the tokens of a review, with 0 after its end; y int64 [n], 1 for a good one.

    Token 1 is a word out of the vocabulary, the others are the `words` − 2 most frequent words of the training
    split, the most frequent first. The first `length` words of a longer review are kept. An empty one is a single 1.
    22,500 train and 2,500 validation, stratified, out of the published 25,000; the published 25,000 test.

    Source: Maas et al., "Learning word vectors for sentiment analysis", ACL, 2011.
    Raises FileNotFoundError or ValueError where imdb/aclImdb_v1.tar.gz is missing, corrupt or without reviews.
    """
    root = data_root(data_dir)
    found = SOURCE.find(root)
    path = found[SOURCE.name].path
    options = {"version": VERSION, "words": words, "length": length}
    arrays = cached(root, "imdb", [path], lambda: parse(path, words, length), **options)
    parts = ((arrays[f"{part}_x"], arrays[f"{part}_y"]) for part in ("train", "validation", "test"))
    train, validation, test = (Dataset(*part) for part in parts)
    return Data(
        name="imdb",
        train=train,
        validation=validation,
        test=test,
        classes=2,
        target="1 for a review of 7 to 10 stars, 0 for one of 1 to 4",
        provenance=provenance(found),
        fixed="its test split is published",
    )


def parse(path: Path, words: int, length: int) -> Arrays:
    """x [n, length] and y [n] of each split, by the vocabulary of the training split."""
    texts, y = read(path)
    rest, held_out = split(len(y["train"]), 0.1, labels=y["train"])
    vocabulary = count((tokenise(texts["train"][i]) for i in bar(rest, desc="counting words")), words)
    x = {part: encode(map(tokenise, bar(texts[part], desc="numbering words")), vocabulary, length) for part in texts}
    chosen = {"train": ("train", rest), "validation": ("train", held_out), "test": ("test", np.arange(len(y["test"])))}
    arrays = {f"{name}_x": x[part][indices] for name, (part, indices) in chosen.items()}
    return arrays | {f"{name}_y": y[part][indices] for name, (part, indices) in chosen.items()}


def read(path: Path) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """The texts and their y [n], 1 for good, of {"train", "test"}, in the order of the archive.

    Raises ValueError if the archive is broken, or has no good or no bad reviews in one of them.
    """
    texts: dict[str, list[str]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in bar(archive, desc="reading reviews"):
                if named := REVIEW.fullmatch(member.name):
                    part, kind = named.groups()
                    text = archive.extractfile(member).read()  # type: ignore[union-attr]
                    texts[part].append(text.decode(errors="replace"))
                    labels[part].append(int(kind == "pos"))
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is broken: {error}. Get it from {URL}") from error
    for part, seen in labels.items():
        if set(seen) != {0, 1}:
            raise ValueError(f"{path} has no reviews in aclImdb/{part}/neg or in aclImdb/{part}/pos: get it from {URL}")
    return texts, {part: np.array(seen) for part, seen in labels.items()}


def tokenise(text: str) -> list[str]:
    """The words of a text, in lower case, and its ! and ?."""
    return WORD.findall(text.lower().replace(BREAK, " "))


def count(reviews: Iterable[list[str]], words: int) -> dict[str, int]:
    """{word: token} of the most frequent words, from 2; ties are in alphabetical order."""
    ranked = sorted(Counter(chain.from_iterable(reviews)).items(), key=lambda item: (-item[1], item[0]))
    return {word: token for token, (word, _) in enumerate(ranked[: words - 2], start=UNKNOWN + 1)}


def encode(reviews: Iterable[list[str]], vocabulary: dict[str, int], length: int) -> np.ndarray:
    """Tokens int32 [n, length]; an empty review has one unknown word, so that no sequence has length 0."""
    rows = [[vocabulary.get(word, UNKNOWN) for word in review[:length]] or [UNKNOWN] for review in reviews]
    x = np.full((len(rows), length), PADDING, np.int32)
    for row, tokens in zip(x, rows, strict=True):
        row[: len(tokens)] = tokens
    return x
