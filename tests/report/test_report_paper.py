"""The paper's table 1, figures 3 and 4 beside ours, where our runs have what they show."""

import html
import itertools

import pytest
import torch

from bayesreg import report
from bayesreg.files import save_tensors
from bayesreg.report import paper
from bayesreg.tasks.cifar import Cifar


def test_figures_are_mentioned_where_they_can_be_set_beside_ours(make, root, tmp_path):
    sites = {"none": "weights", "ard": "weights", "ard@normal": "locs.weights"}
    for (method, site), seed in itertools.product(sites.items(), (0, 1)):
        parameters, network = {f"{site}_unconstrained": torch.ones(2)}, {"w": torch.ones(2, 1)}
        state = {"parameters": parameters, "network": network, "blocks": [("weights", ["w"])]}
        save_tensors(make(method, None, seed, metric="macro_f1") / "posterior.pt", "posterior", state)
    text = html.unescape(report.write(root, tmp_path / "out").read_text(encoding="utf-8"))
    assert paper.figure_3(["ard@normal", "ard"]) in text
    assert paper.figure_4(["macro_f1"]) in text
    assert "table 1), over the seconds without a prior: ard 2.00." in text
    assert "Within ±0.001 of 0: none 0.0%; ard 0.0%; ard@normal 0.0%" in text
    assert "ard:1. Contours of the loss" in text  # once, whatever the guide
    assert text.count("Contours of the loss") == 2


@pytest.mark.parametrize(
    ("methods", "metrics"), [(["none", "ard", "l2@normal"], ["accuracy"]), ([], [])], ids=["others", "nothing"]
)
def test_figures_are_not_mentioned_where_nothing_is_beside_them(methods, metrics):
    assert paper.figure_3(methods) is None
    assert paper.figure_4(metrics) is None
    assert paper.table_1(["none", "dropout"]) is None


def test_unequal_classes_may_be_judged_by_macro_f1():
    assert Cifar(dataset="cifar100", imbalance=10, metric="macro_f1").record()["metric"] == "macro_f1"
    assert Cifar(dataset="cifar100").record()["metric"] == "accuracy"
