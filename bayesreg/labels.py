"""Short names that tell runs apart, made from their options: only what differs is named."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

Options = Mapping[str, Any]
Identity = tuple[str, str]


def labels(bases: Sequence[str], options: Sequence[Options]) -> list[str]:
    """Each base with what distinguishes its options from those of others with the same base: "digits · epochs 10".

    Two labels are equal where base and options are, and nowhere else. An option that is None counts as absent.
    """
    known = [{key: value for key, value in own.items() if value is not None} for own in options]
    identities = [(base, json.dumps(own, sort_keys=True)) for base, own in zip(bases, known, strict=True)]
    found: dict[Identity, str] = {}
    for base in dict.fromkeys(bases):
        group = {identity: own for identity, own in zip(identities, known, strict=True) if identity[0] == base}
        found |= _labels(base, group)
    unique = _numbered(found)
    return [unique[identity] for identity in identities]


def _labels(base: str, group: dict[Identity, dict[str, Any]]) -> dict[Identity, str]:
    made = dict.fromkeys(group, base)
    for key in dict.fromkeys(key for own in group.values() for key in own):
        if len(set(made.values())) == len(group):
            break
        if len({json.dumps(own.get(key)) for own in group.values()}) > 1:
            made = {identity: made[identity] + _word(base, key, own.get(key)) for identity, own in group.items()}
    return made


def _word(base: str, key: str, value: Any) -> str:
    """What an option adds to a label: a text speaks for itself, ard.a of the base ard is a."""
    if value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
    return f" · {text}" if isinstance(value, str) else f" · {key.removeprefix(f'{base}.')} {text}"


def _numbered(found: dict[Identity, str]) -> dict[Identity, str]:
    """The labels, with a number appended to each that another identity has too."""
    taken: dict[str, Identity] = {}
    for identity, label in sorted(found.items()):
        others = (f"{label} ({n})" for n in itertools.count(2))
        taken[next(text for text in itertools.chain([label], others) if text not in taken)] = identity
    return {identity: label for label, identity in taken.items()}
