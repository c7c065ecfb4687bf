"""Priors as text, as strengths, as records, and their algebra."""

import math

import byhand
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bayesreg as br
from bayesreg.priors import PRIORS, from_records, made, parse, split, text

N = 12
NAMED = [name for name in PRIORS if name != "none"]
strengths = st.floats(1e-12, 1e12)
terms = st.tuples(st.sampled_from(NAMED), strengths)
sizes = st.integers(1, 10**7)


def written(pairs):
    return "+".join(name if strength is None else f"{name}:{strength!r}" for name, strength in pairs)


# --- Text ---


@given(st.lists(st.tuples(st.sampled_from(NAMED), st.none() | strengths), min_size=1, max_size=4))
def test_split_reads_what_is_written(pairs):
    assert split(written(pairs)) == pairs


@given(st.lists(terms, min_size=1, max_size=4), sizes)
def test_parse_then_text_then_parse(pairs, size):
    """The very same prior, and the text its own text again."""
    prior = parse(written(pairs), size)
    assert [term.name for term in prior.terms] == [name for name, _ in pairs]
    found = [term.per_datum(size) for term in prior.terms]
    assert found == pytest.approx([strength for _, strength in pairs], rel=1e-9)
    once = text(prior, size)
    assert [name for name, _ in split(once)] == [name for name, _ in pairs]
    assert parse(once, size) == prior
    assert text(parse(once, size), size) == once
    assert made(split(once), size) == prior


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=200)
@given(strength=strengths, size=sizes)
def test_a_strength_comes_back_as_it_was(name, strength, size):
    """Within some units of its last place, where several numbers give the same density; as it was where it is short."""
    prior = PRIORS[name].from_strength(strength, size)
    assert parse(text(prior, size), size) == prior
    assert abs(prior.per_datum(size) - strength) <= 16 * math.ulp(strength)
    short = float(f"{strength:.9g}")
    assert PRIORS[name].from_strength(short, size).per_datum(size) == short


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("strength", [123456.789, 1 / 3, 1e-300, 1e300, 5e-324, 1e-30, 1e30])
def test_an_extreme_strength_is_kept_or_refused(name, strength):
    for size in (1, 17, 10**6):
        if 1e-30 <= size * strength <= 1e30:
            prior = parse(f"{name}:{strength!r}", size)
            assert parse(text(prior, size), size) == prior
            assert prior.per_datum(size) == pytest.approx(strength, rel=1e-14)
            assert prior.describe(size)["strength"] == prior.per_datum(size)
        else:
            with pytest.raises(ValueError, match=r"strength=.*single precision; take one with N × strength from 1e-30"):
                parse(f"{name}:{strength!r}", size)


@pytest.mark.parametrize("prior", [br.L2(scale=0.3), br.L1(scale=np.float64(0.7)), br.ARD(temper=1.0)], ids=str)
def test_the_text_of_natural_parameters(prior):
    """Not each is that of a strength, but each is within its rounding."""
    again = parse(text(prior, 1797), 1797)
    for name, value in prior.natural().items():
        assert again.natural()[name] == (pytest.approx(value, rel=1e-15) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("none", [("none", None)]),
        ("l2", [("l2", None)]),
        ("l2:1e-4", [("l2", 1e-4)]),
        ("l2:1e+2", [("l2", 100.0)]),
        ("l2:1E+2+entropic:2.e+1", [("l2", 100.0), ("entropic", 20.0)]),
        ("l2:1e4+l1", [("l2", 1e4), ("l1", None)]),
        ("none+l2:1", [("none", None), ("l2", 1.0)]),
        (" l2:1 + entropic:0.1 ", [("l2", 1.0), ("entropic", 0.1)]),
        ("smoothness:.5+ard", [("smoothness", 0.5), ("ard", None)]),
        ("l2:1+ard:sparse", [("l2", 1.0), ("ard", "sparse")]),
    ],
)
def test_split(given_text, expected):
    assert split(given_text) == expected


@pytest.mark.parametrize("bad", ["", "+", "l2+", "l2:", "l2:1e", "l2:1:2", "l2 1", "L3", "l2:0.1;l1", ":1"])
def test_text_that_means_nothing(bad):
    with pytest.raises(ValueError, match=r"unknown prior|is not a number"):
        parse(bad, N)


@pytest.mark.parametrize("name", PRIORS)
def test_a_name_alone_takes_the_default(name):
    prior = parse(name, N)
    assert type(prior) is PRIORS[name]
    default = PRIORS[name].default_strength
    if name == "ard":
        assert prior == br.ARD()  # untempered: strength 1/N
        assert prior.per_datum(N) == pytest.approx(1 / N)
    else:
        assert prior.per_datum(N) == (None if default is None else pytest.approx(default))


def test_a_word_in_a_strengths_place():
    """Another name for the same prior, in every text; a number is the strength as before."""
    assert parse("ard:sparse", N) == br.ARD.sparse() == br.ARD(a=0.5, b=1e-3)
    assert parse("ard:sparse", N, ard={"on": "head.*"}) == br.ARD.sparse(on="head.*")
    assert text(br.ARD.sparse(), N) == "ard:sparse"
    assert parse("ard:0.5", N) == br.ARD(temper=0.5 * N)
    with pytest.raises(ValueError, match=r"the strength 'sparce' is not a number, as in ard:1e-4 or ard:sparse"):
        parse("ard:sparce", N)


def test_options_by_name():
    assert parse("ard+entropic:0.1", N, ard={"a": 2.0, "b": 0.5}).terms[0] == br.ARD(a=2.0, b=0.5)
    assert parse("l2:1", 4, l2={"on": "all"}) == br.L2(scale=0.5, on="all")


# --- Strength: the coefficient per datum ---


def penalty(name, theta, H, d):
    """What the strength multiplies, by hand."""
    weights = np.concatenate([theta[k].numpy().ravel() for k in byhand.WEIGHTS])
    by_name = {
        "l2": lambda: 0.5 * (weights**2).sum(),
        "l1": lambda: np.abs(weights).sum(),
        "entropic": lambda: -H,
        "elastic_net": lambda: 0.5 * np.abs(weights).sum() + 0.25 * (weights**2).sum(),
        "smoothness": lambda: 0.5 * d,
        "ard": lambda: -byhand.log_ard({k: v.numpy() for k, v in theta.items()}, byhand.WEIGHTS, 1.0, 1.0),
    }
    assert name in by_name, f"write the penalty of {name!r} by hand here"
    return by_name[name]()


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=20, deadline=None)
@given(strength=st.floats(1e-6, 1e2), size=st.integers(1, 10**5), seed=st.integers(0, 100))
def test_density_of_a_strength(name, strength, size, seed):
    """Differences of the log density are −N · strength · differences of the penalty."""
    case = byhand.LIKELIHOODS["categorical"]
    prior = PRIORS[name].from_strength(strength, size)
    model = br.Model(byhand.network(4), prior, case.likelihood, size=size)
    flat = br.Model(byhand.network(4), br.Flat(), case.likelihood, size=size)
    x, y = case.data(5)
    densities, penalties = [], []
    for s in (seed, seed + 1):
        theta = byhand.parameters(model, seed=s)
        own = {k: v for k, v in theta.items() if not k.startswith("precision.")}
        f, d = byhand.forward({k: v.numpy() for k, v in own.items()}, x.numpy())
        densities.append((model.log_joint(theta, x, y) - flat.log_joint(own, x, y)).item())
        penalties.append(penalty(name, theta, case.entropy(f, None).mean(), d.mean()))
        whole = abs(flat.log_joint(own, x, y).item())
    expected = -size * strength * (penalties[1] - penalties[0])
    rounding = 1e-13 * (whole + sum(map(abs, densities)) + size * strength * sum(map(abs, penalties)))
    assert densities[1] - densities[0] == pytest.approx(expected, rel=1e-9, abs=10 * rounding)


@given(strengths, sizes)
def test_natural_parameters_of_a_strength(strength, size):
    assert br.L2.from_strength(strength, size).scale == pytest.approx((size * strength) ** -0.5)
    assert br.L1.from_strength(strength, size).scale == pytest.approx(1 / (size * strength))
    assert br.Entropic.from_strength(strength, size).strength == strength
    assert br.Smoothness.from_strength(strength, size).strength == strength
    assert br.ElasticNet.from_strength(strength, size, l1_ratio=0.2) == br.ElasticNet(size * strength, 0.2)
    assert br.ARD.from_strength(strength, size).temper == pytest.approx(size * strength)
    for name in NAMED:
        assert PRIORS[name].from_strength(strength, size).per_datum(size) == pytest.approx(strength)


# --- The algebra ---

some_priors = st.sampled_from(
    [
        br.Flat(),
        br.L1(scale=0.3),
        br.L2(scale=2.0),
        br.ARD(a=2.0),
        br.ElasticNet(),
        br.Entropic(0.1),
        br.Smoothness(0.2),
    ]
)


@given(some_priors, some_priors, some_priors)
def test_addition_is_associative(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert hash((a + b) + c) == hash(a + (b + c))
    assert len(((a + b) + c).terms) == max(1, sum(p != br.Flat() for p in (a, b, c)))


@given(some_priors, some_priors)
def test_flat_is_neutral(a, b):
    assert a + br.Flat() == br.Flat() + a == a
    assert (a + b) + br.Flat() == a + b


@given(some_priors, some_priors)
def test_repr_is_the_sum_as_written(a, b):
    assert eval(repr(a + b), vars(br)) == a + b


def test_order_and_number_count():
    a, b = br.L2(scale=2.0), br.Entropic(0.1)
    assert a + b != b + a  # equal densities, told apart as records
    assert a + b != a
    assert len((b + b).terms) == 2


@pytest.mark.parametrize("other", [1, None, "l2", 0.5])
def test_only_priors_add(other):
    with pytest.raises(TypeError):
        br.L2() + other
    with pytest.raises(TypeError):
        other + br.L2()


def test_log_densities_add():
    case = byhand.LIKELIHOODS["categorical"]
    x, y = case.data(N)
    values = {}
    for name, prior in {
        "none": br.Flat(),
        "l2": br.L2(),
        "entropic": br.Entropic(0.3),
        "sum": br.L2() + br.Entropic(0.3),
    }.items():
        model = br.Model(byhand.network(4), prior, case.likelihood, size=N)
        values[name] = model.log_joint(byhand.parameters(model), x, y).item()
    together = values["l2"] + values["entropic"] - values["none"]
    assert values["sum"] == pytest.approx(together, rel=1e-12)


# --- Records ---


@pytest.mark.parametrize("name", NAMED)
@given(strength=strengths, size=sizes)
def test_describe(name, strength, size):
    """Both conventions, and enough to build the prior again."""
    prior = PRIORS[name].from_strength(strength, size)
    record = prior.describe(size)
    assert set(record) == {"name", "natural", "strength", "lambda", "size"}
    assert (record["name"], record["size"]) == (name, size)
    assert record["strength"] == pytest.approx(strength, rel=1e-8)
    assert record["lambda"] == pytest.approx(strength * size, rel=1e-8)
    assert from_records([record]) == prior


def test_describe_by_hand():
    assert br.L2(scale=0.5).describe(100) == {
        "name": "l2",
        "natural": {"scale": 0.5, "on": "weights"},
        "strength": 0.04,
        "lambda": 4.0,
        "size": 100,
    }
    assert br.L1(scale=0.5, on="head.*").describe(100)["strength"] == 0.02
    none = {"name": "none", "natural": {}, "strength": None, "lambda": None, "size": 100}
    assert br.Flat().describe(100) == none
    assert br.ARD(a=2.0, temper=5.0).describe(100)["strength"] == 0.05


@given(some_priors, some_priors)
def test_records_of_a_sum(a, b):
    assert from_records([term.describe(N) for term in (a + b).terms]) == a + b


def test_record_of_an_unknown_prior():
    with pytest.raises(ValueError, match=r"'ridge' is not registered in PRIORS"):
        from_records([{"name": "ridge", "natural": {}}])


# --- What a weight prior claims ---


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


@pytest.mark.parametrize("kind", [br.L1, br.L2, br.ElasticNet, br.ARD])
@pytest.mark.parametrize(
    ("on", "claimed"),
    [
        ("weights", {"0.weight", "2.weight"}),
        ("all", {"0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"}),
        ("2.*", {"2.weight", "2.bias"}),
        ("*.bias", {"0.bias", "1.bias", "2.bias"}),
        (["0.*", "2.bias"], {"0.weight", "0.bias", "2.bias"}),
        (lambda name, parameter: parameter.numel() == 12, {"0.weight"}),
    ],
)
def test_claims(kind, on, claimed):
    model = br.Model(net(), kind(on=on), br.Categorical(), size=N)
    blocks = {block.site: set(block.shapes) for block in model.blocks}
    everything = {name for name, _ in net().named_parameters()}
    flat = blocks.pop("flat", set())
    assert list(blocks.values()) == [claimed]
    assert flat == everything - claimed
    assert "." not in next(iter(blocks))  # AutoDelta keeps sites as nested attributes


def test_site_names_of_many_priors_differ():
    prior = br.L2(on="0.weight") + br.L1(on=lambda name, p: name == "2.weight") + br.L1(on=["2.bias"])
    prior = prior + br.ARD(on="0?bias")
    model = br.Model(net(), prior, br.Categorical(), size=N)
    sites = [block.site for block in model.blocks]
    assert len(set(sites)) == len(sites) == 5
    x, y = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    theta = model.unpack(model.initial())
    assert model.log_joint(theta, x, y).isfinite()
    assert br.guides.delta(model).median().keys() == model.initial().keys()
