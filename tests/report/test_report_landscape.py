"""The loss over two weights: its minimum against closed forms, its panels, and what they say."""

import math
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar

import bayesreg as br
from bayesreg.priors import PRIORS
from bayesreg.report import landscape, panels, style

N = 20
SLOPES = (1.2, -0.3)


@pytest.fixture(scope="module")
def orthogonal():
    """y = 1.2 x₁ − 0.3 x₂ with XᵀX = N I and σ = 1: mean NLL = ½ ‖w − (1.2, −0.3)‖² + constant."""
    return linear([[1.0, 1.0], [1.0, -1.0]])


@pytest.fixture(scope="module")
def correlated():
    return linear([[1.0, 0.6], [0.8, -0.5]])


def linear(rows):
    x = torch.tensor(rows, dtype=torch.float64).repeat(N // 2, 1)
    net = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    y = x @ torch.tensor(SLOPES, dtype=torch.float64)
    return landscape.Example(net, br.Gaussian(scale=1.0), x, y)


def lowest(prior, example):
    return landscape.lowest(landscape.loss_of(prior, example))


@pytest.mark.parametrize("strength", [1e-2, 0.3])
def test_l2_is_ridge_regression(correlated, strength):
    x = correlated.x.numpy()
    ridge = np.linalg.solve(x.T @ x / N + strength * np.eye(2), x.T @ correlated.y.numpy() / N)
    assert lowest(br.L2.from_strength(strength, N), correlated) == pytest.approx(ridge, abs=5e-4)


@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_l1_is_the_soft_threshold_and_exactly_zero(orthogonal, strength):
    found = lowest(br.L1.from_strength(strength, N), orthogonal)
    expected = [math.copysign(max(abs(z) - strength, 0.0), z) for z in SLOPES]
    assert found == pytest.approx(expected, abs=5e-4)
    assert (found[1] == 0) == (strength > 0.3)


def test_ard_has_its_precisions_at_their_maximum(orthogonal):
    """Of each weight on its own: ½ (w − z)² + strength · ½ log(1 + ½ w²)."""
    found = lowest(br.ARD.from_strength(1.0, N), orthogonal)
    expected = [minimize_scalar(lambda w, z=z: (w - z) ** 2 + math.log(1 + w**2 / 2)).x for z in SLOPES]
    assert found == pytest.approx(expected, abs=5e-4)


def test_the_surface_is_that_of_the_formulas():
    """None: the cross-entropy; smoothness adds strength · ½ (2 w₂)², entropic −strength × the mean entropy."""
    data = landscape.example()
    w1, w2 = (landscape.STEP * np.arange(low, high + 1) for low, high in landscape.FRAME)
    x = data.x.numpy().ravel()
    logits = w1[None, :, None] * x + w2[:, None, None] * x**2
    log_p, log_q = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    nll = -np.where(data.y.numpy() == 1, log_p, log_q).mean(-1)
    assert landscape.of(br.Flat).surface == pytest.approx(nll)
    strength = br.Smoothness.grid[-1]
    assert landscape.of(br.Smoothness).surface == pytest.approx(nll + strength / 2 * (2 * w2[:, None]) ** 2)
    entropy = -(np.exp(log_p) * log_p + np.exp(log_q) * log_q).mean(-1)
    assert landscape.of(br.Entropic).surface == pytest.approx(nll - br.Entropic.grid[-1] * entropy)


def test_only_a_kink_makes_a_weight_zero_and_the_logarithm_is_not_convex():
    ends = {name: landscape.of(kind).path[-1] for name, kind in PRIORS.items()}
    assert {name for name, (_, second) in ends.items() if second == 0} == {"l1", "elastic_net"}
    assert {name for name, kind in PRIORS.items() if not landscape.of(kind).convex} == {"entropic", "ard"}


def test_the_path_leads_from_near_the_maximum_of_likelihood_along_the_grid():
    assert landscape.path(br.L2)[:: landscape.BETWEEN] == pytest.approx(br.L2.grid)
    path, none = landscape.of(br.L2).path, landscape.of(br.Flat).path[-1]
    assert np.linalg.norm(path[0] - none) < 0.05
    assert np.all(np.diff(np.linalg.norm(path, axis=1)) < 0)  # it shrinks


def test_latents_without_a_closed_form_are_refused_in_words():
    class Open(br.ARD):
        @property
        def latents(self):
            return tuple(latent._replace(profile=None) for latent in super().latents)

    with pytest.raises(ValueError, match=r"the maximum of precision\.weights given the weights has no closed form"):
        landscape.loss_of(Open(), landscape.example())


# --- The picture ---


def test_every_registered_prior_has_a_panel_at_its_strongest():
    picture = landscape.landscape(PRIORS)
    titles = {group.title.partition(":")[0]: group.title for group in picture.groups}
    assert titles.keys() == PRIORS.keys()
    for name, kind in PRIORS.items():
        numbers = [strength for strength in kind.grid if strength is not None]
        assert titles[name] == (f"{name}:{max(numbers):g}" if numbers else name)
    assert "w₁ and w₂. Maximum likelihood at (1.89, −0.48), MAP at (0.88, 0)." in picture.groups[1].panels[0].alt


def test_a_prior_of_the_users_own_has_a_panel_or_says_why_not(monkeypatch):
    class Wide(br.L2):
        name, grid = "wide", (None,)
        default_strength = 0.01

    class Mapless(br.L2):
        name = "mapless"

        def check_map(self):
            raise ValueError("it has no MAP estimate")

    class Undecided(br.Entropic):
        name = "undecided"

        def log_factor(self, batch):
            raise RuntimeError("this depends on the values\nof a tensor")

    for own in (Wide, Mapless, Undecided):
        monkeypatch.setitem(PRIORS, own.name, own)
    groups = {group.title: group for group in landscape.landscape(["wide", "mapless", "undecided"]).groups}
    assert groups.keys() == {"wide:0.01", "mapless", "undecided"}
    assert groups["mapless"].panels[0].alt == "Not drawn: it has no MAP estimate"
    assert groups["undecided"].panels[0].alt == "Not drawn: this depends on the values"
    axes = Figure().add_subplot()
    groups["mapless"].panels[0].draw(axes)
    assert [text.get_text() for text in axes.texts] == ["it has no MAP estimate"]


def test_a_panel_is_of_a_prior_whatever_the_guide_and_the_techniques():
    picture = landscape.landscape(["none", "l2", "l2@normal", "l2+dropout", "l1:0.1+entropic", "Spike(3)"])
    assert [group.title.partition(":")[0] for group in picture.groups] == ["none", "l1", "l2", "entropic"]
    assert landscape.landscape(["none", "dropout", "Spike(3)"]) is None


def test_the_picture_takes_its_colours_from_the_style_sheet(monkeypatch):
    """The second prior of a sum has its colour there too, which no method has."""

    class Other(br.Entropic):
        name, look = "other", br.priors.Look("#123456", "o")

    monkeypatch.setitem(PRIORS, "other", Other)
    variables = style.variables(["l2+other"])[0]
    made = panels.drawn(landscape.landscape(["l2+other"]), "landscape", variables)
    body = "".join(shown.svg for _, group in made.groups for shown in group)
    assert "var(--c123456)" in body
    assert not re.search("#[0-9a-f]{6};", body)
    assert made.size < 100_000


def test_contours_are_of_the_loss_above_its_minimum():
    (_, group) = landscape.landscape(["none", "l2"]).groups
    axes = Figure().add_subplot()
    group.panels[0].draw(axes)
    _, own = axes.collections
    loss = landscape.loss_of(br.L2.from_strength(max(br.L2.grid), N), landscape.example())
    least = float(loss(torch.tensor(landscape.of(br.L2).path[-1:])))
    for level, paths in zip(landscape.LEVELS, own.get_paths(), strict=True):
        found = loss(torch.tensor(paths.vertices)).numpy() - least
        assert found == pytest.approx(level, abs=2e-3)
