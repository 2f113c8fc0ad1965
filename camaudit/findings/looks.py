"""The looks of a whole image in words."""

from __future__ import annotations

LOOKS = {
    "sharpness": ("blurred", "sharp", "blur"),
    "brightness": ("dark", "bright", "brightness"),
    "contrast": ("poor in contrast", "rich in contrast", "contrast"),
    "warmth": ("bluish", "reddish", "the colour of the light"),
    "tint": ("tinted magenta", "tinted green", "a tint"),
    "saturation": ("pale", "colourful", "saturation"),
    "compression": ("without traces of compression", "with traces of compression", "compression"),
    "quality": ("of low JPEG quality", "of high JPEG quality", "JPEG quality"),
    "resolution": ("of low resolution", "of high resolution", "resolution"),
}
"""By name of a look: what images are that have little of it, that have much of it, and its name in a sentence."""


def phrase(name: str) -> tuple[str, str, str]:
    """What images are that have little of a look, that have much of it, and its name in a sentence."""
    return LOOKS[name]
