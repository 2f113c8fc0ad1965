"""Tables of a run that answer the ladder's questions as a test wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from camaudit.findings import Evidence
from camaudit.types import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from camaudit.types import Role

CLEAR, WIDE = 0.001, 0.9  # q-values
NAN = float("nan")
FILLS = ("mean", "inpaint")

# what an effect says to a question: estimate, low, high, q
EXCESS = {
    "yes": (0.20, 0.15, 0.25, CLEAR),
    "no": (-0.05, -0.06, -0.04, CLEAR),
    "open": (0.03, -0.05, 0.11, WIDE),
    "few": (0.20, NAN, NAN, NAN),
    "unasked": None,
}
SHIFT = {
    "yes": (0.40, 0.30, 0.50, CLEAR),
    "raises": (-0.40, -0.50, -0.30, CLEAR),
    "both ways": (0.00, -0.05, 0.05, WIDE),
    "no": (0.01, -0.03, 0.05, WIDE),
    "open": (0.08, -0.05, 0.21, WIDE),
    "few": (0.30, NAN, NAN, NAN),
    "unasked": None,
}
RESPONSE = SHIFT | {"raises": (0.40, 0.32, 0.50, CLEAR), "both ways": (0.40, 0.32, 0.50, CLEAR)}


def evidence(
    role: Role,
    seen: str,
    followed: str,
    *,
    region: str = "hair",
    n: int = 40,
    target_class: str = "nurse",
    target: str = "predicted",
) -> Evidence:
    """The tables of a run with one region, two classes that say the same, and no group."""
    rows = [
        ("excess", "gradcam", EXCESS[seen]),
        ("mass", "gradcam", (0.35, 0.3, 0.4, CLEAR)),
        ("area", "gradcam", (0.15, 0.1, 0.2, NAN)),
        *(
            (metric, fill, says[followed])
            for metric, says in (("shift", SHIFT), ("response", RESPONSE))
            for fill in FILLS
        ),
    ]
    effects = [
        {
            "metric": metric,
            "method": method,
            "target": target,
            "target_class": of,
            "region": region,
            "role": role,
            "group": "",
            "value": "",
            **dict(zip(("estimate", "low", "high", "q"), numbers, strict=True)),
            "p": numbers[3],
            "n": 4 if numbers[1] != numbers[1] else n,
        }
        for metric, method, numbers in rows
        if numbers is not None
        for of in ("", target_class, "doctor")
    ]
    return Evidence(
        effects=pd.DataFrame(effects),
        measurements=measurements(
            {f"s{i}": i for i in range(10)}, {f"s{i}": i for i in range(10)}, region=region
        ),
        samples=pd.DataFrame({"sample": [f"s{i}" for i in range(10)]}),
        roles={region: role},
        parts={region: tuple(region.split("+"))},
        classes=[target_class, "doctor"],
        groups=[],
        method="gradcam",
        fills=FILLS if SHIFT[followed] is not None else (),
        target=target,
    )


def measurements(
    excess: Mapping[str, float], shift: Mapping[str, float], *, region: str = "hair"
) -> pd.DataFrame:
    """Measurements of one region by sample."""
    return pd.DataFrame(
        [
            {
                "sample": sample,
                "method": method,
                "target": "predicted",
                "target_class": "nurse",
                "region": region,
                "role": "attribute",
                "metric": metric,
                "value": float(value),
            }
            for metric, method, values in (
                ("excess", "gradcam", excess),
                *(("shift", fill, shift) for fill in FILLS),
                *(
                    ("response", fill, {sample: abs(value) for sample, value in shift.items()})
                    for fill in FILLS
                ),
            )
            for sample, value in values.items()
        ],
        columns=["sample", "method", "target", "target_class", "region", "role", "metric", "value"],
    )


def effect(
    estimate: float, low: float, high: float, *, q: float = CLEAR, n: int = 40, name: str = "shift"
) -> Effect:
    """An effect."""
    return Effect(name, estimate, low, high, q, q, n)
