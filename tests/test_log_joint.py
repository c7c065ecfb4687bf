"""The log joint against formulas written out by hand (byhand.py), for every prior × likelihood."""

import copy

import byhand
import pyro
import pytest
import torch
from byhand import LIKELIHOODS, PRIORS
from pyro import poutine
from torch import nn

import bayesreg as br
from bayesreg.objective import Objective

N = 12
FACTORS = {"entropic": br.Entropic(strength=0.2), "smoothness": br.Smoothness(strength=0.05)}

every_pair = pytest.mark.parametrize(
    ("likelihood", "prior"),
    [
        (likelihood, prior)
        for likelihood in LIKELIHOODS
        for prior in PRIORS
        if not ("entropic" in prior and likelihood.startswith("gaussian_fixed"))  # refused, see test_fit.py
    ],
)


def build(likelihood, prior, dtype=torch.float64):
    case = LIKELIHOODS[likelihood]
    model = br.Model(byhand.network(case.outputs, dtype), PRIORS[prior][0], case.likelihood, size=N)
    return case, model, byhand.parameters(model), *case.data(N, dtype)


@every_pair
@pytest.mark.parametrize("batch", [N, 4, 1])
def test_equals_the_formula(likelihood, prior, batch):
    case, model, theta, x, y = build(likelihood, prior)
    x, y = x[:batch], y[:batch]
    expected = byhand.log_joint(case, prior, theta, x, y, N)
    assert model.log_joint(theta, x, y).item() == pytest.approx(expected, rel=1e-12, abs=1e-11)


@every_pair
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_mean_over_a_partition_is_the_full_batch(likelihood, prior, dtype, tolerance):
    _, model, theta, x, y = build(likelihood, prior, dtype)
    full = model.log_joint(theta, x, y).item()
    parts = [model.log_joint(theta, *part).item() for part in zip(x.split(3), y.split(3), strict=True)]
    assert sum(parts) / len(parts) == pytest.approx(full, rel=tolerance)


@every_pair
def test_the_objective_of_map_is_minus_the_log_joint_a_datum(likelihood, prior):
    """On minibatches too; its terms add up to it."""
    case, model, _, x, y = build(likelihood, prior)
    guide = br.guides.delta(model)
    start = model.unpack(model.initial())
    for batch in (N, 4):
        terms = Objective(model, guide)(x[:batch], y[:batch])
        expected = -byhand.log_joint(case, prior, start, x[:batch], y[:batch], N) / N
        assert sum(terms.values()).item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 5, N])
@pytest.mark.parametrize("name", FACTORS)
def test_a_factor_is_scaled_once(name, batch):
    """Over copies of one example the mean is that example's, so its share must not know the batch size."""
    prior = FACTORS[name]
    model = br.Model(byhand.network(4), prior + br.L2(scale=0.4), br.Categorical(), size=N)
    theta = byhand.parameters(model)
    x, y = LIKELIHOODS["categorical"].data(1)
    f, d = byhand.forward({k: v.numpy() for k, v in theta.items()}, x.numpy())
    H = LIKELIHOODS["categorical"].entropy(f, None)
    share = {"entropic": N * 0.2 * H[0], "smoothness": -N * 0.05 * 0.5 * d[0]}[name]
    conditioned = poutine.condition(model, data=model.pack(theta))
    trace = poutine.trace(conditioned).get_trace(x.expand(batch, -1), y.expand(batch))
    trace.compute_log_prob()
    assert trace.nodes[name]["log_prob_sum"].item() == pytest.approx(share, rel=1e-12)


def test_a_prior_twice_counts_twice():
    case = LIKELIHOODS["categorical"]
    x, y = case.data(N)
    values = []
    for prior in (br.Entropic(0.3), br.Entropic(0.1) + br.Entropic(0.2)):
        model = br.Model(byhand.network(4), prior, br.Categorical(), size=N)
        values.append(model.log_joint(byhand.parameters(model), x, y).item())
    assert values[0] == pytest.approx(values[1], rel=1e-12)


@pytest.mark.parametrize("prior", PRIORS)
def test_gradient_by_finite_differences(prior):
    _, model, theta, x, y = build("gaussian_learned", prior)
    names = list(theta)
    values = [theta[name].clone().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(
        lambda *now: model.log_joint(dict(zip(names, now, strict=True)), x[:3], y[:3]),
        values,
        check_undefined_grad=False,  # Pyro's own hook for NaN cannot bear an undefined gradient
    )


def test_parameters_that_need_no_gradient_stay_fixed():
    net = byhand.network(4)
    net[0].requires_grad_(False)
    model = br.Model(net, br.L2(scale=0.4), br.Categorical(), size=N)
    theta = byhand.parameters(model)
    assert set(theta) == {"2.weight", "2.bias"}
    case = LIKELIHOODS["categorical"]
    x, y = case.data(N)
    whole = theta | {name: p.detach() for name, p in net[0].named_parameters(prefix="0")}
    log_l2 = byhand.stats.norm.logpdf(theta["2.weight"].numpy(), 0, 0.4).sum()
    expected = byhand.log_joint(case, "none", whole, x, y, N) + log_l2
    assert model.log_joint(theta, x, y).item() == pytest.approx(expected, rel=1e-12)


def test_bytes_are_images_in_the_unit_interval():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    model = br.Model(net, br.L2(), br.Categorical(), size=5)
    x = torch.randint(0, 256, (5, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([0, 1, 2, 0, 1])
    theta = model.unpack(model.initial())
    torch.testing.assert_close(model.log_joint(theta, x, y), model.log_joint(theta, x.float() / 255, y))
    assert not torch.allclose(model.log_joint(theta, x, y), model.log_joint(theta, x.float(), y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("0.weight"), r"'0\.weight' is missing"),
        (lambda t: t.pop("precision.0.weight"), r"'precision\.0\.weight' is missing"),
        (lambda t: t.pop("noise.scale"), r"'noise\.scale' is missing"),
        (lambda t: t.update({"3.weight": torch.zeros(1)}), r"'3\.weight' is not one of this model's"),
        (lambda t: t.update({"0.weight": t["0.weight"].T}), r"'0\.weight' has shape \[3, 4\], needed \[4, 3\]"),
        (lambda t: t.update({"0.bias": t["0.bias"][None]}), r"'0\.bias' has shape \[1, 4\], needed \[4\]"),
    ],
)
def test_wrong_parameters_are_refused(change, message):
    _, model, theta, x, y = build("gaussian_learned", "ard")
    change(theta)
    with pytest.raises(ValueError, match=message):
        model.log_joint(theta, x, y)


def test_pack_and_unpack_are_inverse():
    _, model, theta, _, _ = build("gaussian_learned", "two_ards")
    there_and_back = model.unpack(model.pack(theta))
    assert there_and_back.keys() == theta.keys()
    for name, value in theta.items():
        torch.testing.assert_close(there_and_back[name], value, rtol=0, atol=0)


def test_leaves_everything_as_it_is():
    """The caller's network, the model's buffers, the random state and Pyro's parameter store."""
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 4))
    net[0].bias.requires_grad_(False)
    net.train()
    net[3].eval()
    before = copy.deepcopy(net)
    pyro.clear_param_store()
    random = torch.get_rng_state()

    prior = br.L2() + br.Entropic(0.1) + br.Smoothness(0.1)
    model = br.Model(net, prior, br.Categorical(), size=N)
    x, y = LIKELIHOODS["categorical"].data(N, torch.float32)
    theta = model.unpack(model.initial())
    first = model.log_joint(theta, x, y)
    assert torch.equal(first, model.log_joint(theta, x, y))

    for one in (net, model.net):
        for name, value in before.state_dict().items():
            assert torch.equal(one.state_dict()[name], value), name
        assert [m.training for m in one.modules()] == [m.training for m in before.modules()]
    wanted = {name: p.requires_grad for name, p in before.named_parameters()}
    assert {name: p.requires_grad for name, p in net.named_parameters()} == wanted
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert len(pyro.get_param_store()) == 0
    for value in theta.values():  # of the caller's network nothing is shared
        value.add_(1.0)
    assert torch.equal(net[0].weight, before[0].weight)


def test_a_class_that_is_ruled_out_adds_no_entropy():
    """0 log 0 = 0, in the density and in its gradient."""
    f = torch.tensor([[0.3, -float("inf"), 1.0], [0.0, 0.0, 0.0]], requires_grad=True)
    entropy = br.Categorical()(f, {}).entropy()
    p = torch.tensor([0.3, 1.0]).softmax(0)
    torch.testing.assert_close(entropy.detach(), torch.stack([-(p * p.log()).sum(), torch.tensor(3.0).log()]))
    (slope,) = torch.autograd.grad(entropy.sum(), f)
    assert slope.isfinite().all()
