from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from bayesreg.datasets.cache import Arrays, cached


class Parser:
    """Parses a file of digits, and counts how often it is asked to."""

    def __init__(self, root: Path) -> None:
        self.root, self.raw, self.calls = root, root / "raw.txt", 0
        self.raw.write_text("123")

    def parse(self) -> Arrays:
        self.calls += 1
        return {"x": np.array([int(digit) for digit in self.raw.read_text()])}

    def load(self, **options: int) -> list[int]:
        return cached(self.root, "mine", [self.raw], self.parse, **options)["x"].tolist()

    @property
    def file(self) -> Path:
        (file,) = (self.root / "cache").iterdir()
        return file


@pytest.fixture
def parser(tmp_path: Path) -> Parser:
    return Parser(tmp_path)


def test_parses_once(parser: Parser) -> None:
    assert parser.load() == parser.load() == [1, 2, 3]
    assert parser.calls == 1


def test_other_content_other_options_and_other_code_are_parsed_anew(parser: Parser) -> None:
    parser.load(version=1, size=8)
    for options in ({"version": 2, "size": 8}, {"version": 1, "size": 9}):
        parser.load(**options)
    parser.raw.write_text("12")
    assert parser.load(version=1, size=8) == [1, 2]
    assert parser.calls == 4


@pytest.mark.parametrize("damage", ["empty", "half", "text", "a bit", "a pickle", "one array"])
def test_a_damaged_file_is_made_again_and_the_log_says_so(
    parser: Parser, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    parser.load()
    content = bytearray(parser.file.read_bytes())
    content[content.index(b"\x02\x00\x00\x00\x00\x00\x00\x00")] ^= 1  # in the numbers
    if damage == "one array":
        with parser.file.open("wb") as file:
            np.save(file, np.ones(3))
    elif damage == "a pickle":
        np.savez(parser.file, x=np.array([{}], dtype=object))
    else:
        half = content[: len(content) // 2]
        parser.file.write_bytes({"empty": b"", "half": half, "text": b"no archive", "a bit": content}[damage])
    assert parser.load() == parser.load() == [1, 2, 3]
    assert parser.calls == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{parser.file} is damaged" in caplog.text


def test_a_failing_parser_leaves_nothing(parser: Parser) -> None:
    parser.raw.write_text("12x")
    with pytest.raises(ValueError, match="invalid literal"):
        parser.load()
    assert not (parser.root / "cache").exists()


def test_goes_on_without_a_place_to_write(parser: Parser, caplog: pytest.LogCaptureFixture) -> None:
    (parser.root / "cache").write_text("a file in the place of the folder")
    with caplog.at_level(logging.WARNING):
        assert parser.load() == [1, 2, 3]
    assert "mine is parsed on every start" in caplog.text
