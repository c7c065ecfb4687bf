from __future__ import annotations

import codecs
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bayesreg.datasets import unpickle
from bayesreg.datasets.unpickle import read_pickle

ARRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)

# As Python 2 wrote it: strings of bytes, NumPy's old module, integers for the flags of a dtype.
PYTHON2 = (
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    b"(K\x01K\x03K\x04\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    b"K\x00tb\x89U\x0c" + ARRAY.tobytes() + b"tbU\x06labels](K\x07K\x08eu."
)


def test_reads_a_pickle_of_python_2(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(PYTHON2)
    batch = read_pickle(tmp_path / "batch")
    assert batch[b"labels"] == [7, 8]
    np.testing.assert_array_equal(batch[b"data"], ARRAY)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_a_pickle_of_python_3(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": ARRAY, b"labels": [7, 8]}, protocol))
    np.testing.assert_array_equal(read_pickle(tmp_path / "batch")[b"data"], ARRAY)


@pytest.mark.parametrize("length", [0, 1, 20, 60, len(PYTHON2) // 2, len(PYTHON2) - 1])
def test_refuses_a_truncated_pickle(tmp_path: Path, length: int) -> None:
    (tmp_path / "batch").write_bytes(PYTHON2[:length])
    with pytest.raises(ValueError, match="batch is not a pickle of arrays"):
        read_pickle(tmp_path / "batch")


class Payload:
    """A call, and the state of what it returns."""

    def __init__(self, *call: object, state: object = None) -> None:
        self.call, self.state = call, state

    def __reduce__(self) -> tuple[object, ...]:
        return self.call[0], self.call[1:], self.state


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_refuses_code_in_a_pickle_and_does_not_run_it(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": Payload(os.mkdir, str(trap))}, protocol))
    with pytest.raises(ValueError, match=r"batch is not a pickle.*asks for \w+\.mkdir, which is refused"):
        read_pickle(tmp_path / "batch")
    assert not trap.exists()
    pickle.loads((tmp_path / "batch").read_bytes())  # the trap does work
    assert trap.exists()


@pytest.mark.parametrize("call", [(eval, "1"), (getattr, ARRAY, "tofile"), (np.load, "x"), (np.ndarray.tofile, 1)])
def test_refuses_every_other_name(tmp_path: Path, call: tuple[object, ...]) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps(Payload(*call), protocol=4))
    with pytest.raises(ValueError, match="which is refused"):
        read_pickle(tmp_path / "batch")


@pytest.mark.parametrize("array", [np.array([1.5, -2]), np.arange(6, dtype=">i4").reshape(2, 3).T, np.array([True])])
def test_reads_numbers_of_every_kind(tmp_path: Path, array: np.ndarray) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps(array, 2))
    read = read_pickle(tmp_path / "batch")
    assert read.dtype == pickle.loads(pickle.dumps(array, 2)).dtype
    np.testing.assert_array_equal(read, array)


PLAIN = (3, "|", None, None, None, -1, -1, 0)
OBJECT = Payload(np.dtype, "O8")
FIELD = (3, "|", None, ("a",), {"a": (OBJECT, 0)}, 8, 1, 0)
CRAFTED = {
    "objects without their flag": Payload(np.dtype, "O8", False, True, state=PLAIN),
    "a field": Payload(np.dtype, "V8", False, True, state=FIELD),
    "a field in a number": Payload(np.dtype, "i8", False, True, state=FIELD),
    "a subarray": Payload(np.dtype, "V8", False, True, state=(3, "|", (OBJECT, (1,)), None, None, 8, 8, 0)),
    "text": Payload(np.dtype, "S8", False, True, state=(3, "|", None, None, None, 8, 1, 0)),
}


@pytest.mark.parametrize("crafted", CRAFTED)
def test_refuses_types_that_would_crash_the_interpreter(tmp_path: Path, crafted: str) -> None:
    """The bytes would be read as addresses of objects. In a process of its own, so that a crash is seen as one."""
    state = (1, (4,), CRAFTED[crafted], False, b"A" * 32)
    array = Payload(np.empty(0).__reduce__()[0], np.ndarray, (0,), b"b", state=state)
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": array, b"labels": [0] * 4}, protocol=2))
    program = "import pathlib, runpy, sys; runpy.run_path(sys.argv[1])['read_pickle'](pathlib.Path(sys.argv[2]))"
    command = [sys.executable, "-c", program, unpickle.__file__, str(tmp_path / "batch")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "ValueError" in ended.stderr
    assert "is not a pickle of arrays: it has an array of" in ended.stderr


def test_refuses_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(pickle.dumps(Payload(codecs.encode, b"a", "hex"), protocol=4))
    with pytest.raises(ValueError, match="it encodes as hex, which is refused"):
        read_pickle(tmp_path / "batch")
