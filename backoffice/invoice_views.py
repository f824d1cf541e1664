"""Pages about invoices that were issued elsewhere: a clerk notes that one is not paid, marks it paid, withdraws it."""

from flask import flash, redirect, render_template, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from backoffice.forms import InvoiceForm, StrikeForm
from backoffice.views import Answer, blueprint, family_file, reach_for
from enrolments import outside_invoices
from enrolments.errors import InvoiceClosed, ReferenceKnown
from enrolments.operations import Desk
from enrolments.outside_invoices import NewInvoice
from shop.access import open_to, the_visitor
from shop.clock import paris_day, request_now
from shop.database import reading, transaction
from shop.errors import NotFound
from shop.words import gettext as _


def _desk(db: Session) -> Desk:
    return Desk(the_visitor().account_id, reach_for(db, "charge").communes("charge"))


@blueprint.post("/familles/<int:household_id>/factures")
@open_to("office")
def note_invoice(household_id: int) -> Answer:
    """Note an invoice of elsewhere that a family has not paid."""
    form, now = InvoiceForm(), request_now()
    fine = form.validate()
    with reading() as db:
        regies = outside_invoices.regies_of(db, _desk(db).commune_ids, household_id)
    regie_id, reference, due_on = form.regie.data, form.reference.data, form.due_on.data
    if regie_id not in regies:
        raise NotFound
    if not fine or not reference or due_on is None:
        return family_file(household_id, failed_invoice=form), 422
    try:
        with transaction() as db:
            new = NewInvoice(household_id, regie_id, reference, form.cents, due_on)
            _invoice, fresh = outside_invoices.note_invoice(db, new, _desk(db), now)
    except ReferenceKnown as refusal:
        form.reference.errors = [refusal.sentence]
        return family_file(household_id, failed_invoice=form), refusal.status
    if fresh:
        flash(_("Facture %(reference)s notée : la famille est prévenue par e-mail.", reference=reference), "ok")
    else:
        flash(_("La facture %(reference)s était déjà notée : rien n’a changé.", reference=reference), "note")
    return redirect(url_for("backoffice.family", household_id=household_id), 303)


@blueprint.get("/factures/<int:invoice_id>")
@open_to("office")
def invoice(invoice_id: int) -> Answer:
    """One invoice of elsewhere, to be marked paid or withdrawn."""
    return _invoice_page(invoice_id)


def _invoice_page(invoice_id: int, form: StrikeForm | None = None, refused: str = "") -> str:
    with reading() as db:
        reach = reach_for(db, "charge")
        found = outside_invoices.find_invoice(db, reach.communes("charge"), invoice_id)
    return render_template(
        "backoffice/invoice.html",
        reach=reach,
        invoice=found,
        form=form or StrikeForm(formdata=None),
        refused=refused,
        today=paris_day(request_now()),
    )


@blueprint.post("/factures/<int:invoice_id>/payee")
@open_to("office")
def mark_invoice_paid(invoice_id: int) -> Answer:
    """Note that an invoice was paid where it was issued."""
    try:
        with transaction() as db:
            household_id, fresh = outside_invoices.mark_paid(db, invoice_id, _desk(db), request_now())
    except InvoiceClosed as refusal:
        return _invoice_page(invoice_id, refused=refusal.sentence), refusal.status
    return _closed(household_id, _("Facture payée : la famille est prévenue par e-mail."), fresh)


@blueprint.post("/factures/<int:invoice_id>/retirer")
@open_to("office")
def withdraw_invoice(invoice_id: int) -> Answer:
    """Take back an invoice that was noted wrongly, with the reason that the family reads."""
    form = StrikeForm()
    if not form.validate():
        return _invoice_page(invoice_id, form), 422
    try:
        with transaction() as db:
            household_id, fresh = outside_invoices.withdraw(
                db, invoice_id, form.reason.data or "", _desk(db), request_now()
            )
    except InvoiceClosed as refusal:
        return _invoice_page(invoice_id, form, refusal.sentence), refusal.status
    return _closed(household_id, _("Facture retirée : la famille est prévenue par e-mail."), fresh)


def _closed(household_id: int, done: str, fresh: bool) -> Response:
    if fresh:
        flash(done, "ok")
    else:
        flash(_("C’était déjà fait : rien n’a changé."), "note")
    return redirect(url_for("backoffice.family", household_id=household_id), 303)
