"""Files: whole or not there, and any later damage is refused."""

import errno
import io
import json

import pytest
import torch

from bayesreg.files import Unusable, load_tensors, read_json, remove_parts, save_tensors, sha256_of, write_atomically

STATE = {"weights": torch.arange(6.0).reshape(2, 3), "name": "l2", "epochs": [1, 2]}


@pytest.fixture
def saved(tmp_path):
    return save_tensors(tmp_path / "file.pt", "posterior", STATE)


def same(state):
    return torch.equal(state["weights"], STATE["weights"]) and {**state, "weights": 0} == {**STATE, "weights": 0}


def test_what_was_saved_comes_back_and_is_an_ordinary_file_of_pytorch(saved):
    assert same(load_tensors(saved, "posterior"))
    assert same(torch.load(saved, weights_only=True))


def test_every_flipped_bit_is_noticed(saved):
    whole = saved.read_bytes()
    for place in range(0, 8 * len(whole), 7):  # each position in a byte, in turn
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        saved.write_bytes(damaged)
        with pytest.raises(Unusable, match=r"file\.pt is not a posterior"):
            load_tensors(saved, "posterior")


def test_every_length_but_the_whole_is_noticed(saved):
    whole = saved.read_bytes()
    for damaged in [*(whole[:length] for length in range(0, len(whole), 11)), whole[:-1], whole + b"\0"]:
        saved.write_bytes(damaged)
        with pytest.raises(Unusable, match=r"file\.pt"):
            load_tensors(saved, "posterior")


def pytorch_file():
    made = io.BytesIO()
    torch.save(STATE, made)
    return made.getvalue()


FOREIGN = {"empty": b"", "text": b"Dear diary\n", "page": b"<html>404</html>", "PyTorch": pytorch_file()}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_refused_by_name(tmp_path, content):
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(Unusable, match=r"file\.pt is not a checkpoint that bayesreg saved"):
        load_tensors(tmp_path / "file.pt", "checkpoint")


def test_one_kind_is_not_read_as_another(saved):
    with pytest.raises(Unusable, match="is not a checkpoint"):
        load_tensors(saved, "checkpoint")


OTHER_JSON = {
    "empty": "",
    "half": '{"a": 1',
    "list": "[1]",
    "number": "3",
    "null": "null",
    "lacks a": '{"b": 1}',
    "not UTF-8": "\udcff",
    "deep": "[" * 10**5,
    "long": "9" * 5000,
}


@pytest.mark.parametrize("content", OTHER_JSON.values(), ids=OTHER_JSON)
def test_a_json_file_that_is_something_else_is_refused_by_name(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(Unusable, match=r"file\.json"):
        read_json(path, "a")


def test_a_json_object_is_read(tmp_path):
    (tmp_path / "file.json").write_text(json.dumps({"a": [1], "b": None}))
    assert read_json(tmp_path / "file.json", "a", "b") == {"a": [1], "b": None}


def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, lambda part: part.write_text("old"))

    def half(part):
        part.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*file\.txt'"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_halves_are_removed_and_nothing_else(tmp_path):
    others = [".a.json.lock", "a.json", ".b.json.1.part", ".a.jsonx.1.part"]
    for name in [*others, ".a.json.1.part", ".a.json.22.part"]:
        (tmp_path / name).touch()
    remove_parts(tmp_path / "a.json")
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_the_digest_of_tensors_tells_name_type_shape_and_value():
    x = torch.tensor([[1, 0], [0, 1]])
    others = [{"y": x}, {"x": x.int()}, {"x": x.flatten()}, {"x": x + 1}, {"x": x, "z": x}, {"x": x.bool()}]
    assert sha256_of({"x": x}) == sha256_of({"x": x.T.T.clone()})
    assert len({sha256_of(tensors) for tensors in [{"x": x}, *others]}) == 7
    kinds = [torch.tensor(1.5), torch.zeros(0, 3), torch.ones(2).bfloat16(), torch.ones(2) * 1j]
    assert len({sha256_of({"x": value}) for value in kinds}) == 4
