"""Decisions about people: what a password, a name, an address, a birth date, a telephone number may be."""

import re
import unicodedata
from datetime import date
from functools import lru_cache
from pathlib import Path

from accounts.errors import FieldRefused
from shop import french
from shop.words import gettext as _

COMMON_PASSWORDS = Path(__file__).parent / "common_passwords.txt"

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
"""Long enough for any sentence; bounded, so that nobody makes us hash a book."""
SHORTEST_NUMBER = 16

LONGEST_NAME = 80
LONGEST_EMAIL = 254
OLDEST_YEARS = 120
YOUNGEST_ADULT_YEARS = 15

_EMAIL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_POSTCODE = re.compile(r"[0-9]{5}")


@lru_cache(maxsize=1)
def common_passwords() -> frozenset[str]:
    """Passwords of twelve characters or more that are tried first by whoever guesses, in lower case."""
    lines = COMMON_PASSWORDS.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def check_password(password: str, email: str = "") -> None:
    """Refuses a password that is too short, too long, common, made of digits only, of one letter, or of the address.

    No rule asks for capitals or signs; the string is taken as it was typed. Raises `FieldRefused`.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise FieldRefused(
            _("Choisissez un mot de passe d’au moins %(count)s caractères.", count=SHORTEST_PASSWORD)
            + " "
            + _("Une phrase convient très bien.")
        )
    if len(password) > LONGEST_PASSWORD:
        raise FieldRefused(_("Ce mot de passe dépasse %(count)s caractères.", count=LONGEST_PASSWORD))
    if "\0" in password:
        raise FieldRefused(_("Ce mot de passe contient un caractère qui ne peut pas être enregistré."))
    if password.isdigit() and len(password) < SHORTEST_NUMBER:
        raise FieldRefused(
            _("Un mot de passe fait de chiffres seulement doit en avoir au moins %(count)s.", count=SHORTEST_NUMBER)
        )
    lowered = password.lower()
    if lowered in common_passwords() or len(set(lowered)) < 4:
        raise FieldRefused(_("Ce mot de passe est trop courant : il serait deviné. Choisissez-en un autre."))
    if email and lowered in (email.lower(), email.lower().partition("@")[0]):
        raise FieldRefused(_("Ce mot de passe reprend votre adresse e-mail. Choisissez-en un autre."))


def clean_line(text: str | None, longest: int) -> str:
    """One line as it is kept: composed (NFC), outer and double spaces removed. Empty when nothing was typed.

    Raises `FieldRefused` for control characters and for more than `longest` characters.
    """
    line = unicodedata.normalize("NFC", text or "")
    line = " ".join(line.split(" ")).strip()
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn") for letter in line if letter not in "\u200d"):
        raise FieldRefused(_("Ce champ contient un caractère qui ne peut pas être enregistré."))
    line = " ".join(line.split())
    if len(line) > longest:
        raise FieldRefused(_("Ce champ dépasse %(count)s caractères.", count=longest))
    return line


def clean_name(text: str | None) -> str:
    """A last name. Raises `FieldRefused`: a name holds at least one letter."""
    return _name(text, _("Écrivez ce nom avec des lettres."))


def clean_first_name(text: str | None) -> str:
    """A first name, by the same rule."""
    return _name(text, _("Écrivez ce prénom avec des lettres."))


def _name(text: str | None, sentence: str) -> str:
    name = clean_line(text, LONGEST_NAME)
    if name and not any(letter.isalpha() for letter in name):
        raise FieldRefused(sentence)
    return name


def clean_email(text: str | None) -> str:
    """An e-mail address in lower case. Raises `FieldRefused` when it cannot be one."""
    email = (text or "").strip().lower()
    local = email.partition("@")[0]
    if (
        len(email) > LONGEST_EMAIL
        or not _EMAIL.fullmatch(email)
        or ".." in email
        or local[0] == "."
        or local[-1] == "."
    ):
        raise FieldRefused(_("Écrivez une adresse e-mail complète, comme prenom.nom@exemple.fr."))
    return email


def clean_phone(text: str | None) -> str:
    """A French telephone number as "+33471000000", another one as "+" and its digits. Empty when nothing was typed."""
    typed = (text or "").strip()
    if not typed:
        return ""
    digits = re.sub(r"[\s.\-()/\u00a0\u202f]", "", typed)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if re.fullmatch(r"0[1-9][0-9]{8}", digits, re.ASCII):
        return "+33" + digits[1:]
    if re.fullmatch(r"\+330?[1-9][0-9]{8}", digits, re.ASCII):
        return "+33" + digits[-9:]
    if re.fullmatch(r"\+[1-9][0-9]{6,14}", digits, re.ASCII) and not digits.startswith("+33"):
        return digits
    raise FieldRefused(_("Écrivez un numéro de téléphone à dix chiffres, comme 04\u00a071\u00a000\u00a000\u00a000."))


def search_text(last_name: str, first_name: str, phone: str | None = None) -> str:
    """A person as a town hall searches and sorts: "dartagnan leveque ines 0612345678"."""
    parts = (french.fold(last_name), french.fold(first_name), french.phone(phone).replace(" ", ""))
    return " ".join(part for part in parts if part)


def clean_postcode(text: str | None) -> str:
    """A postcode of five digits. Empty when nothing was typed."""
    postcode = (text or "").replace(" ", "")
    if postcode and not _POSTCODE.fullmatch(postcode):
        raise FieldRefused(_("Écrivez un code postal à cinq chiffres, comme 43000."))
    return postcode


def clean_siret(text: str | None) -> str:
    """The fourteen digits of a SIRET whose key is right (Luhn; La Poste's sum of digits). Empty when nothing was typed."""
    siret = re.sub(r"[\s.\u00a0\u202f]", "", text or "")
    if not siret:
        return ""
    if not re.fullmatch(r"[0-9]{14}", siret, re.ASCII):
        raise FieldRefused(_("Un numéro SIRET a quatorze chiffres."))
    if siret == "0" * 14 or not (_luhn(siret) or (siret.startswith("356000000") and sum(map(int, siret)) % 5 == 0)):
        raise FieldRefused(_("Ce numéro SIRET n’existe pas : vérifiez ses chiffres."))
    return siret


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def years_between(birth: date, today: date) -> int:
    """Somebody's age in whole years."""
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


def check_birth_date(birth: date | None, today: date, adult: bool = False) -> None:
    """Refuses a birth date in the future, of more than 120 years ago, or, for an adult, of less than 15."""
    if birth is None:
        return
    age = years_between(birth, today)
    if birth > today:
        raise FieldRefused(_("Cette date de naissance est dans l’avenir."))
    if age > OLDEST_YEARS:
        raise FieldRefused(_("Cette date de naissance est trop ancienne : vérifiez l’année."))
    if adult and age < YOUNGEST_ADULT_YEARS:
        raise FieldRefused(_("Cette date de naissance n’est pas celle d’un adulte : vérifiez l’année."))


def same_person(left: tuple[str, str, date | None], right: tuple[str, str, date | None]) -> bool:
    """Whether two beneficiaries (first name, last name, birth date) are the same: spelling of capitals aside."""
    return (
        left[0].casefold() == right[0].casefold()
        and left[1].casefold() == right[1].casefold()
        and (left[2] is None or right[2] is None or left[2] == right[2])
    )


def check_relations(relations: list[str]) -> None:
    """Refuses more than one "Moi-même" in a household's rows."""
    if relations.count("self") > 1:
        raise FieldRefused(_("« Moi-même » ne peut être choisi qu’une fois."))


_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("CrOS", "Chromebook"),
    ("Linux", "Linux"),
)


def describe_browser(user_agent: str) -> str:
    """The browser and the machine in a few words, for the list of connections: "Firefox, Android"."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), _("Navigateur inconnu"))
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return f"{browser}, {system}" if system else browser


def accepted_step(steps: dict[int, str], typed: str, last_step: int | None) -> int | None:
    """The 30-second step whose code was typed, among those that may be accepted now, or nothing.

    A step at or before the last accepted one is refused: a code opens the door once.
    """
    digits = re.sub(r"\s", "", typed)
    for step in sorted(steps):
        if steps[step] == digits and (last_step is None or step > last_step):
            return step
    return None


def clean_recovery_code(typed: str) -> str:
    """A recovery code as it is compared: lower case, without spaces and dashes."""
    return re.sub(r"[\s-]", "", typed).lower()
