"""Evidence to coded findings on the ladder attended / trusted / used / harms, and to one verdict."""

from camaudit.findings.codes import CODES, Code
from camaudit.findings.decide import Evidence, decide
from camaudit.findings.policy import Policy
from camaudit.findings.quadrants import QUADRANTS, quadrants
from camaudit.findings.serial import read_findings, write_findings
from camaudit.findings.verdict import conclude

__all__ = [
    "CODES",
    "QUADRANTS",
    "Code",
    "Evidence",
    "Policy",
    "conclude",
    "decide",
    "quadrants",
    "read_findings",
    "write_findings",
]
