"""All findings of an audit: the issues, the tips, and what passed, was undecided or did not apply."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from camaudit.findings.attribute import attribute_finding
from camaudit.findings.background import background_findings
from camaudit.findings.building import finding
from camaudit.findings.codes import ATTRIBUTE_ATTENDED, OBJECT_MISSED
from camaudit.findings.evidence import Evidence
from camaudit.findings.harms import harms_findings
from camaudit.findings.invisible import invisible_findings
from camaudit.findings.kinds import always
from camaudit.findings.object import object_finding
from camaudit.findings.policy import Policy
from camaudit.findings.transplant import transplant_findings
from camaudit.findings.trust import believed, trust_finding, trusted, with_trust

if TYPE_CHECKING:
    from camaudit.findings.codes import Code
    from camaudit.findings.evidence import Cell
    from camaudit.types import Finding, Role

__all__ = ["Evidence", "decide"]

_ORDER = ("issue", "tip", "insufficient", "passed", "not_applicable")


def decide(evidence: Evidence, policy: Policy | None = None) -> list[Finding]:
    """Every finding, the gravest first."""
    policy = policy or Policy()
    judged = trusted(evidence.trust, evidence.samples, evidence.methods, policy)
    if judged:
        evidence = replace(evidence, method=believed(judged, evidence.methods))
    findings = [attribute_finding(evidence, cell, policy) for cell in _attribute_cells(evidence)]
    findings += background_findings(evidence, policy)
    findings += transplant_findings(evidence, policy)
    findings += [object_finding(evidence, cell, policy) for cell in evidence.cells("object")]
    about = next((of for of in judged if of.method == (evidence.method or evidence.methods[0])), None)
    findings = [with_trust(one, about) for one in findings]
    findings += [trust_finding(of, policy) for of in judged]
    findings += invisible_findings(evidence, policy, findings)
    findings += harms_findings(evidence, policy)
    present = set(evidence.roles.values())
    if "attribute" not in present:
        findings.append(_not_applicable(ATTRIBUTE_ATTENDED, "attribute", "the model should not use"))
    if "object" not in present:
        findings.append(_not_applicable(OBJECT_MISSED, "object", "the model should use"))
    return sorted(findings, key=lambda one: (_ORDER.index(one.status), -one.severity, one.code))


def _attribute_cells(evidence: Evidence) -> list[Cell]:
    """The cells in which an edit of an attribute can answer something.

    Not where objects were put on other backgrounds instead. Of an attribute that every image has only the classes: there
    groups are held against one another.
    """
    cells = evidence.cells("attribute")
    regions = {cell.region for cell in cells}
    elsewhere = {name for name in evidence.without_controls() if evidence.exchanged(name, "background")}
    kept = {name for name in regions if evidence.groups and evidence.fills and always(evidence, name)}
    return [
        cell
        for cell in cells
        if cell.region not in elsewhere
        and not (cell.region in kept and (cell.group or not cell.target_class))
    ]


def _not_applicable(code: Code, role: Role, what: str) -> Finding:
    title = f"No annotated region has the role {role}, so what {what} could not be examined."
    advice = f"Annotate such regions and name them in roles.{role}."
    return finding(code, "not_applicable", title, advice, role=role)
