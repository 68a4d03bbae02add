"""Ranges of options, and how they are told."""

from __future__ import annotations

import math

import pytest

from rher_pl.errors import ConfigError
from rher_pl.limits import Range, check_ranges, require_memory
from rher_pl.training.datamodule import RANGES as DATA
from rher_pl.training.datamodule import RelayDataModule
from rher_pl.training.module import RANGES as MODEL
from rher_pl.training.module import RHERModule


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "text"),
    [
        (Range(0, 1), (0, 0.5, 1), (-0.1, 1.1), "in [0, 1]"),
        (Range(0, 1, low_open=True), (0.1, 1), (0, 2), "in (0, 1]"),
        (Range(0, 1, low_open=True, high_open=True), (0.5,), (0, 1), "in (0, 1)"),
        (Range(1), (1, 10**400), (0, math.inf, math.nan), "at least 1"),
        (Range(0, low_open=True), (1e-9,), (0, -1), "above 0"),
        (Range(1, 1_000_000), (1_000_000,), (1_000_001,), "in [1, 1,000,000]"),
    ],
)
def test_a_range_knows_its_ends_and_says_them(allowed, inside, outside, text):
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)
    assert str(allowed) == text


@pytest.mark.parametrize(
    ("kind", "name", "allowed"),
    [(RHERModule, *item) for item in MODEL.items()]
    + [(RelayDataModule, *item) for item in DATA.items()],
)
def test_every_bounded_option_refuses_what_lies_below_and_nan(kind, name, allowed):
    below = allowed.low if allowed.low_open else allowed.low - 1
    for value in (below, math.nan):
        with pytest.raises(ConfigError, match=f"^{name} must be "):
            kind(**{name: value})


def test_a_number_of_hundreds_of_digits_is_not_printed_whole():
    with pytest.raises(ConfigError) as refused:
        check_ranges({"critics": -(10**400)}, {"critics": Range(1)})
    assert len(str(refused.value)) < 100


def test_memory_that_no_machine_has_is_refused():
    require_memory(1.0, "replay_capacity")
    with pytest.raises(ConfigError, match=r"replay_capacity would need 1,\d{3},\d{3}\.\d GiB"):
        require_memory(2.0**50 * 1.2, "replay_capacity")


def test_a_thousand_large_critics_are_refused_before_they_are_made():
    with pytest.raises(ConfigError, match="critics would need"):
        RHERModule(critics=1_000, hidden_size=100_000)
