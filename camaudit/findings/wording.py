"""Findings in the words of a colleague."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from camaudit.findings import building
from camaudit.findings.ladder import Answer
from camaudit.statistics import needed

if TYPE_CHECKING:
    from camaudit.findings.evidence import Cell
    from camaudit.findings.kinds import Kind
    from camaudit.findings.policy import Policy
    from camaudit.findings.weighing import Weighed
    from camaudit.types import Effect


def where(weighed: Weighed) -> str:
    """The images a cell is about, as the beginning of a sentence."""
    return about(weighed.target, weighed.cell)


def about(target: str, cell: Cell) -> str:
    """The same of a cell of a target."""
    if not cell.target_class:
        images = "Over all classes"
    elif target == "predicted":
        images = f"Where the model says {cell.target_class}"
    elif target == "label":
        images = f"In images of {cell.target_class}"
    else:
        images = f"For the score of {cell.target_class}"
    return f"{images} ({cell.group}: {cell.value})" if cell.group else images


def region(weighed: Weighed) -> str:
    """The region's name as it stands in a sentence."""
    return named(weighed.cell.region)


def named(region: str) -> str:
    """A region's name as it stands in a sentence."""
    return " and ".join(region.split("+"))


def share(weighed: Weighed) -> str:
    """How much of the evidence lies in the region, beside what chance would put there."""
    mass, area = weighed.mass, weighed.area
    if mass is None or area is None or math.isnan(mass.estimate):
        return "the share of the evidence is not known"
    return f"{building.share(mass.estimate)} of the evidence lies there, where chance would put {building.share(area.estimate)}"


def maps(weighed: Weighed) -> str:
    """Whether the maps lie on the region."""
    name = region(weighed)
    if weighed.seen is Answer.YES:
        return f"the maps lie on {name}"
    if weighed.seen is Answer.NO:
        return f"the maps lie on {name} no more than chance would put there"
    return f"it cannot be said whether the maps lie on {name}"


def signed(effect: Effect) -> str:
    """How large an effect is, with its direction."""
    return f"{effect.estimate:+.2f} SD ({effect.low:+.2f} to {effect.high:+.2f})".replace("-", "−")


def follows(effect: Effect) -> str:
    """What editing the region did to the score, beyond what editing as much elsewhere does."""
    if effect.name == "response":
        return f"changes its score, in one direction or the other, by {building.sized(effect)}"
    return f"{'lowers' if effect.estimate >= 0 else 'raises'} its score by {building.sized(effect)}"


def uses(weighed: Weighed, effect: Effect) -> str:
    """What shows that the score follows the region, as a clause."""
    name, kind = region(weighed), weighed.kind
    if kind is None:
        return (
            f"editing {name} away {follows(effect)} more than editing as much elsewhere does{alone(weighed)}"
        )
    side = "higher" if effect.estimate >= 0 else "lower"
    return f"the same image scores {building.sized(effect)} {side} with {name} of images whose {_is(kind)} than with {name} of the others"


def moves(weighed: Weighed, effect: Effect) -> str:
    """The same where it is small, or not known well enough."""
    if weighed.kind is not None:
        return f"with {region(weighed)} of images whose {_is(weighed.kind)} the same image scores {signed(effect)} against that of the others"
    either = ", in one direction or the other," if effect.name == "response" else ""
    return f"editing it away changes the score{either} by {signed(effect)} beyond the controls"


def _is(kind: Kind) -> str:
    return f"{kind.group} is {kind.value}"


def alone(weighed: Weighed) -> str:
    """Says so where a single fill decided, which the score may follow instead of the region."""
    return (
        f" (with one fill only, {weighed.fills[0]})" if len(weighed.fills) == 1 and not weighed.kind else ""
    )


def pays(weighed: Weighed) -> str:
    """What the attribute costs, as the continuation of a sentence; nothing where that was not shown."""
    gain = weighed.gain
    if gain is None or weighed.pays is not Answer.YES:
        return ""
    more, least, most = map(building.share, (-gain.estimate, -gain.high, -gain.low))
    # a finding may be about what the model says, and its accuracy about what is so
    other = weighed.by_label and weighed.target != "label" and weighed.cell.target_class
    mine = f" of {weighed.cell.target_class}" if other else ""
    return f", and {more} more of the images{mine} are right once it is edited away than once as much elsewhere is ({least} to {most})"


def enough(weighed: Weighed, policy: Policy) -> str:
    """How many images would decide whether the score follows; empty where that cannot be guessed."""
    moved = weighed.moved
    if moved is None or weighed.followed is not Answer.OPEN or weighed.kind is not None:
        return ""  # of an exchange the donors are what limits it
    wanted = needed(moved, policy.least_response if moved.name == "response" else policy.least_shift)
    return f" About {wanted:,} would do." if wanted is not None and wanted > moved.n else ""


def undecided(weighed: Weighed, policy: Policy) -> str:
    """Why it cannot be said whether the score follows."""
    moved = weighed.moved
    few = _few(weighed, policy)
    if few or moved is None:
        return few
    if weighed.always and weighed.kind is None:
        return f"{moves(weighed, moved)}, but every image has it, so an image without it is like none the model knows"
    if moved.name == "response" and moved.high < 0:
        return "editing as much elsewhere changes the score more than editing it does"
    return f"{moves(weighed, moved)}, and the interval holds {holds(moved, policy)}"


def holds(effect: Effect, policy: Policy) -> str:
    """What keeps an effect with an interval from an answer."""
    if effect.name == "response":
        return f"both more and less than {policy.least_response:g} SD"
    if max(effect.low, -effect.high) > policy.least_shift:
        return "nothing smaller, but so many questions were asked that chance may have made it"
    return f"both less and more than {policy.least_shift:g} SD"


def _few(weighed: Weighed, policy: Policy) -> str:
    """What there is too little of to say anything; empty where there is enough."""
    moved = weighed.moved
    least = policy.least_samples
    unknown = moved is None or moved.n < least or math.isnan(moved.low)
    if weighed.kind is not None and unknown:
        return "every image has it, and it can be exchanged in too few images, or for too few of each kind"
    if moved is None or moved.n == 0:
        return (
            "no image has room for the control edits"
            if weighed.shown
            else "the region is in none of the images"
        )
    if moved.n < least:
        return f"only {moved.n} images can be used, and {least} are needed"
    return f"its {moved.n} images show fewer than {least} subjects" if unknown else ""
