"""How dates, hours, counts and names are written for French readers. Cached: a calendar page writes hundreds of them."""

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from babel.dates import format_date

from shop.clock import PARIS
from shop.money import format_euros
from shop.words import of_service


@lru_cache(maxsize=4096)
def day_long(day: date, year: bool = True) -> str:
    """ "jeudi 5 novembre 2026"; the first of a month is "1er"; without its year when `year` is false."""
    words = format_date(day, "EEEE d MMMM y" if year else "EEEE d MMMM", locale="fr")
    return words.replace(" 1 ", " 1er ", 1)


@lru_cache(maxsize=4096)
def day_short(day: date) -> str:
    """ "jeu. 5 nov."."""
    return format_date(day, "EEE d MMM", locale="fr").replace(" 1 ", " 1er ", 1)


@lru_cache(maxsize=4096)
def day_of_month(day: date) -> str:
    """ "jeu. 5": where its month stands beside it."""
    return day_short(day).rsplit(" ", 1)[0]


@lru_cache(maxsize=4096)
def day_plain(day: date) -> str:
    """ "5 novembre 2026", "1er mars 2027"."""
    words = format_date(day, "d MMMM y", locale="fr")
    return "1er" + words[1:] if day.day == 1 else words


@lru_cache(maxsize=512)
def month_name(day: date) -> str:
    """ "novembre 2026"."""
    return format_date(day, "LLLL y", locale="fr")


def _day_and_hour(at: datetime) -> tuple[date, str]:
    """The day and hour in Paris. Midnight ends a day: people who read "vendredi à minuit" mean the end of Friday."""
    local = at.astimezone(PARIS)
    ends = local.time() == time()
    return (local.date() - timedelta(days=1) if ends else local.date()), hour(at)


def hour(moment: datetime) -> str:
    """The hour in Paris: "10 h", "10 h 30"; midnight is "minuit"."""
    local = moment.astimezone(PARIS)
    if local.hour == 0 and local.minute == 0:
        return "minuit"
    return f"{local.hour}\u00a0h\u00a0{local.minute:02d}" if local.minute else f"{local.hour}\u00a0h"


@lru_cache(maxsize=4096)
def moment(at: datetime) -> str:
    """ "jeudi 5 novembre 2026 à 10 h", in Paris; the instant at which Friday begins is "jeudi 5 novembre 2026 à minuit"."""
    day, at_hour = _day_and_hour(at)
    return f"{day_long(day)} à {at_hour}"


@lru_cache(maxsize=4096)
def moment_short(at: datetime) -> str:
    """ "jeu. 5 nov. à 10 h", in Paris."""
    day, at_hour = _day_and_hour(at)
    return f"{day_short(day)} à {at_hour}"


def plural(count: int, word: str, words: str = "") -> str:
    """ "1 repas", "4 repas", "2 enfants": the count and the word that fits it (plural in "s" unless given)."""
    many = words or (word if word.endswith(("s", "x", "z")) else f"{word}s")
    return f"{count}\u00a0{word if abs(count) < 2 else many}"


_ELIDES = re.compile(
    # A vowel, unless it sounds like the "y" of "Yann" or the "w" of "Ouassim"; and the h that nobody hears. Before "a", "o"
    # and "ou" an h is mostly aspirated: "de Hassan", "de Houda".
    r"(?!y[aeiou]|oua|oui)[aeiouy]|h[eiuy]|h(?:adrien|armoni|onor|orac|ortens)"
)


@lru_cache(maxsize=4096)
def of(name: str) -> str:
    """ "de Léo", "d’Inès", "d’Hélène": whose something is. A town has its article: "du Puy", "des Estables"."""
    if name.startswith(("Le ", "Les ")):
        return ("du " if name.startswith("Le ") else "des ") + name.partition(" ")[2]
    return f"d’{name}" if _ELIDES.match(fold(name)) else f"de {name}"


def civility(title: str | None) -> str:
    """The title of a person as it stands before the name: "M. ", "Mme "; nothing for one who has given none."""
    return {"M": "M.\u00a0", "Mme": "Mme\u00a0"}.get(title or "", "")


def phone(number: str | None) -> str:
    """A telephone number as people write it: "04 71 00 00 00"; a foreign one as it is kept."""
    digits = re.sub(r"[^0-9+]", "", number or "")
    if digits.startswith("+33") and len(digits) == 12:
        digits = "0" + digits[3:]
    if not re.fullmatch(r"0[1-9][0-9]{8}", digits):
        return number or ""
    return " ".join(digits[at : at + 2] for at in range(0, len(digits), 2))


_APOSTROPHES = re.compile("['’‘ʼ`´]")
_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ı": "i"})


@lru_cache(maxsize=4096)
def fold(words: str) -> str:
    """Names as they are searched and sorted: small letters without accents, apostrophes gone, hyphens as spaces."""
    plain = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", words)).casefold().translate(_LETTERS)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[-‐‑–—]", " ", letters).split())


def listing(things: list[str]) -> str:
    """ "A", "A et B", "A, B et C"."""
    return f"{', '.join(things[:-1])} et {things[-1]}" if len(things) > 1 else "".join(things)


FILTERS = {
    "euros": format_euros,
    "day_long": day_long,
    "day_short": day_short,
    "day_plain": day_plain,
    "month_name": month_name,
    "hour": hour,
    "moment": moment,
    "moment_short": moment_short,
    "listing": listing,
    "of": of,
    "of_service": of_service,
    "civility": civility,
    "phone": phone,
}
GLOBALS = {"plural": plural}
