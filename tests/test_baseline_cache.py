"""The baselines of a run: of exactly its data, and computed once."""

import json
import threading
import time

import pytest
import torch

from bayesreg import baseline_cache, baselines
from bayesreg.baseline_cache import digest, record
from bayesreg.datasets import Data, Dataset, Windows, load
from bayesreg.grid import Repeat, Run
from bayesreg.methods import Method
from bayesreg.tasks.digits import Digits


def execute(root, task, text="none", **options):
    run = Run(task, Method.parse(text), Repeat())
    return run.execute(run.directory(root), **options)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture
def calls(monkeypatch):
    """The data that baselines were computed of."""
    seen = []

    def counted(data, **options):
        seen.append(data)
        return baselines.baseline(data, **options)

    monkeypatch.setattr(baseline_cache, "baseline", counted)
    return seen


def test_runs_on_equal_data_compute_them_once_and_each_keeps_them(tmp_path, calls):
    runs = [(Digits(epochs=1, train_size=size), text) for size in (200, 300) for text in ("none", "l2:1")]
    outcomes = [execute(tmp_path, *run, shared=tmp_path / "baselines") for run in [*runs, *runs]]
    assert [len(data.train) for data in calls] == [200, 300]
    assert len(list((tmp_path / "baselines").glob("*.json"))) == 2
    expected = [baselines.baseline(load("digits", train_size=n)) for n in (200, 200, 300, 300)]
    assert [outcome["baselines"] for outcome in outcomes] == expected * 2
    for path in (tmp_path / "digits").iterdir():
        size = json.loads((path / "config.json").read_text())["task"]["train_size"]
        assert json.loads((path / "baselines.json").read_text()) == expected[size // 100 - 1]


def test_a_run_alone_writes_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Run(Digits(epochs=1, train_size=200), Method("none")).execute(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "baselines.json").exists()


def test_the_digest_is_of_the_content(digits):
    assert digest(digits, {}) == digest(load("digits"), {})
    train = digits.train.take(slice(100))
    other = train.y.clone()
    other[0] += 1
    parts = [digits.train, train, Dataset(train.x, other), Dataset(train.x.double(), train.y)]
    data = [Data("digits", part, digits.test, digits.test, 10, "", {}) for part in parts]
    digests = [digest(one, {}) for one in data] + [digest(data[0], {"principal_components": {"latent": 2}})]
    assert len(set(digests)) == len(digests)


def test_the_digest_of_windows_is_of_their_rows_and_places():
    rows, ends = torch.randn(30, 2), torch.arange(5, 20)

    def made(rows, ends):
        part = Dataset(Windows(rows, ends, 4), torch.zeros(len(ends)))
        return digest(Data("air", part, part, part, None, "", {}), {})

    assert made(rows, ends) == made(rows.clone(), ends.clone())
    assert len({made(rows, ends), made(rows + 1, ends), made(rows, ends + 1)}) == 3


@pytest.mark.parametrize("content", ["", '{"majority": {"accu', '{"majority": 1}', '{"majority": {"accuracy": null}}'])
def test_a_damaged_file_is_made_again(tmp_path, digits, content):
    whole = record(tmp_path / "run", tmp_path / "shared", digits)
    for path in [tmp_path / "run/baselines.json", *(tmp_path / "shared").glob("*.json")]:
        path.write_text(content)
    assert record(tmp_path / "run", tmp_path / "shared", digits) == whole
    assert json.loads((tmp_path / "run/baselines.json").read_text()) == whole


def test_two_at_once_compute_them_once(tmp_path, digits, monkeypatch):
    made = []

    def slow(data):
        made.append(data)
        time.sleep(0.2)
        return {"majority": {"accuracy": 0.1}}

    monkeypatch.setattr(baseline_cache, "baseline", slow)
    threads = [threading.Thread(target=record, args=(tmp_path / f"run{i}", tmp_path, digits)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all(json.loads((tmp_path / f"run{i}/baselines.json").read_text()) == slow(digits) for i in range(4))


def test_a_task_says_what_a_baseline_shares_with_its_network(tmp_path, digits, monkeypatch):
    class Encoded(Digits):
        def baseline_options(self):
            return {"principal_components": {"latent": 2}}

    monkeypatch.setitem(baselines.BASELINES, "digits", (baselines.principal_components,))
    assert execute(tmp_path, Encoded(epochs=1))["baselines"] == {
        "principal components": baselines.judge(baselines.principal_components(digits, latent=2), digits)
    }
    two, three = (baselines.principal_components(digits, latent) for latent in (2, 3))
    assert not torch.equal(two, three)
