"""Whether a page that was made earlier still says what the code would say now."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SPEAKING = (
    "load.py",
    "page.py",
    "record.py",
    "tables.py",
    "terminal.py",
    "words.py",
    "figures.py",
    "baselines.py",
    "../statistics/across.py",
    "../statistics/choice.py",
    "../statistics/difference.py",
    "../statistics/scores.py",
    "../conclusion.py",
    "../costs.py",
    "../recommendation.py",
)


def wording() -> str:
    """Sixteen hexadecimal digits that stand for the template and for every text in the code that fills it.

    The names of columns are such texts too. Comments, docstrings and the rest of the code do not count.
    """
    made = hashlib.sha256((HERE / "page.html").read_bytes())
    for name in SPEAKING:
        tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
        for text in sorted(_texts(tree)):
            made.update(text.encode() + b"\0")
    return made.hexdigest()[:16]


def _texts(tree: ast.Module) -> Iterator[str]:
    """The string literals of a module, without its docstrings."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value
