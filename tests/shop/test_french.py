"""Dates, hours, counts and names as French readers write them."""

from datetime import UTC, date, datetime

import pytest

from shop import french


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (french.day_long(date(2026, 11, 5)), "jeudi 5 novembre 2026"),
        (french.day_long(date(2026, 3, 1)), "dimanche 1er mars 2026"),
        (french.day_long(date(2026, 12, 11)), "vendredi 11 décembre 2026"),
        (french.day_long(date(2026, 11, 5), False), "jeudi 5 novembre"),
        (french.day_short(date(2026, 11, 5)), "jeu. 5 nov."),
        (french.day_short(date(2026, 5, 1)), "ven. 1er mai"),
        (french.day_of_month(date(2026, 5, 1)), "ven. 1er"),
        (french.day_plain(date(2027, 3, 1)), "1er mars 2027"),
        (french.day_plain(date(2026, 11, 21)), "21 novembre 2026"),
        (french.month_name(date(2026, 8, 3)), "août 2026"),
        (french.hour(datetime(2026, 11, 5, 9, 0, tzinfo=UTC)), "10\u00a0h"),
        (french.hour(datetime(2026, 7, 5, 8, 5, tzinfo=UTC)), "10\u00a0h\u00a005"),
        (french.hour(datetime(2026, 11, 4, 23, 0, tzinfo=UTC)), "minuit"),
        (french.moment(datetime(2026, 11, 5, 9, 0, tzinfo=UTC)), "jeudi 5 novembre 2026 à 10\u00a0h"),
        # Late in the evening in London, already tomorrow in Paris.
        (french.moment(datetime(2026, 11, 4, 23, 30, tzinfo=UTC)), "jeudi 5 novembre 2026 à 0\u00a0h\u00a030"),
        (french.moment_short(datetime(2026, 11, 5, 9, 0, tzinfo=UTC)), "jeu. 5 nov. à 10\u00a0h"),
        (french.plural(0, "enfant"), "0\u00a0enfant"),
        (french.plural(1, "repas"), "1\u00a0repas"),
        (french.plural(4, "repas"), "4\u00a0repas"),
        (french.plural(2, "enfant"), "2\u00a0enfants"),
        (french.plural(2, "jour de service", "jours de service"), "2\u00a0jours de service"),
        (french.of("Léo"), "de Léo"),
        (french.of("Inès"), "d’Inès"),
        (french.of("Élodie"), "d’Élodie"),
        (french.of("Œnone"), "d’Œnone"),
        (french.of("Hélène"), "d’Hélène"),
        (french.of("Hugo"), "d’Hugo"),
        (french.of("Honoré"), "d’Honoré"),
        (french.of("Hassan"), "de Hassan"),
        (french.of("Houda"), "de Houda"),
        (french.of("Yves"), "d’Yves"),
        (french.of("Yann"), "de Yann"),
        (french.of("Oumar"), "d’Oumar"),
        (french.of("Ouassim"), "de Ouassim"),
        (french.of("Aiguilhe"), "d’Aiguilhe"),
        (french.of("Le Puy-en-Velay"), "du Puy-en-Velay"),
        (french.of("Les Estables"), "des Estables"),
        (french.of("Léonie Le Goff"), "de Léonie Le Goff"),
        (french.civility("M"), "M.\u00a0"),
        (french.civility("Mme"), "Mme\u00a0"),
        (french.civility(None), ""),
        (french.phone("+33471000000"), "04 71 00 00 00"),
        (french.phone("0471000000"), "04 71 00 00 00"),
        (french.phone("+33 4 71 00 00 00"), "04 71 00 00 00"),
        (french.phone("+41220000000"), "+41220000000"),
        (french.phone("3977"), "3977"),
        (french.phone(None), ""),
        (french.fold("D’Artagnan-Lévêque"), "dartagnan leveque"),
        (french.fold("d'artagnan"), "dartagnan"),
        (french.fold("  INÊS  Œuvrard "), "ines oeuvrard"),
        (french.fold("Strauß Łukasz"), "strauss lukasz"),
        (french.listing([]), ""),
        (french.listing(["Louane"]), "Louane"),
        (french.listing(["Louane", "Théo"]), "Louane et Théo"),
        (french.listing(["Louane", "Théo", "Inès"]), "Louane, Théo et Inès"),
    ],
)
def test_as_french_readers_write_it(written: str, expected: str) -> None:
    assert written == expected
