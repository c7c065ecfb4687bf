"""An ensemble is its members: each the fit of one network, predicted together as an equally weighted mixture."""

import importlib

import pytest
import torch
from torch import nn

import bayesreg as br
from bayesreg.guides import Ensemble
from bayesreg.guides.anew import renewed
from bayesreg.randomness import seed_of
from bayesreg.testing import TINY_NETS

fit_module = importlib.import_module("bayesreg.fit")  # `bayesreg.fit` itself is the function
N, K = 24, 3
SEEDS = [7, seed_of(7, 1), seed_of(7, 2)]
OPTIONS = {"epochs": 4, "batch_size": 10, "lr": 0.05, "device": "cpu", "progress": False}


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Dropout(0.2), nn.Linear(4, 2))


def data(n=N, seed=0):
    g = torch.Generator().manual_seed(seed)
    return br.Dataset(torch.randn(n, 3, generator=g), torch.randint(0, 2, (n,), generator=g))


def fitted(net=None, guide=None, prior="ard", seed=7, **options):
    model = br.Model(net or network(), prior, br.Categorical(), size=N)
    return br.fit(model, data(), guide=guide or Ensemble(K), seed=seed, **(OPTIONS | options))


@pytest.fixture(scope="module")
def singles():
    """The fits of the networks that are made under the members' seeds, the first that of the network itself."""
    return [fitted(network(seed if k else 0), "delta", seed=seed) for k, seed in enumerate(SEEDS)]


@pytest.fixture(scope="module")
def ensemble():
    return fitted()


def test_a_member_is_its_own_fit_bit_for_bit(ensemble, singles):
    draws = ensemble.draws(16)
    for k, single in enumerate(singles):
        assert all(torch.equal(draws[name][k], value) for name, value in single.parameters().items())
    assert all(torch.equal(value, draws[name][0]) for name, value in ensemble.parameters().items())
    assert len({value.sum().item() for value in draws["0.weight"]}) == K
    nothing = Ensemble(1)
    assert all(torch.equal(v, fitted(guide=nothing).parameters()[n]) for n, v in singles[0].parameters().items())


def test_it_predicts_the_mixture_of_all_members_each_with_its_own_batch_norm(ensemble, singles, tmp_path):
    x = data(9, seed=1).x
    probs = torch.stack([single.predict(x).probs for single in singles])
    again = br.Posterior.load(ensemble.save(tmp_path / "e.pt"), network())
    for posterior in (ensemble, again):
        torch.testing.assert_close(posterior.predict(x).probs, probs.mean(0))
        torch.testing.assert_close(torch.softmax(posterior.network()(x), -1), probs[0])
    means = torch.stack([single.model.net[1].running_mean for single in singles])
    assert torch.equal(again.guide.buffers["1.running_mean"], means)
    assert means.unique(dim=0).shape[0] == K


def test_fewer_draws_than_members_are_different_ones_at_random_and_more_are_all(ensemble):
    members = ensemble.draws(K)["0.weight"]
    assert torch.equal(ensemble.draws(100)["0.weight"], members)
    firsts, pairs = set(), set()
    for seed in range(20):
        one, two = ensemble.draws(1, seed=seed)["0.weight"], ensemble.draws(2, seed=seed)["0.weight"]
        assert (len(one), len(two)) == (1, 2)
        firsts.add(which(members, one))
        pairs.add(which(members, two))
    assert firsts == {(0,), (1,), (2,)}
    assert pairs == {(i, j) for i in range(K) for j in range(K) if i != j}


def which(members, draws):
    return tuple(next(k for k in range(K) if torch.equal(members[k], draw)) for draw in draws)


def test_uncertainty_is_what_the_members_do_not_agree_on(ensemble, singles):
    x = data(9, seed=1).x
    p = torch.stack([single.predict(x).probs.double() for single in singles])
    entropies = -(p * p.log()).sum(-1)
    mixed = -(p.mean(0) * p.mean(0).log()).sum(-1)
    found = ensemble.uncertainty(x)
    torch.testing.assert_close(found.total, mixed, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.epistemic, mixed - entropies.mean(0), rtol=1e-4, atol=1e-6)


def test_arviz_has_a_draw_for_each_member_and_loo_wants_more(ensemble):
    made = ensemble.to_arviz(data=data())
    assert dict(made["posterior"].sizes)["draw"] == dict(made["log_likelihood"].sizes)["draw"] == K
    with pytest.raises(ValueError, match="loo needs 20 draws or more, and the guide ensemble:members=3 has 3"):
        br.loo(ensemble, data())


def test_its_history_is_the_mean_of_its_members(ensemble, singles):
    for name in ("loss", "nll", "penalty"):
        expected = sum(single.history[name] for single in singles) / K
        assert ensemble.history[name].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-12)
    assert ensemble.history["epoch"].tolist() == [1, 2, 3, 4]
    assert not ensemble.convergence.converged
    assert "guide='ensemble:members=3'" in repr(ensemble)


def test_every_member_stops_early_at_its_own_best_epoch():
    options = {"early_stopping": True, "validation": data(12, seed=2), "epochs": 8}
    ensemble = fitted(**options)
    singles = [fitted(network(seed if k else 0), "delta", seed=seed, **options) for k, seed in enumerate(SEEDS)]
    assert len({single.convergence.stopped for single in singles}) > 1
    for k, single in enumerate(singles):
        assert torch.equal(ensemble.draws(K)["0.weight"][k], single.parameters()["0.weight"])


class Interrupted(Exception):
    """As by a signal."""


@pytest.mark.parametrize(("after", "every", "again"), [(2, 0.0, 0), (4, 0.0, 0), (10, 0.0, 0), (10, 3600.0, 2)])
def test_interrupted_it_goes_on_with_the_member_that_it_was_at(after, every, again, ensemble, tmp_path, monkeypatch):
    """In the first member, at the end of it, and in the last: no member is made again, nor what a checkpoint holds."""
    path, epoch, made = tmp_path / "c.pt", fit_module._Run.epoch, []

    def interrupted(self, *args):
        if len(made) == after:
            raise Interrupted
        return counted(self, *args)

    def counted(self, *args):
        made.append(1)
        return epoch(self, *args)

    monkeypatch.setattr(fit_module, "SAVED_EVERY", every)
    monkeypatch.setattr(fit_module._Run, "epoch", interrupted)
    with pytest.raises(Interrupted):
        fitted(checkpoint=path)
    monkeypatch.setattr(fit_module._Run, "epoch", counted)
    with pytest.raises(ValueError, match=r"c\.pt is the checkpoint of another fit.*lr"):
        fitted(checkpoint=path, lr=0.1)
    resumed = fitted(checkpoint=path)
    assert len(made) == 4 * K + again
    assert all(torch.equal(value, resumed.draws(K)[name]) for name, value in ensemble.draws(K).items())
    assert resumed.predict(data().x).probs.equal(ensemble.predict(data().x).probs)
    assert list(tmp_path.iterdir()) == []


def test_a_member_that_diverges_leaves_no_checkpoint(tmp_path):
    with pytest.raises(br.Diverged):
        fitted(checkpoint=tmp_path / "c.pt", lr=1e30)
    assert list(tmp_path.iterdir()) == []


# --- New weights ---


class Own(nn.Module):
    """A parameter of its own, which no layer draws anew."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(3, 2), nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.scale * self.layer(x)


class Resets(Own):
    def reset_parameters(self):
        nn.init.normal_(self.scale)


def test_a_network_that_cannot_be_drawn_anew_is_refused_before_training(monkeypatch):
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)))
    for net, missed in ((Own(), "scale"), (normed, r"0\.parametrizations\.weight\.original0")):
        with monkeypatch.context() as patch:
            patch.setattr(fit_module, "_Run", None)
            with pytest.raises(ValueError, match=rf"no module gives {missed}.*write reset_parameters\(self\)"):
                fitted(net)
        assert fitted(net, Ensemble(1), epochs=1).draws(2)
    draws = fitted(Resets(), lr=1e-12).draws(K)["scale"]
    assert torch.equal(draws[0], torch.ones(2))
    assert draws.unique(dim=0).shape[0] == K


def layers():
    return nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 4), nn.MultiheadAttention(4, 2), nn.BatchNorm1d(4))


def test_new_weights_are_those_of_a_network_made_anew_and_what_is_frozen_stays():
    net, seed = layers(), 5
    net[0].requires_grad_(False)
    net[3].running_mean.fill_(2.0)  # of a network that is trained already, and frozen
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        expected = layers()
    found = renewed(br.Model(net, "l2", br.Categorical(), size=N), seed).net
    assert torch.equal(found[0].weight, net[0].weight)
    assert torch.equal(found[3].running_mean, net[3].running_mean)
    for name, value in list(expected.named_parameters())[2:]:
        assert torch.equal(value, found.get_parameter(name))


@pytest.mark.parametrize("name", br.nets.NETS)
def test_every_network_of_the_package_has_members_as_if_made_anew(name):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        anew = TINY_NETS[name].make(3)
    found = renewed(br.Model(TINY_NETS[name].make(3), "l2", br.Categorical(), size=6), 1).net
    for path, value in anew.named_parameters():
        ours = found.get_parameter(path)
        if name == "vae":  # draws its parts in another order
            assert (value != 0).equal(ours != 0)
        else:
            assert torch.equal(value, ours)


class Initialised(nn.Linear):
    """With weights of its own size, as of one that is trained already, or initialised by its maker."""

    def __init__(self, size):
        super().__init__(20, 20)
        nn.init.normal_(self.weight, std=size)


def test_weights_that_are_not_as_reset_parameters_draws_them_are_pointed_out(caplog):
    usual = 20**-0.5 / 3**0.5  # the standard deviation of PyTorch's
    for size, said in ((usual, False), (2 * usual, True), (0.0, True)):
        caplog.clear()
        Ensemble(2).check(br.Model(Initialised(size), "l2", br.Categorical(), size=N))
        assert ("those of weight have a standard deviation of 0.1" in caplog.text) is said
    Ensemble(1).check(br.Model(Initialised(0.0), "l2", br.Categorical(), size=N))
    assert len(caplog.records) == 1


def test_memory_counts_all_members():
    """Of 6 weights of 4 bytes: 4 vectors of the one that is trained, 2 of each other."""
    model = br.Model(nn.Linear(3, 2, bias=False), "l2", br.Categorical(), size=N)
    assert Ensemble(5).memory(model) == 6 * 4 * (4 + 4 * 2)
    with pytest.raises(ValueError, match=r"ensemble:members=1000000000000 of 6 unknowns .* take fewer members, "):
        br.fit(model, data(), guide=Ensemble(10**12), **OPTIONS)


@pytest.mark.parametrize("members", [0, -1, 2.5, True])
def test_bad_numbers_of_members(members):
    with pytest.raises(ValueError, match=r"Ensemble\(members=.*\): members must be a whole number of at least 1"):
        Ensemble(members)


def test_its_updates_are_those_of_a_point():
    """An ensemble of networks under decoupled weight decay: the method that is most often meant."""
    method = br.Method.parse("adamw:0.1@ensemble:members=2")
    model = br.Model(method.network(network()), method.prior(N), br.Categorical(), size=N)
    ensemble = br.fit(model, data(), guide=method.guide, **OPTIONS, **method.training())
    single = br.fit(model, data(), **OPTIONS, **method.training())
    assert torch.equal(ensemble.parameters()["0.weight"], single.parameters()["0.weight"])
