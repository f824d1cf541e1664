"""Verbs of two homes: invite, take back, answer; propose a calendar or a swap, and answer it.

The household is locked first, then the child: what is agreed about a child changes one thing after the other.
"""

import secrets
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from accounts.models import Account, Beneficiary, Household, HouseholdBeneficiary, HouseholdMember
from accounts.queries import digest, list_beneficiaries
from accounts.rules import same_person
from homes import queries, rules
from homes.errors import AlreadyDecided, CannotJoin
from homes.models import CustodyCalendar, CustodySwap, HomeInvitation
from homes.queries import Child, Invitation
from homes.rules import Swap
from shop import tries
from shop.clock import paris_day
from shop.database import lock
from shop.errors import Conflict, NotFound, Refusal
from shop.french import day_long
from shop.outbox import Letter, post_all, the_sealer
from shop.words import gettext as _

LIFETIME = timedelta(days=14)
INVITATIONS_OF = "home invitations of"

Verdict = Literal["agreed", "declined", "withdrawn"]


def _lock(db: Session, household_id: int, beneficiary_id: int) -> tuple[Child, int | None]:
    lock(db, Household, [household_id])
    lock(db, Beneficiary, [beneficiary_id])
    return queries.find_child(db, household_id, beneficiary_id)


def _tell(
    db: Session, kind: str, household_id: int, key: str, child: str, facts: dict[str, str | int], now: datetime
) -> None:
    """Write to everybody who acts for a household, each by a letter of their own."""
    post_all(
        db,
        [
            Letter(
                kind, reader.email, f"{kind}:{key}:{place}", {"first_name": reader.first_name, "child": child, **facts}
            )
            for place, reader in enumerate(queries.readers_of(db, household_id))
        ],
        now,
    )


# --- invitations ---


def count_invitation(db: Session, household_id: int, now: datetime) -> None:
    """Count an invitation before it is sent. Raises `TooMany`: nobody's letter box is filled from here."""
    day = timedelta(days=1)
    tries.take(db, INVITATIONS_OF, str(household_id), now, 10, window=day, longest=day)


def invite(db: Session, household_id: int, account_id: int, beneficiary_id: int, email: str, now: datetime) -> None:
    """Invite the person of this address to book for the child too. Whether somebody has an account there is never told.

    Raises `NotFound`, and a refusal where the child has two homes, an invitation waits, or the address is the family's own.
    """
    child, _other = _lock(db, household_id, beneficiary_id)
    homes = db.scalar(
        select(func.count()).where(
            HouseholdBeneficiary.beneficiary_id == beneficiary_id, HouseholdBeneficiary.archived_at.is_(None)
        )
    )
    # One that has lapsed, or whose parent has taken the child out since, keeps no other from being sent.
    still = select(HouseholdBeneficiary.id).where(
        HouseholdBeneficiary.beneficiary_id == HomeInvitation.beneficiary_id,
        HouseholdBeneficiary.household_id == HomeInvitation.household_id,
        HouseholdBeneficiary.archived_at.is_(None),
    )
    _end(
        db,
        "revoked",
        now,
        HomeInvitation.beneficiary_id == beneficiary_id,
        or_(HomeInvitation.expires_at <= now, ~still.exists()),
    )
    waits = db.scalar(
        select(func.count()).where(HomeInvitation.beneficiary_id == beneficiary_id, HomeInvitation.state == "sent")
    )
    own = db.scalars(
        select(Account.email)
        .join(HouseholdMember, HouseholdMember.account_id == Account.id)
        .where(HouseholdMember.household_id == household_id)
    )
    rules.check_invitation(child.relation, homes or 0, bool(waits), email in set(own))
    token = secrets.token_urlsafe(32)
    invitation_id = db.execute(
        insert(HomeInvitation)
        .values(
            beneficiary_id=beneficiary_id,
            household_id=household_id,
            account_id=account_id,
            email=email,
            token_hash=digest(token),
            token=the_sealer().seal(token, queries.place_of(beneficiary_id)),
            state="sent",
            sent_at=now,
            expires_at=now + LIFETIME,
        )
        .returning(HomeInvitation.id)
    ).scalar_one()
    facts = {"child": child.first_name, "token": token, "lapses": day_long(paris_day(now + LIFETIME))}
    post_all(db, [Letter("home_invitation", email, f"home_invitation:{invitation_id}", facts)], now)


def _end(db: Session, state: str, now: datetime, *which: object) -> list[int]:
    return list(
        db.scalars(
            update(HomeInvitation)
            .where(HomeInvitation.state == "sent", *which)  # type: ignore[arg-type]
            .values(state=state, ended_at=now, email=None, token=None)
            .returning(HomeInvitation.id)
            .execution_options(synchronize_session=False)
        )
    )


def forget_lapsed(db: Session, now: datetime) -> int:
    """End the invitations that have lapsed, and forget whom they were sent to; how many."""
    return len(_end(db, "revoked", now, HomeInvitation.expires_at <= now))


def revoke(db: Session, household_id: int, beneficiary_id: int, now: datetime) -> None:
    """Take the household's invitation for the child back. Raises `NotFound`, `AlreadyDecided`."""
    _lock(db, household_id, beneficiary_id)
    if not _end(
        db,
        "revoked",
        now,
        HomeInvitation.beneficiary_id == beneficiary_id,
        HomeInvitation.household_id == household_id,
    ):
        raise AlreadyDecided


def check_guest(invitation: Invitation, household_id: int, email: str, confirmed: bool) -> None:
    """Refuses whoever is not the person that was invited: the link alone opens nothing."""
    if invitation.household_id == household_id:
        raise CannotJoin(_("Cette invitation vient de votre propre foyer : c’est à l’autre parent d’y répondre."))
    if invitation.email != email:
        raise CannotJoin(
            _(
                "Cette invitation a été envoyée à une autre adresse que celle de votre compte. Demandez à l’autre parent de "
                "vous inviter à l’adresse de votre compte."
            )
        )
    if not confirmed:
        raise CannotJoin(_("Confirmez d’abord votre adresse e-mail : suivez le lien que vous avez reçu."))


def accept(
    db: Session, household_id: int, email: str, confirmed: bool, token: str, relation: str, now: datetime
) -> int:
    """The child joins the household of the person who was invited, with her own relation; the child.

    Raises `InvitationEnded`, `CannotJoin`.
    """
    invitation = queries.find_invitation(db, token, now)
    check_guest(invitation, household_id, email, confirmed)
    lock(db, Household, [household_id, invitation.household_id])
    lock(db, Beneficiary, [invitation.beneficiary_id])
    invitation = queries.find_invitation(db, token, now)
    child_id = invitation.beneficiary_id
    homes = set(
        db.scalars(
            select(HouseholdBeneficiary.household_id).where(
                HouseholdBeneficiary.beneficiary_id == child_id, HouseholdBeneficiary.archived_at.is_(None)
            )
        )
    )
    if household_id in homes or homes != {invitation.household_id}:
        raise CannotJoin(_("Cet enfant a changé de foyer depuis l’invitation : elle ne sert plus."))
    child, _none = queries.find_child(db, invitation.household_id, child_id)
    mine = list_beneficiaries(db, household_id)
    born = db.scalars(select(Beneficiary.birth_date).where(Beneficiary.id == child_id)).one()
    who = (child.first_name, child.last_name, born)
    if any(same_person((one.first_name, one.last_name, one.birth_date), who) for one in mine):
        raise CannotJoin(
            _(
                "%(name)s figure déjà parmi vos bénéficiaires, dans une fiche à part. Annulez les repas de cette fiche et "
                "supprimez-la sous « Mes filiations », puis acceptez : ce sera la même fiche dans les deux foyers.",
                name=child.first_name,
            )
        )
    _end(db, "accepted", now, HomeInvitation.id == invitation.id)
    back = db.execute(
        update(HouseholdBeneficiary)
        .where(HouseholdBeneficiary.household_id == household_id, HouseholdBeneficiary.beneficiary_id == child_id)
        .values(archived_at=None, relation=relation)
        .returning(HouseholdBeneficiary.id)
        .execution_options(synchronize_session=False)
    ).first()
    if back is None:
        position = db.scalar(select(func.count()).where(HouseholdBeneficiary.household_id == household_id))
        db.execute(
            insert(HouseholdBeneficiary).values(
                household_id=household_id, beneficiary_id=child_id, relation=relation, position=position
            )
        )
    facts: dict[str, str | int] = {"beneficiary_id": child_id, "accepted": 1}
    _tell(db, "home_answered", invitation.household_id, f"{invitation.id}", child.first_name, facts, now)
    return child_id


def decline(db: Session, household_id: int, email: str, confirmed: bool, token: str, now: datetime) -> None:
    """The person who was invited says no. Raises `InvitationEnded`, `CannotJoin`."""
    invitation = queries.find_invitation(db, token, now)
    check_guest(invitation, household_id, email, confirmed)
    _end(db, "declined", now, HomeInvitation.id == invitation.id)
    facts: dict[str, str | int] = {"beneficiary_id": invitation.beneficiary_id, "accepted": 0}
    _tell(db, "home_answered", invitation.household_id, f"{invitation.id}", invitation.first_name, facts, now)


# --- the calendar and its swaps ---


def _two_homes(db: Session, household_id: int, beneficiary_id: int) -> tuple[Child, int]:
    child, other = _lock(db, household_id, beneficiary_id)
    if other is None:
        raise Refusal(_("Cet enfant n’a qu’un foyer : invitez d’abord l’autre parent."))
    return child, other


def propose(
    db: Session,
    household_id: int,
    account_id: int,
    beneficiary_id: int,
    even_here: bool,
    holidays_here: bool,
    first_day: date,
    now: datetime,
) -> None:
    """Propose a calendar to the child's other home; until it agrees, what was agreed before holds.

    Raises `NotFound`, and a refusal for a day that is gone or while a proposal waits.
    """
    child, other = _two_homes(db, household_id, beneficiary_id)
    rules.check_first_day(first_day, paris_day(now))
    # One that was proposed to or by a home that the child no longer has keeps no other from being proposed.
    db.execute(
        update(CustodyCalendar)
        .where(
            CustodyCalendar.beneficiary_id == beneficiary_id,
            CustodyCalendar.state == "asked",
            or_(
                CustodyCalendar.even_home_id.not_in((household_id, other)),
                CustodyCalendar.odd_home_id.not_in((household_id, other)),
            ),
        )
        .values(state="withdrawn", decided_at=now, decided_by_id=account_id)
        .execution_options(synchronize_session=False)
    )
    if queries.asked_calendar(db, household_id, beneficiary_id) is not None:
        raise Conflict(_("Une proposition de calendrier attend déjà : répondez-y ou retirez-la d’abord."))
    key = db.execute(
        insert(CustodyCalendar)
        .values(
            beneficiary_id=beneficiary_id,
            first_day=first_day,
            even_home_id=household_id if even_here else other,
            odd_home_id=other if even_here else household_id,
            holidays_home_id=household_id if holidays_here else other,
            state="asked",
            asked_at=now,
            asked_home_id=household_id,
            asked_by_id=account_id,
        )
        .returning(CustodyCalendar.id)
    ).scalar_one()
    facts: dict[str, str | int] = {"beneficiary_id": beneficiary_id, "days": ""}
    _tell(db, "custody_asked", other, f"calendar:{key}", child.first_name, facts, now)


def decide_calendar(
    db: Session,
    household_id: int,
    account_id: int,
    beneficiary_id: int,
    calendar_id: int,
    verdict: Verdict,
    now: datetime,
) -> None:
    """Agree to a proposed calendar, decline it, or take one's own back. One that was to begin before today begins today.

    Raises `NotFound`, `AlreadyDecided`.
    """
    child, other = _two_homes(db, household_id, beneficiary_id)
    row = db.execute(
        select(
            CustodyCalendar.asked_home_id,
            CustodyCalendar.first_day,
            CustodyCalendar.state,
            CustodyCalendar.even_home_id,
            CustodyCalendar.odd_home_id,
        ).where(CustodyCalendar.id == calendar_id, CustodyCalendar.beneficiary_id == beneficiary_id)
    ).first()
    if row is None:
        raise NotFound
    if row.state != "asked" or {row.even_home_id, row.odd_home_id} != {household_id, other}:
        raise AlreadyDecided
    _check_turn(row.asked_home_id == household_id, verdict)
    db.execute(
        update(CustodyCalendar)
        .where(CustodyCalendar.id == calendar_id)
        .values(state=verdict, decided_at=now, decided_by_id=account_id, first_day=max(row.first_day, paris_day(now)))
        .execution_options(synchronize_session=False)
    )
    _tell_verdict(db, other, f"calendar:{calendar_id}", child, verdict, "", now)


def _check_turn(own: bool, verdict: Verdict) -> None:
    """Refuses agreeing with oneself, and taking back what the other parent asked."""
    if own and verdict != "withdrawn":
        raise Refusal(_("C’est à l’autre parent de répondre à votre demande."))
    if not own and verdict == "withdrawn":
        raise Refusal(_("Cette demande n’est pas la vôtre : acceptez-la ou refusez-la."))


def _tell_verdict(db: Session, other: int, key: str, child: Child, verdict: Verdict, days: str, now: datetime) -> None:
    facts: dict[str, str | int] = {"beneficiary_id": child.id, "days": days, "verdict": verdict}
    _tell(db, "custody_answered", other, key, child.first_name, facts, now)


def days_words(first_day: date, last_day: date) -> str:
    """ "jeudi 5 novembre 2026", or "du … au …"."""
    if first_day == last_day:
        return day_long(first_day)
    return _("du %(first)s au %(last)s", first=day_long(first_day), last=day_long(last_day))


def ask_swap(
    db: Session,
    household_id: int,
    account_id: int,
    beneficiary_id: int,
    days: tuple[date, date],
    here: bool,
    now: datetime,
) -> None:
    """Ask that the child be in this home, or in the other, from a day to a day. Raises `NotFound`, and a refusal."""
    child, other = _two_homes(db, household_id, beneficiary_id)
    today = paris_day(now)
    waiting = queries.asked_swaps(db, household_id, other, beneficiary_id, today)
    rules.check_swap(
        *days, today, [Swap(one.first_day, one.last_day or one.first_day, household_id) for one in waiting]
    )
    key = db.execute(
        insert(CustodySwap)
        .values(
            beneficiary_id=beneficiary_id,
            first_day=days[0],
            last_day=days[1],
            home_id=household_id if here else other,
            state="asked",
            asked_at=now,
            asked_home_id=household_id,
            asked_by_id=account_id,
        )
        .returning(CustodySwap.id)
    ).scalar_one()
    facts: dict[str, str | int] = {"beneficiary_id": beneficiary_id, "days": days_words(*days)}
    _tell(db, "custody_asked", other, f"swap:{key}", child.first_name, facts, now)


def decide_swap(
    db: Session, household_id: int, account_id: int, beneficiary_id: int, swap_id: int, verdict: Verdict, now: datetime
) -> None:
    """Agree to a swap, decline it, or take one's own back. Raises `NotFound`, `AlreadyDecided`."""
    child, other = _two_homes(db, household_id, beneficiary_id)
    row = db.execute(
        select(CustodySwap.asked_home_id, CustodySwap.first_day, CustodySwap.last_day, CustodySwap.state).where(
            CustodySwap.id == swap_id, CustodySwap.beneficiary_id == beneficiary_id
        )
    ).first()
    if row is None:
        raise NotFound
    if row.state != "asked" or row.asked_home_id not in (household_id, other) or row.last_day < paris_day(now):
        raise AlreadyDecided
    _check_turn(row.asked_home_id == household_id, verdict)
    db.execute(
        update(CustodySwap)
        .where(CustodySwap.id == swap_id)
        .values(state=verdict, decided_at=now, decided_by_id=account_id)
        .execution_options(synchronize_session=False)
    )
    _tell_verdict(db, other, f"swap:{swap_id}", child, verdict, days_words(row.first_day, row.last_day), now)


# --- the end ---


def end_with_household(db: Session, household_id: int, account_id: int, now: datetime) -> None:
    """The family closes its account: what it asked for is taken back."""
    _end(db, "revoked", now, HomeInvitation.household_id == household_id)
    for model in (CustodyCalendar, CustodySwap):
        db.execute(
            update(model)
            .where(model.asked_home_id == household_id, model.state == "asked")
            .values(state="withdrawn", decided_at=now, decided_by_id=account_id)
            .execution_options(synchronize_session=False)
        )


def forget_household(db: Session, household_id: int) -> None:
    """Delete what an account that was never confirmed has asked for."""
    db.execute(delete(HomeInvitation).where(HomeInvitation.household_id == household_id))
