"""Findings as JSON, and back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from camaudit.types import Effect, Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_VERSION = 1


def write_findings(run: str, verdict: Verdict, findings: Sequence[Finding]) -> str:
    """The text of ``findings.json``; numbers that are not defined are null."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "run": run,
        "verdict": {
            "status": verdict.status,
            "headline": verdict.headline,
            "text": verdict.text,
            "finding": verdict.finding,
        },
        "findings": [_plain(finding) for finding in findings],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_findings(text: str) -> tuple[Verdict, list[Finding]]:
    """The verdict and the findings in the text of ``findings.json``."""
    content = json.loads(text)
    return Verdict(**content["verdict"]), [_finding(values) for values in content["findings"]]


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "title": finding.title,
        "status": finding.status,
        "rung": finding.rung,
        "severity": finding.severity,
        "class": finding.target_class,
        "region": finding.region,
        "role": finding.role,
        "group": dict(finding.group),
        "effect": _effect(finding.effect),
        "evidence": {rung: _effect(effect) for rung, effect in finding.evidence.items()},
        "answers": dict(finding.answers),
        "samples": list(finding.samples),
        "counter_samples": list(finding.counter_samples),
        "advice": finding.advice,
    }


def _effect(effect: Effect | None) -> dict[str, Any] | None:
    if effect is None:
        return None
    numbers = {name: getattr(effect, name) for name in ("estimate", "low", "high", "p", "q")}
    plain = {name: None if math.isnan(value) else value for name, value in numbers.items()}
    return {"name": effect.name, **plain, "n": effect.n}


def _read_effect(values: dict[str, Any] | None) -> Effect | None:
    if values is None:
        return None
    numbers = {
        name: math.nan if values[name] is None else float(values[name])
        for name in ("estimate", "low", "high", "p", "q")
    }
    return Effect(name=values["name"], **numbers, n=values["n"])


def _finding(values: dict[str, Any]) -> Finding:
    evidence = {rung: _read_effect(effect) for rung, effect in values["evidence"].items()}
    return Finding(
        code=values["code"],
        title=values["title"],
        status=values["status"],
        rung=values["rung"],
        severity=values["severity"],
        target_class=values["class"],
        region=values["region"],
        role=values["role"],
        group=values["group"],
        effect=_read_effect(values["effect"]),
        evidence={rung: effect for rung, effect in evidence.items() if effect is not None},
        answers=values["answers"],
        samples=tuple(values["samples"]),
        counter_samples=tuple(values["counter_samples"]),
        advice=values["advice"],
    )
