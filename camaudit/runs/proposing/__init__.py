"""A first configuration: what lies in a folder, and an audit of it with comments."""

from camaudit.runs.proposing.propose import propose, skeleton

__all__ = ["propose", "skeleton"]
