"""The pages of a child's two homes: the invitation, the calendar, the swaps."""

from datetime import date, timedelta
from typing import NamedTuple, get_args

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from accounts.forms import ButtonForm
from homes import operations, queries
from homes.errors import CannotJoin
from homes.forms import AcceptForm, CalendarForm, InviteForm, SwapForm
from homes.operations import Verdict
from homes.queries import Child
from homes.rules import Custody
from shop.access import find_visitor, open_to, open_to_all, the_household_id, the_visitor
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound, Refusal, TooMany
from shop.french import of
from shop.words import gettext as _

blueprint = Blueprint("homes", __name__)
WEEKS_SHOWN = 6

Answer = str | Response | tuple[str, int]


class Week(NamedTuple):
    """A week of the calendar in words: its ISO number, its first day, and whose its days from Monday to Friday are."""

    number: int
    monday: date
    here: list[bool | None]


def changed_words(name: str) -> str:
    """What was changed of a child, as parents read it."""
    return {
        "first_name": _("prénom"),
        "last_name": _("nom"),
        "birth_date": _("date de naissance"),
        "school_id": _("école"),
        "class_name": _("classe"),
        "diet": _("régime"),
        "allergies": _("allergies"),
    }[name]


def _weeks(custody: Custody, household_id: int, today: date) -> list[Week]:
    first = today - timedelta(days=today.weekday())
    weeks = []
    for number in range(WEEKS_SHOWN):
        monday = first + timedelta(weeks=number)
        homes = [custody.home_on(monday + timedelta(days=place)) for place in range(5)]
        here = [None if home is None else home == household_id for home in homes]
        weeks.append(Week(monday.isocalendar().week, monday, here))
    return weeks


def _page(
    beneficiary_id: int,
    refused: list[str],
    invite: InviteForm | None = None,
    calendar: CalendarForm | None = None,
    swap: SwapForm | None = None,
) -> str:
    household_id, now = the_household_id(), request_now()
    today = paris_day(now)
    with reading() as db:
        child, other = queries.find_child(db, household_id, beneficiary_id)
        sent = queries.sent_for(db, household_id, beneficiary_id, now) if other is None else None
        custody = Custody()
        asked, swaps, changes = None, list[queries.Asked](), list[queries.Changed]()
        if other is not None:
            custody = queries.custodies(db, household_id).get(beneficiary_id, custody)
            asked = queries.asked_calendar(db, household_id, beneficiary_id)
            swaps = queries.asked_swaps(db, household_id, other, beneficiary_id, today)
            changes = queries.changes_of(db, household_id, beneficiary_id)
    holding = next((one for one in reversed(custody.calendars) if one.first_day <= today), None)
    ahead = [one for one in custody.calendars if one.first_day > today]
    return render_template(
        "homes/child.html",
        child=child,
        shared=other is not None,
        sent=sent,
        custody=custody,
        holding=holding,
        ahead=ahead,
        household_id=household_id,
        asked=asked,
        swaps=swaps,
        agreed=[one for one in custody.swaps if one.last_day >= today],
        changes=[one._replace(what=[changed_words(name) for name in one.what]) for one in changes],
        weeks=_weeks(custody, household_id, today),
        refused=refused,
        invite=invite or InviteForm(formdata=None),
        calendar=calendar or CalendarForm(formdata=None, starts_on=today),
        swap=swap or SwapForm(formdata=None),
        days_words=operations.days_words,
    )


def _find(beneficiary_id: int) -> Child:
    with reading() as db:
        return queries.find_child(db, the_household_id(), beneficiary_id)[0]


def _done(beneficiary_id: int, sentence: str) -> Response:
    flash(sentence, "ok")
    return redirect(url_for("homes.child", beneficiary_id=beneficiary_id), 303)


@blueprint.get("/mon-compte/filiations/<int:beneficiary_id>/foyers")
@open_to("parents")
def child(beneficiary_id: int) -> Answer:
    """A child's homes: who else books, what is agreed, what waits for an answer."""
    return _page(beneficiary_id, [])


@blueprint.post("/mon-compte/filiations/<int:beneficiary_id>/foyers/inviter")
@open_to("parents")
def invite(beneficiary_id: int) -> Answer:
    """Invite the other parent."""
    found, form, visitor, now = _find(beneficiary_id), InviteForm(), the_visitor(), request_now()
    if not form.validate():
        return _page(beneficiary_id, [], invite=form), 422
    try:
        if visitor.state != "active":
            raise Refusal(_("Confirmez d’abord votre adresse e-mail : suivez le lien que vous avez reçu."))
        with transaction() as db:
            operations.count_invitation(db, the_household_id(), now)
        with transaction() as db:
            operations.invite(db, the_household_id(), visitor.account_id, beneficiary_id, form.email.data or "", now)
    except (NotFound, TooMany):
        raise
    except Refusal as refusal:
        return _page(beneficiary_id, [refusal.sentence], invite=form), refusal.status
    return _done(
        beneficiary_id,
        _("Un e-mail est parti à %(email)s pour %(child)s.", email=form.email.data, child=found.first_name),
    )


@blueprint.post("/mon-compte/filiations/<int:beneficiary_id>/foyers/retirer")
@open_to("parents")
def revoke(beneficiary_id: int) -> Answer:
    """Take the invitation back."""
    with transaction() as db:
        operations.revoke(db, the_household_id(), beneficiary_id, request_now())
    return _done(beneficiary_id, _("L’invitation est retirée : son lien n’ouvre plus rien."))


@blueprint.get("/invitation/<token>")
@open_to_all
def invitation(token: str) -> Answer:
    """What the link of an invitation leads to. Until somebody signs in it says the child's first name and nothing else."""
    return _invitation(token, AcceptForm(formdata=None), "")


def _invitation(token: str, form: AcceptForm, refused: str) -> str:
    now, visitor = request_now(), find_visitor()
    with reading() as db:
        found = queries.find_invitation(db, token, now)
    obstacle = refused
    if visitor is not None and not obstacle:
        try:
            if visitor.household_id is None:
                raise CannotJoin(_("Ce compte n’est pas celui d’une famille : connectez-vous avec le vôtre."))
            operations.check_guest(found, visitor.household_id, visitor.email, visitor.state == "active")
        except CannotJoin as refusal:
            obstacle = refusal.sentence
    return render_template(
        "homes/invitation.html",
        child=found.first_name,
        until=paris_day(found.expires_at),
        token=token,
        form=form,
        obstacle=obstacle,
        way_back=url_for("homes.invitation", token=token),
        button=ButtonForm(formdata=None),
    )


@blueprint.post("/invitation/<token>")
@open_to("parents")
def answer(token: str) -> Answer:
    """Accept the invitation, or decline it."""
    visitor, household_id, now = the_visitor(), the_household_id(), request_now()
    confirmed = visitor.state == "active"
    if request.form.get("answer") == "declined":
        try:
            with transaction() as db:
                operations.decline(db, household_id, visitor.email, confirmed, token, now)
        except CannotJoin as refusal:
            return _invitation(token, AcceptForm(formdata=None), refusal.sentence), refusal.status
        flash(_("Vous avez refusé l’invitation. Rien n’a changé."), "ok")
        return redirect(url_for("accounts.home"), 303)
    form = AcceptForm()
    if not form.validate():
        return _invitation(token, form, ""), 422
    try:
        with transaction() as db:
            child_id = operations.accept(
                db, household_id, visitor.email, confirmed, token, form.relation.data or "", now
            )
    except CannotJoin as refusal:
        return _invitation(token, form, refusal.sentence), refusal.status
    return _done(
        child_id,
        _("C’est fait. Demandez maintenant l’accès aux services sous « Mes services », puis convenez d’un calendrier."),
    )


def _verdict() -> Verdict:
    verdict = request.form.get("answer")
    if verdict not in get_args(Verdict):
        raise NotFound
    return verdict  # type: ignore[return-value]


@blueprint.post("/mon-compte/filiations/<int:beneficiary_id>/foyers/calendrier")
@open_to("parents")
def propose(beneficiary_id: int) -> Answer:
    """Propose a calendar."""
    found, form, now = _find(beneficiary_id), CalendarForm(), request_now()
    if not form.validate() or form.starts_on.data is None:
        return _page(beneficiary_id, [], calendar=form), 422
    try:
        with transaction() as db:
            operations.propose(
                db,
                the_household_id(),
                the_visitor().account_id,
                beneficiary_id,
                form.even_weeks.data == "ici",
                form.holidays.data == "ici",
                form.starts_on.data,
                now,
            )
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(beneficiary_id, [refusal.sentence], calendar=form), refusal.status
    return _done(
        beneficiary_id, _("Votre proposition est envoyée à l’autre parent %(of_child)s.", of_child=of(found.first_name))
    )


@blueprint.post("/mon-compte/filiations/<int:beneficiary_id>/foyers/calendrier/<int:calendar_id>")
@open_to("parents")
def decide_calendar(beneficiary_id: int, calendar_id: int) -> Answer:
    """Agree to a calendar, decline it, or take one's own back."""
    _find(beneficiary_id)
    verdict = _verdict()
    try:
        with transaction() as db:
            operations.decide_calendar(
                db,
                the_household_id(),
                the_visitor().account_id,
                beneficiary_id,
                calendar_id,
                verdict,
                request_now(),
            )
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(beneficiary_id, [refusal.sentence]), refusal.status
    return _done(beneficiary_id, _said(verdict))


def _said(verdict: Verdict) -> str:
    return {
        "agreed": _("C’est convenu : les pages de réservation suivent dès maintenant."),
        "declined": _("Vous avez refusé. Ce qui valait avant vaut toujours."),
        "withdrawn": _("Votre demande est retirée."),
    }[verdict]


@blueprint.post("/mon-compte/filiations/<int:beneficiary_id>/foyers/echange")
@open_to("parents")
def ask_swap(beneficiary_id: int) -> Answer:
    """Ask for a swap of days."""
    _find(beneficiary_id)
    form = SwapForm()
    if not form.validate() or form.swap_from.data is None or form.swap_until.data is None:
        return _page(beneficiary_id, [], swap=form), 422
    try:
        with transaction() as db:
            operations.ask_swap(
                db,
                the_household_id(),
                the_visitor().account_id,
                beneficiary_id,
                (form.swap_from.data, form.swap_until.data),
                form.swap_home.data == "ici",
                request_now(),
            )
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(beneficiary_id, [refusal.sentence], swap=form), refusal.status
    return _done(beneficiary_id, _("Votre demande d’échange est envoyée à l’autre parent."))


@blueprint.post("/mon-compte/filiations/<int:beneficiary_id>/foyers/echange/<int:swap_id>")
@open_to("parents")
def decide_swap(beneficiary_id: int, swap_id: int) -> Answer:
    """Agree to a swap, decline it, or take one's own back."""
    _find(beneficiary_id)
    verdict = _verdict()
    try:
        with transaction() as db:
            operations.decide_swap(
                db, the_household_id(), the_visitor().account_id, beneficiary_id, swap_id, verdict, request_now()
            )
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(beneficiary_id, [refusal.sentence]), refusal.status
    return _done(beneficiary_id, _said(verdict))
