"""What an effect answers, at and around every threshold."""

from __future__ import annotations

import pytest

from camaudit.findings import Policy
from camaudit.findings.ladder import Answer, attended, harms, used
from tests.findings.tables import NAN, effect

POLICY = Policy()


@pytest.mark.parametrize(
    ("numbers", "q", "n", "answer"),
    [
        ((0.20, 0.15, 0.25), 0.001, 40, Answer.YES),
        ((0.02, 0.001, 0.04), 0.05, 10, Answer.YES),
        ((0.019, 0.001, 0.04), 0.001, 40, Answer.OPEN),  # clear of zero, but small
        ((0.20, 0.15, 0.25), 0.051, 40, Answer.OPEN),
        ((0.20, -0.01, 0.41), 0.001, 40, Answer.OPEN),
        ((0.20, 0.15, 0.25), 0.001, 9, Answer.OPEN),
        ((0.20, NAN, NAN), NAN, 40, Answer.OPEN),
        ((0.01, 0.005, 0.019), 0.001, 40, Answer.NO),
        ((-0.30, -0.40, -0.20), 0.001, 40, Answer.NO),
        ((-0.30, -0.40, -0.20), 0.001, 9, Answer.OPEN),
    ],
)
def test_attended(numbers: tuple[float, float, float], q: float, n: int, answer: Answer) -> None:
    assert attended(effect(*numbers, q=q, n=n), POLICY) is answer


def test_nothing_measured_is_nothing_asked() -> None:
    some = effect(0.3, 0.2, 0.4)
    assert attended(None, POLICY) is Answer.UNASKED
    assert used(None, some, POLICY) is used(some, None, POLICY) is used(None, None, POLICY) is Answer.UNASKED


@pytest.mark.parametrize(
    ("shift", "response", "answer"),
    [
        ((0.40, 0.21, 0.60), (0.40, 0.20, 0.60), Answer.YES),
        ((-0.40, -0.60, -0.21), (0.40, 0.20, 0.60), Answer.YES),
        ((-0.40, -0.60, -0.21), (-0.10, -0.20, 0.00), Answer.YES),
        ((0.00, -0.05, 0.05), (0.40, 0.31, 0.50), Answer.YES),  # up in some images, down in others
        ((0.00, -0.05, 0.05), (0.40, 0.30, 0.50), Answer.OPEN),
        ((0.15, 0.11, 0.19), (0.10, 0.00, 0.20), Answer.NO),  # a little, as of any model
        ((0.15, 0.09, 0.20), (0.10, 0.00, 0.20), Answer.OPEN),
        ((-0.15, -0.19, -0.09), (0.10, 0.00, 0.29), Answer.NO),
        ((0.00, -0.05, 0.05), (0.02, -0.01, 0.05), Answer.NO),
        ((0.00, -0.05, 0.05), (-0.40, -0.50, -0.30), Answer.OPEN),  # the controls did more
        (
            (-0.60, -0.70, -0.50),
            (-0.60, -0.70, -0.50),
            Answer.OPEN,
        ),  # and lowered the score, which the edit did not
        ((0.60, 0.50, 0.70), (-0.20, -0.30, -0.10), Answer.OPEN),
        ((0.08, 0.05, 0.21), (0.02, -0.01, 0.05), Answer.OPEN),
        ((-0.08, -0.21, -0.05), (0.02, -0.01, 0.05), Answer.OPEN),
        ((0.40, 0.20, 0.60), (0.02, -0.01, 0.05), Answer.OPEN),  # touches the threshold
        ((0.40, NAN, NAN), (0.40, 0.21, 0.60), Answer.OPEN),
        ((0.40, 0.21, 0.60), (0.40, NAN, NAN), Answer.OPEN),
    ],
)
def test_used(
    shift: tuple[float, float, float], response: tuple[float, float, float], answer: Answer
) -> None:
    assert used(effect(*shift), effect(*response), POLICY) is answer


def test_use_needs_significance_and_samples() -> None:
    clear, little = effect(0.4, 0.3, 0.5), effect(0.0, -0.05, 0.05, q=0.9)
    assert used(effect(0.4, 0.3, 0.5, q=0.06), little, POLICY) is Answer.OPEN
    assert used(effect(0.4, 0.3, 0.5, n=9), clear, POLICY) is Answer.OPEN
    assert used(clear, effect(0.4, 0.3, 0.5, n=9), POLICY) is Answer.OPEN
    assert used(effect(0.4, 0.3, 0.5, n=10), little, POLICY) is Answer.YES


def test_a_policy_moves_the_thresholds() -> None:
    assert (
        used(
            effect(0.3, 0.2, 0.4),
            effect(0.3, 0.2, 0.4),
            Policy(least_shift=0.5, least_response=0.5),
        )
        is Answer.NO
    )
    assert attended(effect(0.2, 0.15, 0.25), Policy(least_excess=0.3)) is Answer.NO
    assert attended(effect(0.2, 0.15, 0.25, n=9), Policy(least_samples=9)) is Answer.YES


@pytest.mark.parametrize(
    ("gain", "alone", "answer"),
    [
        ((-0.20, -0.30, -0.10), (-0.20, -0.30, -0.10), Answer.YES),
        (
            (-0.20, -0.30, -0.10),
            (0.00, -0.02, 0.02),
            Answer.OPEN,
        ),  # the controls made images wrong, the edit none right
        ((-0.20, -0.30, -0.10), None, Answer.YES),
        ((0.02, -0.01, 0.05), (-0.20, -0.30, -0.10), Answer.NO),
    ],
)
def test_harms(
    gain: tuple[float, float, float], alone: tuple[float, float, float] | None, answer: Answer
) -> None:
    by_itself = None if alone is None else effect(*alone)
    assert harms(effect(*gain), by_itself, POLICY) is answer
