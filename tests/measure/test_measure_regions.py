"""Which regions are measured, and which are edited."""

from __future__ import annotations

from camaudit.measure import edited_regions, measured_regions


def test_several_regions_of_one_role_are_also_measured_together() -> None:
    parts, roles = measured_regions(
        {"tool": "object", "hair": "attribute", "face": "attribute", "wall": "context", "floor": "context"}
    )
    assert parts == {
        "tool": ("tool",),
        "hair": ("hair",),
        "face": ("face",),
        "wall": ("wall",),
        "floor": ("floor",),
        "hair+face": ("hair", "face"),
    }
    assert roles["hair+face"] == "attribute"
    assert list(parts) == list(roles)
    assert edited_regions(roles, each=False) == ("tool", "hair+face")
    assert edited_regions(roles, each=True) == ("tool", "hair", "face", "hair+face")


def test_nothing_annotated_is_nothing_measured() -> None:
    assert measured_regions({}) == ({}, {})
    assert edited_regions({"wall": "context"}, each=True) == ()
