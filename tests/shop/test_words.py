"""What is said of a childcare, which serves no meals."""

import pytest
from markupsafe import Markup

from shop.words import of_service


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Réservez la veille du repas, avant 10 h.", "Réservez la veille de l’accueil, avant 10 h."),
        ("Réservez 2 jours avant le repas.", "Réservez 2 jours avant l’accueil."),
        ("Un repas annulé à temps est crédité.", "Un accueil annulé à temps est crédité."),
        ("Les repas d’un enfant malade restent dus.", "Les accueils d’un enfant malade restent dus."),
        ("avant le 20 du mois, pour les repas du mois.", "avant le 20 du mois, pour les accueils du mois."),
        ("Louane : ce repas est déjà réservé.", "Louane : cet accueil est déjà réservé."),
        ("1 repas : complet", "1 accueil : complet"),
        ("12\u00a0repas : complet", "12\u00a0accueils : complet"),
        ("il ne reste qu’un repas rendu", "il ne reste qu’un accueil rendu"),
        ("pas assez de repas rendus", "pas assez d’accueils rendus"),
        ("Rendez ou reprenez un repas", "Rendez ou reprenez un accueil"),
        ("Repas rendu", "Accueil rendu"),
        ("10,00 € le repas", "10,00 € l’accueil"),
        ("Un enfant sans réservation mange : 2 €.", "Un enfant sans réservation est accueilli : 2 €."),
        ("Prévenez avant 9 h.", "Prévenez avant 9 h."),
    ],
)
def test_a_childcare_takes_in_where_a_canteen_serves(words: str, said: str) -> None:
    assert of_service(words, "childcare") == said
    assert of_service(words, "canteen") == words


def test_markup_stays_markup_and_a_word_stays_a_word() -> None:
    assert isinstance(of_service(Markup("le repas"), "childcare"), Markup)
    assert not isinstance(of_service("le repas", "childcare"), Markup)
