"""Sealed fields: bound to their row, never the same twice, opened by old keys while these are kept (trust: T-068)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.crypto import SealBroken, Sealer

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.text(), st.text())
def test_what_is_sealed_can_be_opened_at_its_place(words: str, place: str) -> None:
    sealer = Sealer((NEW,))
    assert sealer.open(sealer.seal(words, place), place) == words


def test_a_sealed_text_says_nothing_and_is_never_the_same_twice() -> None:
    sealer = Sealer((NEW,))
    first, second = sealer.seal("arachides", "a:1"), sealer.seal("arachides", "a:1")
    assert first != second
    assert "arachides" not in first
    assert b"arachides" not in base64.urlsafe_b64decode(first.split(".")[2])


def test_a_sealed_text_moved_to_another_row_is_refused() -> None:
    sealer = Sealer((NEW,))
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal("arachides", "beneficiaries.allergies:1"), "beneficiaries.allergies:2")


def test_a_changed_text_is_refused() -> None:
    sealer = Sealer((NEW,))
    version, key_id, body = sealer.seal("arachides", "a:1").split(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    raw[-1] ^= 1
    for broken in (
        f"{version}.{key_id}.{base64.urlsafe_b64encode(bytes(raw)).decode()}",
        f"v2.{key_id}.{body}",
        f"{version}.00000000.{body}",
        f"{version}.{key_id}",
        f"{version}.{key_id}.é",
        "",
        "arachides",
    ):
        with pytest.raises(SealBroken):
            sealer.open(broken, "a:1")


def test_keys_rotate() -> None:
    sealed = Sealer((OLD,)).seal("arachides", "a:1")
    both = Sealer((NEW, OLD))
    assert both.open(sealed, "a:1") == "arachides"
    again = both.seal("arachides", "a:1")
    assert Sealer((NEW,)).open(again, "a:1") == "arachides"
    with pytest.raises(SealBroken):
        Sealer((NEW,)).open(sealed, "a:1")
