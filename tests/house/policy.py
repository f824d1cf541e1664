"""Who may open what: every (endpoint, method) of the shop, in one table. A test fails on one that is not here.

everybody   no sign-in
members     whoever is signed in; a clerk after the second factor
parents     an account with a household
staff       a clerk, before the second factor was shown
office      a clerk, after it
"""

POLICY = """
    GET  accounts.activate                      everybody
    POST accounts.activate                      everybody
    GET  accounts.add_to_family                 parents
    POST accounts.add_to_family                 parents
    GET  accounts.ask_reset                     everybody
    POST accounts.ask_reset                     everybody
    GET  accounts.cancel_email                  everybody
    POST accounts.cancel_email                  everybody
    GET  accounts.change_email                  members
    POST accounts.change_email                  members
    GET  accounts.change_in_family              parents
    POST accounts.change_in_family              parents
    GET  accounts.change_password               members
    POST accounts.change_password               members
    GET  accounts.close                         members
    POST accounts.close                         members
    GET  accounts.confirm                       everybody
    POST accounts.confirm                       everybody
    GET  accounts.confirm_email                 everybody
    POST accounts.confirm_email                 everybody
    GET  accounts.connections                   members
    GET  accounts.details                       members
    POST accounts.details                       members
    POST accounts.end_connection                members
    POST accounts.end_other_connections         members
    GET  accounts.family                        parents
    GET  accounts.home                          members
    GET  accounts.recovery_codes                office
    POST accounts.recovery_codes                office
    GET  accounts.remove_from_family            parents
    POST accounts.remove_from_family            parents
    GET  accounts.reset                         everybody
    POST accounts.reset                         everybody
    GET  accounts.reset_asked                   everybody
    GET  accounts.second_factor                 staff
    POST accounts.second_factor                 staff
    POST accounts.send_confirmation             parents
    GET  accounts.sign_in                       everybody
    POST accounts.sign_in_post                  everybody
    POST accounts.sign_out                      everybody
    GET  accounts.sign_up                       everybody
    POST accounts.sign_up                       everybody
    GET  accounts.sign_up_family                parents
    POST accounts.sign_up_family                parents
    POST accounts.start                         everybody
    GET  backoffice.day                         office
    POST backoffice.decide                      office
    POST backoffice.decide_one                  office
    GET  backoffice.desk                        office
    GET  backoffice.families                    office
    GET  backoffice.family                      office
    POST backoffice.note_quotient               office
    POST backoffice.note_plan                   office
    POST backoffice.remove_plan                 office
    GET  backoffice.roll_call                   office
    POST backoffice.mark                        office
    GET  backoffice.choose_unbooked             office
    POST backoffice.note_unbooked               office
    POST backoffice.strike_off                  office
    POST backoffice.note_invoice                office
    GET  backoffice.invoice                     office
    POST backoffice.mark_invoice_paid           office
    POST backoffice.withdraw_invoice            office
    GET  backoffice.call_offs                   office
    POST backoffice.call_day_off                office
    POST backoffice.carry_out                   office
    POST backoffice.take_back                   office
    GET  orders.feed                            everybody
    GET  orders.sick_child                      parents
    POST orders.tell_sick_child                 parents
    GET  orders.confirm_give_back               parents
    POST orders.give_back                       parents
    POST orders.keep                            parents
    POST backoffice.see_paper                   office
    POST orders.make_feed                       parents
    POST orders.end_feed                        parents
    GET  backoffice.family_meals                office
    GET  backoffice.meal                        office
    GET  backoffice.eaten_meal                  office
    GET  backoffice.requests                    office
    GET  backoffice.show_request                office
    GET  cart.book                              parents
    GET  cart.choose                            parents
    POST cart.choose_meals                      parents
    GET  catalog.accessibility                  everybody
    GET  catalog.colours                        everybody
    GET  catalog.commune                        everybody
    GET  catalog.commune_accessibility          everybody
    GET  catalog.contact                        everybody
    GET  catalog.home                           everybody
    GET  catalog.legal_notice                   everybody
    POST checkout.abandon                       parents
    POST checkout.accept_prices                 parents
    GET  checkout.basket                        parents
    GET  checkout.choose_top_up                 parents
    GET  checkout.come_back                     parents
    POST checkout.pay_by_card                   parents
    POST checkout.pay_from_wallet               parents
    GET  checkout.payment                       parents
    POST checkout.remove                        parents
    POST checkout.top_up_wallet                 parents
    POST checkout.verify                        parents
    GET  demo.accounts                          everybody
    GET  demo.letter                            everybody
    GET  demo.letter_html                       everybody
    GET  demo.letters                           everybody
    GET  enrolments.add                         parents
    POST enrolments.add                         parents
    POST enrolments.complete                    parents
    GET  enrolments.mine                        parents
    GET  enrolments.sign_up_done                parents
    GET  enrolments.sign_up_services            parents
    POST enrolments.sign_up_services            parents
    POST enrolments.withdraw                    parents
    POST homes.answer                           parents
    POST homes.ask_swap                         parents
    GET  homes.child                            parents
    POST homes.decide_calendar                  parents
    POST homes.decide_swap                      parents
    GET  homes.invitation                       everybody
    POST homes.invite                           parents
    POST homes.propose                          parents
    POST homes.revoke                           parents
    POST orders.cancel_meals                    parents
    GET  orders.change_days                     parents
    POST orders.confirm_change                  parents
    GET  orders.confirm_cancel                  parents
    GET  orders.meal                            parents
    GET  orders.eaten_meal                      parents
    GET  orders.history                         parents
    GET  orders.order                           parents
    GET  orders.order_calendar                  parents
    POST orders.leave_waiting_list              parents
    GET  orders.reservations                    parents
    GET  orders.waiting                         parents
    GET  pages.alive                            everybody
    GET  pages.personal_data                    everybody
    POST pages.policy_report                    everybody
    GET  pages.ready                            everybody
    GET  pages.robots                           everybody
    GET  pages.security_contact                 everybody
    GET  pages.terms                            everybody
    GET  payments.sandbox                       everybody
    POST payments.sandbox_challenge             everybody
    POST payments.sandbox_pay                   everybody
    GET  reminders.mine                         parents
    POST reminders.choose                       parents
    GET  reminders.stop                         everybody
    POST reminders.stop_now                     everybody
    GET  reminders.week                         everybody
    POST reminders.week                         everybody
    GET  wallet.statement                       parents
    POST wallet.settle_dues                     parents
    POST webhooks.receive                       everybody
"""

WITHOUT_CSRF = {
    "pages.policy_report": "a browser reports by itself, without a token; nothing is written",
    "webhooks.receive": "a provider signs the body",
    "reminders.stop_now": "a mail program posts by itself (RFC 8058); the address is signed, and only turns reminders off",
}
"""Unsafe methods that need no token, each with its reason."""

WRITES_ON_GET = {
    "checkout.come_back": "a provider can only send a browser back; it asks the provider and settles, as the webhook does",
}

CACHED = {
    "catalog.colours": "public, max-age=300",
    "pages.robots": "public, max-age=86400",
    "pages.security_contact": "public, max-age=86400",
}
"""What may be kept by browsers; everything else is `no-store`."""

FRAMED = {"demo.letter_html"}
"""Shown in a frame of our own, under a policy of its own: a letter, in the demonstration."""


def table() -> dict[tuple[str, str], str]:
    """(endpoint, method) → audience."""
    rows = [line.split() for line in POLICY.splitlines() if line.strip()]
    return {(endpoint, method): audience for method, endpoint, audience in rows}
