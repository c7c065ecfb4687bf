"""A method: its text, its candidates, and how they go on."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bayesreg as br
from bayesreg.methods import ALIASES, TECHNIQUES, Method, as_methods
from bayesreg.methods.base import Technique, Tuned
from bayesreg.methods.dropout import Dropout
from bayesreg.priors import PRIORS

N = 100
NAMES = [*PRIORS, *TECHNIQUES]
NUMBERED = [name for name, kind in (PRIORS | TECHNIQUES).items() if kind.grid != (None,)]


@st.composite
def texts(draw):
    """A text of a method, whose terms are tuned or have a number."""
    of_a_kind = {"mc_dropout": "dropout"}
    unique = {"min_size": 1, "max_size": 4, "unique_by": lambda name: of_a_kind.get(name, name)}
    names = draw(st.lists(st.sampled_from(NAMES), **unique))
    number = st.one_of(st.none(), st.floats(1e-12, 0.99, exclude_max=True))
    numbers = [draw(number) if name in NUMBERED else None for name in names]
    terms = [name if n is None else f"{name}:{n!r}" for name, n in zip(names, numbers, strict=True)]
    return "+".join(terms) + draw(st.sampled_from(["", "@delta", "@normal"]))


@given(texts())
def test_a_text_makes_a_method_that_has_that_text(text):
    method = Method.parse(text)
    again = Method.parse(method.text)
    assert again == method
    assert hash(again) == hash(method)
    assert again.text == method.text == method.name
    assert pickle.loads(pickle.dumps(method)) == method
    for candidate in method.candidates:
        assert candidate.name == method.name
        assert candidate.candidates == method.candidates
        fixed = Method.parse(candidate.text)
        assert fixed.prior(N) == candidate.prior(N)
        assert fixed.candidate().text == candidate.text == fixed.text
        assert json.loads(json.dumps(candidate.record())) == candidate.record()


@pytest.mark.parametrize(
    ("text", "name", "full"),
    [
        ("l2:1e-4", "l2:0.0001", "l2:0.0001"),
        ("l2", "l2", "l2"),
        ("dropout+l2@normal", "dropout+l2@normal", "dropout+l2@normal"),
        ("l2@map", "l2", "l2"),
        ("none", "none", "none"),
        ("none+dropout", "dropout", "dropout"),
        ("l2:1e+2+l1", "l2:100.0+l1", "l2:100.0+l1"),
        ("confidence_penalty", "entropic", "entropic"),
        (" l2 + dropout:0.1 @ normal", "l2+dropout:0.1@normal", "l2+dropout:0.1@normal"),
    ],
)
def test_names(text, name, full):
    method = Method.parse(text)
    assert (method.name, method.text, str(method)) == (name, full, name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("l3", r"unknown prior or technique 'l3' in 'l3'; did you mean 'l[12]'"),
        ("l2+dropuot", "did you mean 'dropout'"),
        ("l2@nrmal", "unknown guide 'nrmal'; did you mean 'normal'"),
        ("l2@", "unknown guide ''"),
        ("l2@normal@delta", "unknown guide"),
        ("", "unknown prior or technique ''"),
        ("l2+", "unknown prior or technique ''"),
        ("l2+l2:0.1", "has 'l2' twice"),
        ("entropic+confidence_penalty", "has 'entropic' twice"),
        ("dropout+mc_dropout", "has 'dropout' twice"),
        ("mc_dropout:0.1+l2+dropout:0.2", "has 'dropout' twice"),
        ("l2:", "the strength '' is not a number"),
        ("l2:strong", "the strength 'strong' is not a number"),
        ("l2:0", "'l2:0': .*above 0"),
        ("l2:-1", "above 0"),
        ("l2:nan", "finite"),
        ("dropout:1", "'dropout:1': .*below 1"),
        ("none:0.1", "none has no strength"),
    ],
)
def test_what_is_no_method_is_refused_in_words(text, words):
    with pytest.raises(ValueError, match=words):
        br.methods.parse(text)


@pytest.mark.parametrize("value", [3, None, ["l2"], int])
def test_what_is_no_term_is_refused(value):
    with pytest.raises(ValueError, match="no part of a method"):
        Method(value)
    with pytest.raises(ValueError, match="no text of a method"):
        Method.parse(value)


def test_objects_and_classes_are_terms():
    assert Method(br.L2, Dropout) == Method.parse("l2+dropout")
    assert Method("l2", Dropout(0.3), guide="vi") == Method.parse("l2+dropout:0.3@normal")
    assert Method(br.Entropic(0.3)) == Method.parse("entropic:0.3")
    assert Method(br.Flat()) == Method() == Method.parse("none")
    given = Method(br.L2(scale=0.1, on=["head.*"]) + br.L2(scale=1.0, on="body.*"))
    assert given.name == given.text == "l2(scale=0.1, on=['head.*'])+l2(scale=1.0, on='body.*')"
    assert given.prior(N) == br.L2(scale=0.1, on=["head.*"]) + br.L2(scale=1.0, on="body.*")
    assert given.candidates == (given,)
    assert hash(given) == hash(pickle.loads(pickle.dumps(given)))
    assert given.strength is None


class Halved(Tuned):
    """A technique of a user's own."""

    default_strength = 2.0
    grid = (1.0, 4.0)


class Plain(Technique):
    """One without a number."""


def test_a_technique_of_a_users_own_is_one_class(monkeypatch):
    assert [m.text for m in Method(Halved).candidates] == ["halved:1.0", "halved:4.0"]
    assert Method(Plain()) == Method(Plain)
    with pytest.raises(ValueError, match="unknown prior or technique 'halved'"):
        Method.parse("halved")
    monkeypatch.setitem(TECHNIQUES, "halved", Halved)
    assert Method.parse("halved:2+l2") == Method(Halved(2.0), "l2")


# --- Several of them ---


def test_groups_and_lists():
    every = as_methods(["all"])
    assert [m.name for m in every] == NAMES
    assert as_methods(["priors", "techniques"]) == every
    assert [m.name for m in as_methods("priors@normal")] == [f"{name}@normal" for name in PRIORS]
    assert as_methods(["none", br.L2, Method("l1")]) == tuple(map(Method.parse, ["none", "l2", "l1"]))
    assert as_methods("l2") == (Method("l2"),)
    assert as_methods(["l2", "l2:0.1", "l2@normal"])  # three


@pytest.mark.parametrize(
    "twice",
    [["l2", "l2"], ["l2", "l2@map"], ["entropic", "confidence_penalty"], ["l1+dropout", "dropout+l1"], ["all", "l2"]],
    ids=" ".join,
)
def test_a_method_twice_is_refused(twice):
    with pytest.raises(ValueError, match="is there twice"):
        as_methods(twice)


def test_no_method_is_refused():
    with pytest.raises(ValueError, match="no method to compare"):
        as_methods([])


# --- Candidates ---


@pytest.mark.parametrize("name", NAMES)
def test_every_grid_has_four_strengths_or_none(name):
    method = Method.parse(name)
    strengths = [candidate.strength for candidate in method.candidates]
    assert strengths == sorted(strengths) if name in NUMBERED else strengths == [None]
    assert len(strengths) in (1, 4)


def chosen(name, *strengths):
    return [Method.parse(name).at((s,) * name.count("+") or (s,)) for s in strengths]


@pytest.mark.parametrize(
    ("best", "next"),
    [(1.0, 10.0), (1e-3, 1e-4), (1e-2, 0.0316228), (1e-1, 0.316228)],
)
def test_goes_on_by_the_grids_ratio_beyond_its_edge_and_halves_the_wider_side_within(best, next):
    tried = Method("l2").candidates
    (found,) = [m for m in tried if m.strength == best]
    another = Method("l2").another(tried, found)
    assert another.strength == next
    assert another.name == "l2"
    assert found.at_edge(tried, found) == (best in (1.0, 1e-3))


def test_the_wider_side_is_refined():
    tried = chosen("l2", 0.01, 0.1, 0.2)
    assert Method("l2").another(tried, tried[1]).strength == pytest.approx((0.1 * 0.01) ** 0.5, rel=1e-5)


def test_a_bounded_strength_goes_on_by_its_odds():
    method, tried = Method("dropout"), Method("dropout").candidates
    stronger = method.another(tried, tried[-1])
    assert tried[-1].strength < stronger.strength < 1
    odds = [m.strength / (1 - m.strength) for m in (*tried[-2:], stronger)]
    assert odds[2] / odds[1] == pytest.approx(odds[1] / odds[0], rel=1e-4)
    for _ in range(40):
        tried = (*tried, stronger)
        found = method.another(tried, stronger)
        if found is None:
            break
        assert stronger.strength < found.strength < 1
        stronger = found
    assert found is None  # 1 itself is no strength


@given(st.sampled_from(NUMBERED), st.lists(st.integers(0, 100), min_size=1, max_size=8))
def test_another_is_always_new_and_between_or_beyond(name, choices):
    method = Method.parse(name)
    tried = list(method.candidates)
    for choice in choices:
        ladder = sorted(tried, key=lambda m: m.strength)
        place = choice % len(ladder)
        found = method.another(tried, ladder[place])
        if found is None:
            return
        low = ladder[place - 1].strength if place else 0.0
        high = ladder[place + 1].strength if place + 1 < len(ladder) else getattr(found.terms[0].kind, "most", 1e99)
        assert found.strength not in [m.strength for m in tried]
        assert low < found.strength < high
        tried.append(found)


def test_several_tuned_terms_move_together():
    method = Method.parse("l2+dropout+l1:0.5")
    assert [m.text for m in method.candidates] == [
        f"l2:{s!r}+dropout:{p!r}+l1:0.5" for s, p in zip(br.L2.grid, Dropout.grid, strict=True)
    ]
    assert [m.strength for m in method.candidates] == list(br.L2.grid)
    assert method.another(method.candidates, method.candidates[0]).text.startswith("l2:0.0001+dropout:0.02")


def test_what_is_not_tuned_has_one_candidate_and_no_other():
    for text in ("none", "l2:0.1"):
        method = Method.parse(text)
        assert method.candidates == (method,)
        assert method.another([method], method) is None
        assert not method.at_edge([method], method)
        assert method.strength is None


def test_the_best_is_one_of_those_tried():
    l2, l1 = Method("l2").candidates, Method("l1").candidates
    with pytest.raises(ValueError, match="is none of those tried"):
        Method("l2").another(l2[:2], l2[3])
    with pytest.raises(ValueError, match="no candidate of 'l2'"):
        Method("l2").another(l1, l1[0])
    with pytest.raises(ValueError, match="has no strength yet"):
        Method("l2").another([Method("l2")], Method("l2"))


def test_the_prior_of_a_method():
    assert Method.parse("l2:0.01+dropout").prior(N) == br.L2.from_strength(0.01, N)
    assert Method.parse("l2+entropic").candidates[1].prior(N) == br.L2.from_strength(1e-2, N) + br.Entropic(0.3)
    assert Method.parse("dropout").prior(N) == Method.parse("none").prior(N) == br.Flat()
    assert Method.parse("l2").prior(N) == br.L2.from_strength(br.L2.default_strength, N)


def test_records_tell_candidates_apart_and_hold_the_numbers_themselves():
    strength = 0.1 + 0.2
    assert Method("l2").at([strength]).record()["strengths"] == [strength]
    texts = ["l2:0.1", "l2:0.2", "l2:0.1@normal", "l1:0.1", "l2:0.1+dropout", "dropout:0.1", "none"]
    records = [json.dumps(Method.parse(text).record()) for text in texts]
    callables = [lambda name, parameter: name == "a", lambda name, parameter: name == "b"]
    records += [json.dumps(Method(br.L2(scale=1.0, on=on)).record()) for on in callables]
    assert len(set(records)) == len(records)


# --- Pictures ---


def test_looks_differ_in_more_than_their_colour():
    looks = [Method.parse(name).look for name in NAMES]
    assert len({look[1:] for look in looks}) == len(looks)  # without colour
    assert len(set(looks)) == len(looks)
    for name in NAMES:
        plain, normal = Method.parse(name).look, Method.parse(f"{name}@normal").look
        assert plain[:2] == normal[:2]
        assert plain.line != normal.line
    assert Method.parse("l2+dropout").look not in looks


def test_the_aliases_are_of_terms_that_are_there():
    assert set(ALIASES.values()) <= set(NAMES)
    assert not set(ALIASES) & set(NAMES)


def test_a_word_in_a_strengths_place():
    """Text and object are one method, which is taken as it is; other numbers are another, whose record is as it was."""
    method = Method.parse("ard:sparse@normal")
    assert method == Method(br.ARD.sparse(), guide="normal") == Method.parse(method.name) == method.candidate()
    assert (method.text, method.candidates, method.prior(N)) == ("ard:sparse@normal", (method,), br.ARD.sparse())
    assert method.record()["given"] == [{"name": "ard", "a": 0.5, "b": 1e-3, "temper": 1.0, "on": "weights"}]
    assert Method(br.ARD(a=0.5)).text == "ard(a=0.5, b=1.0, temper=1.0)"
    with pytest.raises(ValueError, match=r"'sparce' is not a number, as in ard:0.1 or ard:sparse"):
        Method.parse("ard:sparce")
