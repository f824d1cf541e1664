"""Money is whole cents: what people type, what they read, and no cent lost in between."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.money import LARGEST_AMOUNT_CENTS, AmountRefused, format_euros, parse_euros, round_half_up, split


@pytest.mark.parametrize(
    ("typed", "cents"),
    [
        ("15", 1500),
        ("15,2", 1520),
        ("15.20", 1520),
        ("0,05", 5),
        ("19,99", 1999),
        ("1 500,00 €", 150_000),
        ("1\u202f500", 150_000),
        ("1\u00a0500,5\u00a0€", 150_050),
        ("007", 700),
        ("100000", LARGEST_AMOUNT_CENTS),
    ],
)
def test_an_amount_as_people_type_it(typed: str, cents: int) -> None:
    assert parse_euros(typed) == cents


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Écrivez un montant"),
        ("abc", "Écrivez un montant"),
        ("-5", "Écrivez un montant"),
        ("\u22125", "Écrivez un montant"),
        ("+5", "Écrivez un montant"),
        ("1e9", "Écrivez un montant"),
        ("12,345", "deux chiffres au plus"),
        ("12,", "Écrivez un montant"),
        (",50", "Écrivez un montant"),
        ("1,000.00", "Écrivez un montant"),
        ("١٢", "Écrivez un montant"),
        ("１２", "Écrivez un montant"),
        ("12€50", "Écrivez un montant"),
        ("$12", "Écrivez un montant"),
        ("NaN", "Écrivez un montant"),
        ("Infinity", "Écrivez un montant"),
        ("0x10", "Écrivez un montant"),
        ("1_000", "Écrivez un montant"),
        ("12\n", "Écrivez un montant"),
        ("100000,01", "trop grand"),
        ("9999999", "trop grand"),
        ("99999999999999999999", "trop grand"),
        ("9" * 101, "Écrivez un montant"),
    ],
)
def test_what_is_no_amount_is_refused_with_a_sentence(typed: str, says: str) -> None:
    with pytest.raises(AmountRefused) as refused:
        parse_euros(typed)
    assert says in refused.value.sentence
    assert refused.value.typed == typed


@given(st.text())
def test_nothing_that_is_typed_crashes(typed: str) -> None:
    with suppress(AmountRefused):
        assert 0 <= parse_euros(typed) <= LARGEST_AMOUNT_CENTS


@given(st.integers(0, LARGEST_AMOUNT_CENTS))
def test_what_is_written_can_be_typed_again(cents: int) -> None:
    assert parse_euros(format_euros(cents)) == cents


@pytest.mark.parametrize(
    ("cents", "written"),
    [
        (0, "0,00\u00a0€"),
        (5, "0,05\u00a0€"),
        (380, "3,80\u00a0€"),
        (1520, "15,20\u00a0€"),
        (-1520, "\u221215,20\u00a0€"),
        (123_456_789, "1\u00a0234\u00a0567,89\u00a0€"),
    ],
)
def test_an_amount_as_people_read_it(cents: int, written: str) -> None:
    assert format_euros(cents) == written


@pytest.mark.parametrize(
    ("amount", "cents"), [("212.5", 213), ("213.5", 214), ("212.49", 212), ("-212.5", -213), ("0.5", 1), ("0", 0)]
)
def test_a_rate_is_rounded_half_up_once(amount: str, cents: int) -> None:
    assert round_half_up(Decimal(amount)) == cents


@given(st.integers(0, 10**9), st.lists(st.integers(0, 1000), min_size=1, max_size=40).filter(any))
def test_a_split_loses_no_cent_and_is_fair(total: int, weights: list[int]) -> None:
    shares = split(total, weights)
    assert sum(shares) == total
    whole = sum(weights)
    for share, weight in zip(shares, weights, strict=True):
        assert total * weight // whole <= share <= -(-total * weight // whole)


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, []), (1, [0, 0]), (1, [1, -1])])
def test_a_split_that_makes_no_sense_is_a_fault_of_the_caller(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="needed"):
        split(total, weights)
