"""What comes from files is checked here, once: what has passed may appear in any table, figure or page.

Each function raises ValueError, in one line that names the place, for what it does not accept.
"""

import json
import math
from pathlib import Path
from typing import Any

from bayesreg.metrics import METRICS

BYTES = 10**7  # of a file; the largest that a run writes is a history of some 100 kB
LETTERS = 200  # of a name
PROSE = 2000  # letters of a message
COUNT = 500  # options or metrics of a run
DEPTH = 8  # of tables in tables
LARGEST = 1e100  # the squares of larger numbers overflow, and no figure can be drawn


def read(file: Path) -> str:
    """The text of a file of ordinary size."""
    if file.stat().st_size > BYTES:
        raise ValueError(f"{file.name} has {file.stat().st_size:,} bytes, more than any run writes")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{file.name} is not UTF-8 text") from None


def read_json(file: Path) -> dict[str, Any]:
    """The table in a JSON file."""
    text = read(file)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} is not valid JSON ({prose(error)})") from None
    return table(value, file.name)


def table(value: Any, where: str) -> dict[str, Any]:
    """A table {name: anything}; an empty one for None."""
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{where} is {_short(value)}, not a table")
    if value is not None and len(value) > COUNT:
        raise ValueError(f"{where} has {len(value):,} entries, more than any run writes")
    return {name(key, f"a name in {where}"): item for key, item in (value or {}).items()}


def name(value: Any, where: str) -> str:
    """A short text of printable characters: no control characters, no halves of surrogate pairs."""
    if not isinstance(value, str) or not value or len(value) > LETTERS or not value.isprintable():
        raise ValueError(f"{where} is {_short(value)}, not a text of 1 to {LETTERS} printable characters")
    return value


def prose(value: Any) -> str:
    """Any text in one line, unprintable characters as spaces or �; "" for None."""
    text = "" if value is None else " ".join(str(value)[:PROSE].split())
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def message(value: Any, where: str) -> str:
    """A text of any length and any characters, as `prose` gives it."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{where} is {_short(value)}, not a text")
    return prose(value)


def number(value: Any, where: str) -> float:
    """A number; NaN for None and for what is not finite or beyond ±1e100."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{where} is {_short(value)}, not a number")
    return float(value) if value is not None and -LARGEST <= value <= LARGEST else math.nan


def whole(value: Any, where: str) -> int:
    """A whole number of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(f"{where} is {_short(value)}, not a whole number of 64 bits")
    return value


def strengths(value: Any, where: str) -> tuple[float, ...]:
    """The strengths of a candidate, above 0; none for a method that has none, or was refused before it got one."""
    if not isinstance(value, list):
        raise ValueError(f"{where} is {_short(value)}, not a list")
    known = tuple(number(one, where) for one in value if one is not None)
    if not all(one >= 1 / LARGEST for one in known):
        raise ValueError(f"{where} is {_short(value)}, not numbers above 0")
    return known


def metric(value: Any, where: str) -> str:
    """The name of a registered metric, so that it is known whether higher is better."""
    if value not in list(METRICS):
        raise ValueError(f"{where} is {_short(value)}, not one of {', '.join(METRICS)}")
    return str(value)


def metrics(value: Any, where: str) -> dict[str, float]:
    """{metric: score}."""
    return {
        metric(key, f"a metric in {where}"): number(v, f"{key} in {where}") for key, v in table(value, where).items()
    }


def options(value: Any, where: str, depth: int = 0) -> dict[str, Any]:
    """Options of any names: a flat table of texts, numbers, booleans and None, with dotted names."""
    if depth > DEPTH:
        raise ValueError(f"{where} is more than {DEPTH} tables deep")
    found: dict[str, Any] = {}
    for key, item in table(value, where).items():
        place = f"{where}.{key}"
        if isinstance(item, dict):
            found |= {f"{key}.{inner}": v for inner, v in options(item, place, depth + 1).items()}
        else:
            found[key] = _option(item, place)
    return found


def _option(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return whole(value, where)
    if isinstance(value, float):
        if math.isnan(number(value, where)):
            raise ValueError(f"{where} is {_short(value)}, not a finite number")
        return value
    return name(value if isinstance(value, str) else json.dumps(value), where)


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "a whole number of more than 64 bits"  # the text of one with 5,000 digits cannot be made
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
