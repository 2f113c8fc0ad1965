"""The Jinja2 environment and where the templates lie: beside this module in a wheel, in reports/ in a checkout."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from camaudit.report import words
from camaudit.report.drawing import RAMP

_HERE = Path(__file__).resolve().parent
_PLACES = (_HERE / "templates", _HERE.parents[1] / "reports" / "templates")


def folder() -> Path:
    """The folder that holds the templates."""
    for place in _PLACES:
        if (place / "report.html").is_file():
            return place
    raise FileNotFoundError(f"No report templates in {' or '.join(map(str, _PLACES))}; reinstall camaudit.")


@cache
def environment() -> jinja2.Environment:
    """The environment: everything is escaped, an unknown name is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "share": words.share,
        "unbroken": words.unbroken,
        "rate": words.rate,
        "count": words.count,
        "q": words.adjusted,
        "made_by": words.made_by,
        "region": words.region,
        "scope": words.scope,
        "named": words.named,
        "listing": words.listing,
    }
    made.globals["ramp"] = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in RAMP[13::26].tolist()]
    return made


def render(name: str, **context: object) -> str:
    """Renders a template; ``style`` and ``policy`` (the Content-Security-Policy) are added here."""
    style = (folder() / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    inline = Markup(style)  # noqa: S704 - the project's own style sheet
    return environment().get_template(name).render(style=inline, policy=policy, **context)
