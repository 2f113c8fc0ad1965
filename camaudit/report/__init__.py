"""A run as one self-contained HTML file that a person without camaudit can open, print and send on.

`render` and `write` make the page of a run, `render_comparison` and `write_comparison` that of two runs over the same
samples. Pictures lie inside the file, each once; nothing is requested from anywhere. `drawing` holds what puts a map
and outlines on a picture, for whoever needs it elsewhere.
"""

from __future__ import annotations

from camaudit.report.comparison import render_comparison, write_comparison
from camaudit.report.page import render, write

__all__ = ["render", "render_comparison", "write", "write_comparison"]
