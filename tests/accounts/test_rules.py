"""What a password, a name, an address, a birth date, a telephone number may be."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import rules
from accounts.errors import FieldRefused

TODAY = date(2026, 11, 19)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "azerty",
        "abcde",
        "onze lettre",
        "motdepasse123",
        "MotDePasse123",
        "azertyuiop12",
        "azertyuiopqsdfghjklm",
        "123456789012",
        "123456789012345",
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "1234567890123456",
        "jean.dupont@example.org",
        "une phrase\0nulle",
        "x" * 257,
    ],
)
def test_refuses_weak_passwords(password: str) -> None:
    with pytest.raises(FieldRefused) as refused:
        rules.check_password(password, "jean.dupont@example.org")
    assert password not in refused.value.sentence or len(password) < 3


@pytest.mark.parametrize(
    "password",
    [
        "douzelettres",
        "le chat dort ici",
        "8305719264730518",
        "p" * 60 + "arapluie",
        ("mot de passe très long " * 10)[:200],
        "  espaces aux bords  ",
        "⛵🐟🌊 et douze",
        "éàüœçñ-éàüœçñ",
    ],
)
def test_takes_any_long_enough_password(password: str) -> None:
    rules.check_password(password, "jean.dupont@example.org")


def test_common_passwords_are_a_few_thousand_long_ones() -> None:
    common = rules.common_passwords()
    assert 2000 < len(common) < 10000
    assert all(len(word) >= rules.SHORTEST_PASSWORD and word == word.lower() for word in common)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Louane ", "Louane"),
        ("The\u0301o", "Théo"),
        ("Jean  Marc", "Jean Marc"),
        ("O’Neil-Dupré", "O’Neil-Dupré"),
        ("李", "李"),
        ("", ""),
        (None, ""),
    ],
)
def test_names_are_trimmed_and_composed(typed: str | None, kept: str) -> None:
    assert rules.clean_name(typed) == kept


@pytest.mark.parametrize(
    "typed", ["a" * 81, "🍕" * 500, "🍕", "12", "Jean\nMarc", "Jean\x00", "Jean\u202eMarc", "<>", "a\x7f"]
)
def test_refuses_names_that_are_none(typed: str) -> None:
    with pytest.raises(FieldRefused):
        rules.clean_name(typed)


def test_a_first_name_is_called_one() -> None:
    assert rules.clean_first_name(" Léo ") == "Léo"
    with pytest.raises(FieldRefused, match="ce prénom"):
        rules.clean_first_name("12")


@given(st.text(max_size=120))
def test_a_name_once_cleaned_stays_as_it_is(typed: str) -> None:
    try:
        name = rules.clean_name(typed)
    except FieldRefused:
        return
    assert rules.clean_name(name) == name
    assert len(name) <= rules.LONGEST_NAME


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Jean.Dupont@Example.ORG ", "jean.dupont@example.org"),
        ("a@b.fr", "a@b.fr"),
        ("prenom+cantine@sous.domaine.example", "prenom+cantine@sous.domaine.example"),
    ],
)
def test_addresses_are_kept_in_lower_case(typed: str, kept: str) -> None:
    assert rules.clean_email(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "jean",
        "jean@",
        "@example.org",
        "jean@example",
        "jean dupont@example.org",
        "jean..dupont@example.org",
        ".jean@example.org",
        "jean.@example.org",
        "jean@-example.org",
        "jean@example.org\nBcc: x@example.org",
        "jean@exämple.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 250 + ".fr",
        "jean@example.org,x@example.org",
        '"jean"@example.org',
    ],
)
def test_refuses_addresses_that_are_none(typed: str) -> None:
    with pytest.raises(FieldRefused):
        rules.clean_email(typed)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("04 71 00 00 00", "+33471000000"),
        ("04.71.00.00.00", "+33471000000"),
        ("+33 4 71 00 00 00", "+33471000000"),
        ("+33 (0)4 71 00 00 00", "+33471000000"),
        ("0033471000000", "+33471000000"),
        ("+41 22 000 00 00", "+41220000000"),
        ("", ""),
    ],
)
def test_telephone_numbers(typed: str, kept: str) -> None:
    assert rules.clean_phone(typed) == kept


@pytest.mark.parametrize("typed", ["12", "047100000", "04 71 00 00 0a", "٠٤٧١٠٠٠٠٠٠", "+33 71"])
def test_refuses_telephone_numbers_that_are_none(typed: str) -> None:
    with pytest.raises(FieldRefused):
        rules.clean_phone(typed)


@pytest.mark.parametrize("typed", ["732 829 320 00074", "35600000000048", ""])
def test_takes_a_siret_whose_key_is_right(typed: str) -> None:
    assert rules.clean_siret(typed) == typed.replace(" ", "")


@pytest.mark.parametrize("typed", ["73282932000075", "7328293200007", "0" * 14, "7328293200007a", "٧٣٢٨٢٩٣٢٠٠٠٠٧٤"])
def test_refuses_a_siret_that_is_none(typed: str) -> None:
    with pytest.raises(FieldRefused):
        rules.clean_siret(typed)


@pytest.mark.parametrize(
    ("birth", "adult", "right"),
    [
        (None, True, True),
        (date(2018, 5, 10), False, True),
        (TODAY, False, True),
        (date(2026, 11, 20), False, False),
        (date(1906, 1, 1), False, True),
        (date(1905, 1, 1), False, False),
        (date(2011, 11, 19), True, True),
        (date(2011, 11, 20), True, False),
    ],
)
def test_birth_dates(birth: date | None, adult: bool, right: bool) -> None:
    if right:
        rules.check_birth_date(birth, TODAY, adult)
    else:
        with pytest.raises(FieldRefused):
            rules.check_birth_date(birth, TODAY, adult)


def test_oneself_only_once() -> None:
    rules.check_relations(["self", "father", "father"])
    with pytest.raises(FieldRefused):
        rules.check_relations(["self", "father", "self"])


def test_same_person_whatever_the_capitals() -> None:
    born = date(2018, 5, 10)
    assert rules.same_person(("Louane", "Dupont", born), ("LOUANE", "dupont", born))
    assert rules.same_person(("Louane", "Dupont", None), ("Louane", "Dupont", born))
    assert not rules.same_person(("Louane", "Dupont", date(2019, 1, 1)), ("Louane", "Dupont", born))
    assert not rules.same_person(("Théo", "Dupont", born), ("Louane", "Dupont", born))


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604",
            "Safari, iPhone",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/140 Safari/537 Edg/140", "Edge, Windows"),
        ("curl/8", "Navigateur inconnu"),
        ("", "Navigateur inconnu"),
    ],
)
def test_describes_browsers(user_agent: str, words: str) -> None:
    assert rules.describe_browser(user_agent) == words


def test_a_code_opens_once() -> None:
    steps = {99: "111111", 100: "222222", 101: "333333"}
    assert rules.accepted_step(steps, "222 222", None) == 100
    assert rules.accepted_step(steps, "222222", 99) == 100
    assert rules.accepted_step(steps, "222222", 100) is None
    assert rules.accepted_step(steps, "111111", 100) is None
    assert rules.accepted_step(steps, "444444", None) is None
    assert rules.accepted_step(steps, "", None) is None
