"""Whether an existing page still says what the code would say now."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


OUTSIDE = ("conclusion.py", "costs.py", "recommendation.py")  # of the report and the statistics


def speaking() -> list[Path]:
    """The files whose words appear on a page: those of the report, of the statistics and of the conclusions."""
    package = HERE.parent
    found = [*HERE.glob("*.*"), *(package / "statistics").glob("*.py"), *(package / name for name in OUTSIDE)]
    return sorted(file for file in found if file.suffix in (".py", ".html", ".css", ".js"))


def wording() -> str:
    """Sixteen hexadecimal digits: a hash of the template and of every text in the code that fills it.

    The names of columns are such texts too. Comments, docstrings and the rest of the code do not count.
    """
    made = hashlib.sha256()
    for file in speaking():
        content = file.read_text(encoding="utf-8")
        for text in sorted(_texts(ast.parse(content))) if file.suffix == ".py" else [content]:
            made.update(text.encode() + b"\0")
    return made.hexdigest()[:16]


def _texts(tree: ast.Module) -> Iterator[str]:
    """The string literals of a module, without its docstrings."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.value
