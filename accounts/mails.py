"""The letters about accounts: one function a letter. Links lead to pages with a button: opening a letter does nothing."""

from typing import Any

from sqlalchemy.orm import Session

from shop.outbox import Composer, Message
from shop.stationery import Sheet, write
from shop.web import link_to
from shop.words import gettext as _


def _letter(
    subject: str,
    facts: dict[str, Any],
    before: list[str],
    button: tuple[str, str] | None = None,
    after: list[str] | None = None,
) -> Message:
    return write(Sheet(subject, facts.get("first_name"), before=before, button=button, after=after or []))


def confirm_address(_db: Session, facts: dict[str, Any]) -> Message:
    """Confirm your address."""
    return _letter(
        _("Confirmez votre adresse e-mail"),
        facts,
        [
            _("Votre compte est créé. Il reste à confirmer que cette adresse e-mail est bien la vôtre."),
        ],
        (link_to("accounts.confirm", token=facts["token"]), _("Confirmer mon adresse")),
        [
            _("Ce lien sert une fois, pendant 7 jours."),
            _("Si vous n’avez rien demandé, ne faites rien : le compte sera effacé de lui-même."),
        ],
    )


def account_exists(_db: Session, facts: dict[str, Any]) -> Message:
    """Somebody signed up with an address that has an account already."""
    return _letter(
        _("Vous avez déjà un compte"),
        facts,
        [
            _("Quelqu’un, sans doute vous, vient de créer un compte avec cette adresse e-mail."),
            _("Vous avez déjà un compte actif à cette adresse : connectez-vous avec le mot de passe de ce compte-là."),
        ],
        (link_to("accounts.sign_in"), _("Me connecter")),
        [
            _("Mot de passe oublié ? Choisissez-en un nouveau : %(link)s", link=link_to("accounts.ask_reset")),
            _("Si ce n’était pas vous, ne faites rien : votre compte n’a pas changé."),
        ],
    )


def reset_password(_db: Session, facts: dict[str, Any]) -> Message:
    """A link to choose a new password."""
    return _letter(
        _("Choisissez un nouveau mot de passe"),
        facts,
        [_("Vous avez demandé à changer de mot de passe.")],
        (link_to("accounts.reset", token=facts["token"]), _("Choisir un nouveau mot de passe")),
        [
            _("Ce lien sert une fois, pendant 60 minutes. Si vous en demandez un autre, celui-ci ne servira plus."),
            _("Si vous n’avez rien demandé, ne faites rien : votre mot de passe reste le même."),
        ],
    )


def password_changed(_db: Session, facts: dict[str, Any]) -> Message:
    """The password was changed."""
    return _letter(
        _("Votre mot de passe a été changé"),
        facts,
        [
            _("Le mot de passe de votre compte vient d’être changé, et vos autres appareils ont été déconnectés."),
            _("Si c’était vous, tout va bien. Sinon, choisissez tout de suite un nouveau mot de passe."),
        ],
        (link_to("accounts.ask_reset"), _("Ce n’était pas moi")),
    )


def recovery_codes_renewed(_db: Session, facts: dict[str, Any]) -> Message:
    """The recovery codes were made anew."""
    return _letter(
        _("Vos codes de secours ont été renouvelés"),
        facts,
        [
            _("Dix nouveaux codes de secours viennent d’être créés pour votre compte ; les anciens ne servent plus."),
            _(
                "Si c’était vous, tout va bien. Sinon, choisissez tout de suite un nouveau mot de passe et prévenez votre "
                "mairie."
            ),
        ],
        (link_to("accounts.ask_reset"), _("Ce n’était pas moi")),
    )


def email_change(_db: Session, facts: dict[str, Any]) -> Message:
    """Confirm the new address of an account."""
    return _letter(
        _("Confirmez votre nouvelle adresse e-mail"),
        facts,
        [_("Vous avez demandé que votre compte porte désormais cette adresse e-mail.")],
        (link_to("accounts.confirm_email", token=facts["token"]), _("Confirmer ma nouvelle adresse")),
        [
            _("Ce lien sert une fois, pendant 24 heures. Jusque-là, rien ne change."),
            _("Si vous n’avez rien demandé, ne faites rien."),
        ],
    )


def email_change_taken(_db: Session, facts: dict[str, Any]) -> Message:
    """An account wanted to take an address that has one already."""
    return _letter(
        _("Vous avez déjà un compte à cette adresse"),
        facts,
        [
            _("Quelqu’un, sans doute vous, a demandé qu’un autre compte porte cette adresse e-mail."),
            _("Un compte actif la porte déjà : rien n’a été changé."),
        ],
        (link_to("accounts.sign_in"), _("Me connecter")),
    )


def email_change_notice(_db: Session, facts: dict[str, Any]) -> Message:
    """To the old address: a change was asked for, and how to stop it."""
    return _letter(
        _("Changement d’adresse e-mail demandé"),
        facts,
        [
            _("Une nouvelle adresse e-mail a été demandée pour votre compte : %(email)s.", email=facts["new_email"]),
            _("Si c’était vous, suivez le lien envoyé à la nouvelle adresse. Sinon, annulez tout de suite."),
        ],
        (link_to("accounts.cancel_email", token=facts["token"]), _("Annuler ce changement")),
        [_("Ce lien sert une fois, pendant 7 jours, même si le changement a déjà eu lieu.")],
    )


def account_closed(_db: Session, facts: dict[str, Any]) -> Message:
    """The account was closed."""
    return _letter(
        _("Votre compte est fermé"),
        facts,
        [
            _("Votre compte est fermé et vos informations personnelles sont effacées."),
            _("Seules restent les écritures que la comptabilité publique doit garder, sans votre nom."),
            _("Vous pouvez créer un nouveau compte quand vous le souhaitez."),
        ],
    )


def activation(_db: Session, facts: dict[str, Any]) -> Message:
    """An account that the town hall made: choose its password."""
    return _letter(
        _("Activez votre compte"),
        facts,
        [
            _("Un compte a été ouvert pour vous par la mairie. Choisissez son mot de passe : vous seul le connaîtrez."),
        ],
        (link_to("accounts.activate", token=facts["token"]), _("Choisir mon mot de passe")),
        [
            _("Ce lien sert une fois, pendant 7 jours."),
            _("À votre première connexion, il vous sera demandé d’installer la double authentification."),
        ],
    )


def staff_access(_db: Session, facts: dict[str, Any]) -> Message:
    """An account that exists was given a role at a town hall."""
    return _letter(
        _("Vous avez accès à l’espace mairie"),
        facts,
        [
            _("Un accès à l’espace mairie vient de vous être donné."),
            _("Connectez-vous avec votre mot de passe ; la double authentification vous sera demandée."),
        ],
        (link_to("accounts.sign_in"), _("Me connecter")),
    )


COMPOSERS: dict[str, Composer] = {
    "confirm_address": confirm_address,
    "account_exists": account_exists,
    "reset_password": reset_password,
    "password_changed": password_changed,
    "recovery_codes_renewed": recovery_codes_renewed,
    "email_change": email_change,
    "email_change_taken": email_change_taken,
    "email_change_notice": email_change_notice,
    "account_closed": account_closed,
    "activation": activation,
    "staff_access": staff_access,
}
