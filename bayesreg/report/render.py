"""A page from its template: one skeleton, one style sheet and one script for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

HERE = Path(__file__).parent


def render(template: str, context: Mapping[str, Any], folder: Path = HERE) -> bytes:
    """The page of a template in `folder`, which may extend base.html; a name missing from the context is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(context).encode()
