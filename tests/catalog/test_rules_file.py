"""Rules in a catalogue file: how they are read, and every refusal with its line, its field and its sentence."""

from datetime import date

import pytest

from catalog.errors import FileRefused
from catalog.rules.deadlines import DeadlineRule, Limit, Part
from catalog.rules.policies import Blocking, Late, Policies, Sickness, Unbooked
from catalog.rules.prices import Row, Surcharge
from catalog.town import Case, PriceEntry, read_town
from shop.clock import PARIS
from tests.catalog.made import SERVICE, faults, line_of, plain, read, service, written

ONE_WAY = "donnez une seule façon de compter : days_before, weekday_before, weekday ou day_of_month"
PRICE = ".tariffs[1].prices[1]"


# --- what is read ---


@pytest.mark.parametrize(
    ("written_as", "expected"),
    [
        ('{ days_before = 3, counted = "working", at = "09:00" }', Limit("09:00", days_before=3, counted="working")),
        ('{ days_before = 0, counted = "calendar", at = "08:30" }', Limit("08:30", days_before=0, counted="calendar")),
        ('{ weekday_before = "dim", at = "24:00" }', Limit("24:00", weekday_before=7)),
        ('{ weekday = "mer", weeks_before = 1, at = "12:00" }', Limit("12:00", weekday=3, weeks_before=1)),
        ('{ weekday = "mer", weeks_before = 8, at = "00:00" }', Limit("00:00", weekday=3, weeks_before=8)),
        (
            '{ day_of_month = 31, months_before = 2, at = "18:00", if_off = "earlier" }',
            Limit("18:00", day_of_month=31, months_before=2, if_off="earlier"),
        ),
    ],
)
def test_a_limit_is_read(written_as: str, expected: Limit) -> None:
    assert service(booking=written_as).booking == DeadlineRule((Part(expected),))


def test_limits_by_groups_of_weekdays_are_read() -> None:
    found = service(
        booking='[{ for = ["mar", "lun"], weekday_before = "ven", at = "09:00" },'
        ' { for = ["jeu", "ven"], weekday_before = "mar", at = "09:00" }]'
    )
    limits = (Limit("09:00", weekday_before=5), Limit("09:00", weekday_before=2))
    assert found.booking == DeadlineRule((Part(limits[0], (1, 2)), Part(limits[1], (4, 5))))


def test_policies_are_read() -> None:
    found = service(
        policies="""\
late = { until = { days_before = 0, counted = "calendar", at = "09:00" }, percent = "12,50" }
unbooked = { price = "10,00", free = 2 }
credit = "3,85"
sickness = { carence_days = 1, announce = { days_before = 0, counted = "calendar", at = "09:30" }, paper = true }
cost_price = "7,20"
freed = { until = { days_before = 0, counted = "calendar", at = "09:00" } }
"""
    )
    assert found.policies == Policies(
        Late(DeadlineRule.of("09:00", days_before=0, counted="calendar"), Surcharge(percent="12.5")),
        Unbooked(Surcharge(price=1000), 2),
        385,
        Sickness(DeadlineRule.of("09:30", days_before=0, counted="calendar"), 1, True),
        720,
        DeadlineRule.of("09:00", days_before=0, counted="calendar"),
    )
    assert found.rules.policies == found.policies


def test_what_is_not_written_is_ordinary() -> None:
    assert service().policies == Policies()


WITH_PAI = '{ from = "2026-09-01", euros = "3,80" }]\npai = true'


def with_pai(policies: str) -> str:
    """The catalogue file with these rules, and a tariff that asks for a PAI."""
    return written(policies=policies).replace('{ from = "2026-09-01", euros = "3,80" }]', WITH_PAI)


@pytest.mark.parametrize(
    ("written_as", "expected"),
    [
        ("{ amount_due_hours = 48 }", Blocking(48)),
        ("{ amount_due_hours = 0 }", Blocking(0)),
        ("{ pai = true }", Blocking(None, True)),
        ("{ amount_due_hours = 48, pai = true }", Blocking(48, True)),
        ("{ overdue_invoice_days = 0 }", Blocking(None, False, 0)),
        ("{ overdue_invoice_days = 366, amount_due_hours = 1, pai = true }", Blocking(1, True, 366)),
    ],
)
def test_what_makes_bookings_wait_is_read(written_as: str, expected: Blocking) -> None:
    (commune,) = read_town(with_pai(f"blocking = {written_as}"), "ville.toml").communes
    assert commune.services[0].policies.blocking == expected
    assert [tariff.pai for tariff in commune.services[0].tariffs] == [True]
    assert [tariff.pai for tariff in service().tariffs] == [False]


def test_a_pai_that_no_tariff_asks_for_is_a_fault_at_its_line() -> None:
    policy = "blocking = { pai = true }"
    text = written(policies=policy)
    sentence = "aucun tarif de ce service ne demande de PAI"
    assert faults(text) == [(line_of(text, policy), ".blocking.pai", sentence)]
    found = service(
        policies='unbooked = { more = "1,00" }\ncredit = "none"\nsickness = { announce = DAY }'.replace(
            "DAY", '{ days_before = 1, counted = "calendar", at = "10:00" }'
        )
    ).policies
    assert found.unbooked == Unbooked(Surcharge(more=100), 0)
    assert found.credit == "none"
    assert found.sickness == Sickness(DeadlineRule.of("10:00", days_before=1, counted="calendar"), 0, False)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        ("50", "50"),
        ("12,5", "12.5"),
        ("12.5", "12.5"),
        ("0,25", "0.25"),
        ("050", "50"),
        ("100,00", "100"),
        ("1000", "1000"),
    ],
)
def test_a_percentage_is_read_as_people_write_it(percent: str, expected: str) -> None:
    unbooked = service(policies=f'unbooked = {{ percent = "{percent}" }}').policies.unbooked
    assert unbooked is not None
    assert unbooked.surcharge == Surcharge(percent=expected)


def test_a_grid_is_read_with_what_it_asks_of_who_shows_nothing() -> None:
    found = service(
        price='decided = "2026-06-30", rows = ['
        '{ quotient_to = 699, euros = "0,50" },'
        '{ quotient_from = 700, rate = "0,45", floor = "3,15", ceiling = "6,00" }]'
    )
    grid = (Row(quotient_to=699, cents=50), Row(quotient_from=700, rate="0.45", floor=315, ceiling=600))
    assert found.tariffs[0].prices == (PriceEntry(date(2026, 9, 1), None, 600, grid, date(2026, 6, 30)),)


def test_cases_are_read() -> None:
    (case,) = read(
        cases="""\
[[cases]]
situation = "un exemple"
commune = "aiguilhe"
service = "cantine"
tariff = "resident"
action = "eat"
meal = 2026-11-24
at = "2026-11-23T11:00"
quotient = 650
rank = 2
eating = 3
level = "nursery"
times = 4
deadline = "2026-11-23T10:00:30"
euros = "5,08"
"""
    ).cases
    assert case.at is not None
    assert case.deadline is not None
    assert case.at.astimezone(PARIS).isoformat() == "2026-11-23T11:00:00+01:00"
    assert case.deadline.astimezone(PARIS).isoformat() == "2026-11-23T10:00:30+01:00"
    assert case == Case(
        "eat",
        date(2026, 11, 24),
        "aiguilhe",
        "cantine",
        "resident",
        case.at,
        650,
        2,
        3,
        "nursery",
        4,
        "un exemple",
        case.deadline,
        508,
    )
    (short,) = read(cases='[[cases]]\nmeal = "2026-11-24"\n').cases
    assert short == Case("book", date(2026, 11, 24))


# --- limits that are refused ---


@pytest.mark.parametrize(
    ("limit", "field", "sentence"),
    [
        # One way to count, and only one.
        ('{ days_before = 1, counted = "serving", weekday_before = "jeu", at = "10:00" }', "", ONE_WAY),
        ('{ weekday_before = "jeu", weekday = "jeu", weeks_before = 1, at = "10:00" }', "", ONE_WAY),
        ('{ day_of_month = 1, months_before = 1, weekday_before = "jeu", at = "10:00" }', "", ONE_WAY),
        ('{ at = "10:00" }', "", ONE_WAY),
        ('{ weeks_before = 1, at = "10:00" }', "", ONE_WAY),
        # With its companion.
        ('{ days_before = 1, at = "10:00" }', ".counted", "champ obligatoire avec days_before"),
        ('{ weekday = "jeu", at = "10:00" }', ".weeks_before", "champ obligatoire avec weekday"),
        ('{ day_of_month = 15, at = "10:00" }', ".months_before", "champ obligatoire avec day_of_month"),
        # And not with another's.
        (
            '{ weekday_before = "jeu", counted = "serving", at = "10:00" }',
            ".counted",
            "ce champ ne va qu’avec days_before",
        ),
        (
            '{ weekday_before = "jeu", weeks_before = 1, at = "10:00" }',
            ".weeks_before",
            "ce champ ne va qu’avec weekday",
        ),
        (
            '{ weekday = "jeu", weeks_before = 1, months_before = 1, at = "10:00" }',
            ".months_before",
            "ce champ ne va qu’avec day_of_month",
        ),
        ('{ weekday_before = "jeu", hours_before = 1, at = "10:00" }', ".hours_before", "champ inconnu"),
        # Hours.
        (
            '{ weekday_before = "jeu", at = "02:30" }',
            ".at",
            "« 02:30 » : cette heure n’existe pas la nuit du passage à l’heure d’été",
        ),
        ('{ weekday_before = "jeu", at = "25:00" }', ".at", '« 25:00 » : une heure s’écrit "10:00", et minuit "24:00"'),
        ('{ weekday_before = "jeu", at = "24:01" }', ".at", '« 24:01 » : une heure s’écrit "10:00", et minuit "24:00"'),
        ('{ weekday_before = "jeu", at = "9:00" }', ".at", '« 9:00 » : une heure s’écrit "10:00", et minuit "24:00"'),
        ('{ weekday_before = "jeu", at = 10 }', ".at", '10 : une heure s’écrit "10:00", et minuit "24:00"'),
        ('{ weekday_before = "jeu" }', ".at", "champ obligatoire, absent"),
        # Bounds.
        (
            '{ days_before = 61, counted = "serving", at = "10:00" }',
            ".days_before",
            "61 : un nombre entier de 0 à 60 est attendu",
        ),
        (
            '{ weekday = "jeu", weeks_before = 9, at = "10:00" }',
            ".weeks_before",
            "9 : un nombre entier de 0 à 8 est attendu",
        ),
        (
            '{ day_of_month = 32, months_before = 1, at = "10:00" }',
            ".day_of_month",
            "32 : un nombre entier de 1 à 31 est attendu",
        ),
        (
            '{ day_of_month = 15, months_before = 0, at = "10:00" }',
            ".months_before",
            "0 : un nombre entier de 1 à 6 est attendu",
        ),
        (
            '{ weekday_before = "jeu", if_off = "later", at = "10:00" }',
            ".if_off",
            "« later » : choisissez parmi earlier",
        ),
        # Groups of weekdays.
        (
            '{ for = ["lun", "mar", "jeu", "ven"], weekday_before = "jeu", at = "10:00" }',
            ".for",
            "ce champ ne va que dans une liste de tables",
        ),
        (
            '[{ weekday_before = "jeu", at = "10:00" }]',
            "[1].for",
            "nommez les jours de repas que cette limite concerne",
        ),
        (
            '[{ for = [], weekday_before = "jeu", at = "10:00" }]',
            "[1].for",
            "nommez les jours de repas que cette limite concerne",
        ),
        (
            (
                '[{ for = ["lun", "mar", "jeu"], weekday_before = "ven", at = "10:00" },'
                ' { for = ["jeu", "ven"], weekday_before = "mar", at = "10:00" }]'
            ),
            "[2].for",
            "chaque jour une seule fois dans toute la règle",
        ),
        (
            '[{ for = ["lun", "lun", "mar", "jeu", "ven"], weekday_before = "sam", at = "10:00" }]',
            "[1].for",
            "chaque jour une seule fois dans toute la règle",
        ),
        (
            '[{ for = ["lun", "lundi"], weekday_before = "sam", at = "10:00" }]',
            "[1].for[2]",
            "« lundi » : choisissez parmi lun, mar, mer, jeu, ven, sam, dim",
        ),
        ("[]", "", "il faut au moins une limite"),
        ('"la veille"', "", "une table { … } ou une liste de tables est attendue ici"),
        ('["la veille"]', "[1]", "une table de champs est attendue ici"),
        # What cannot be meant for this service.
        (
            '[{ for = ["lun", "mar"], weekday_before = "ven", at = "10:00" }]',
            "",
            "aucune limite pour les repas du jeudi et vendredi",
        ),
        (
            '{ days_before = 0, counted = "calendar", at = "14:01" }',
            "",
            "pour le lundi, cette limite tombe après le service",
        ),
    ],
)
@pytest.mark.parametrize("which", ["booking", "cancel"])
def test_a_limit_is_refused(which: str, limit: str, field: str, sentence: str) -> None:
    text = written(**{which: limit})
    assert faults(text) == [(line_of(text, f"{which} ="), f".{which}{field}", sentence)]


def test_faults_of_several_limits_of_a_rule_are_told_together() -> None:
    text = written(
        booking="""[
  { for = ["lun"], days_before = 1, at = "10:00" },
  { for = ["mar"], weekday_before = "jeu", at = "02:30" },
  { for = ["jeu"], weekday_before = "jeu", weekday = "jeu", weeks_before = 0, at = "10:00" },
]"""
    )
    first = line_of(text, "booking =")
    assert [(line, field) for line, field, _sentence in faults(text)] == [
        (first + 1, ".booking[1].counted"),
        (first + 2, ".booking[2].at"),
        (first + 3, ".booking[3]"),
    ]


# --- policies that are refused ---

ONE_OF_THREE = "donnez un seul de more, percent et price"
SAME_DAY = 'until = { days_before = 0, counted = "calendar", at = "09:00" }'


@pytest.mark.parametrize(
    ("policy", "field", "sentence"),
    [
        ("unbooked = { }", ".unbooked", ONE_OF_THREE),
        ("unbooked = { free = 1 }", ".unbooked", ONE_OF_THREE),
        ('unbooked = { more = "1,00", percent = "50" }', ".unbooked", ONE_OF_THREE),
        ('unbooked = { more = "1,00", price = "5,00" }', ".unbooked", ONE_OF_THREE),
        (f"late = {{ {SAME_DAY} }}", ".late", ONE_OF_THREE),
        (f'late = {{ {SAME_DAY}, percent = "50", price = "5,00" }}', ".late", ONE_OF_THREE),
        ('late = { percent = "50" }', ".late.until", "champ obligatoire, absent"),
        ('late = "50 %"', ".late", "une table de champs est attendue ici"),
        # Percentages.
        ("unbooked = { percent = 50 }", ".unbooked.percent", '50 : un pourcentage s’écrit "12,5"'),
        ('unbooked = { percent = "50 %" }', ".unbooked.percent", '« 50 % » : un pourcentage s’écrit "12,5"'),
        ('unbooked = { percent = "-5" }', ".unbooked.percent", '« -5 » : un pourcentage s’écrit "12,5"'),
        ('unbooked = { percent = "1e2" }', ".unbooked.percent", '« 1e2 » : un pourcentage s’écrit "12,5"'),
        ('unbooked = { percent = "٥٠" }', ".unbooked.percent", '« ٥٠ » : un pourcentage s’écrit "12,5"'),
        ('unbooked = { percent = ",5" }', ".unbooked.percent", '« ,5 » : un pourcentage s’écrit "12,5"'),
        ('unbooked = { percent = "0,12345" }', ".unbooked.percent", '« 0,12345 » : un pourcentage s’écrit "12,5"'),
        ('unbooked = { percent = "0,00" }', ".unbooked.percent", "« 0,00 » : entre 0 exclu et 1000 compris"),
        ('unbooked = { percent = "1000,1" }', ".unbooked.percent", "« 1000,1 » : entre 0 exclu et 1000 compris"),
        # Amounts and counts.
        ('unbooked = { price = "0" }', ".unbooked.price", "un montant nul n’est pas accepté"),
        ("unbooked = { more = 1.0 }", ".unbooked.more", 'un montant s’écrit entre guillemets, par exemple "3,80"'),
        (
            'unbooked = { more = "1,00", free = -1 }',
            ".unbooked.free",
            "-1 : un nombre entier de 0 à 50 est attendu",
        ),
        ('unbooked = { more = "1,00", times = 1 }', ".unbooked.times", "champ inconnu"),
        ("credit = 0", ".credit", 'un montant s’écrit entre guillemets, par exemple "3,80"'),
        ('credit = "0,00"', ".credit", "un montant nul n’est pas accepté"),
        (
            'credit = "half"',
            ".credit",
            'ni "full" (le prix payé), ni "none" (rien), ni un montant comme "3,80"',
        ),
        ('cost_price = "0"', ".cost_price", "un montant nul n’est pas accepté"),
        # What makes bookings wait.
        ("blocking = { }", ".blocking", "donnez amount_due_hours, overdue_invoice_days ou pai = true, un ou plusieurs"),
        (
            "blocking = { pai = false }",
            ".blocking",
            "donnez amount_due_hours, overdue_invoice_days ou pai = true, un ou plusieurs",
        ),
        (
            "blocking = { amount_due_hours = -1 }",
            ".blocking.amount_due_hours",
            "-1 : un nombre entier de 0 à 8760 est attendu",
        ),
        (
            'blocking = { amount_due_hours = "48" }',
            ".blocking.amount_due_hours",
            "« 48 » : un nombre entier de 0 à 8760 est attendu",
        ),
        (
            "blocking = { overdue_invoice_days = -1 }",
            ".blocking.overdue_invoice_days",
            "-1 : un nombre entier de 0 à 366 est attendu",
        ),
        (
            "blocking = { overdue_invoice_days = 367 }",
            ".blocking.overdue_invoice_days",
            "367 : un nombre entier de 0 à 366 est attendu",
        ),
        (
            "blocking = { overdue_invoice_days = 1.5 }",
            ".blocking.overdue_invoice_days",
            "1.5 : un nombre entier de 0 à 366 est attendu",
        ),
        ('blocking = { pai = "oui" }', ".blocking.pai", "« oui » : true ou false est attendu"),
        ("blocking = { days = 2, amount_due_hours = 1 }", ".blocking.days", "champ inconnu"),
        # Sickness.
        ("freed = true", ".freed", "une table de champs est attendue ici"),
        ("freed = {}", ".freed.until", "champ obligatoire, absent"),
        (
            'freed = { until = { days_before = 9, counted = "calendar", at = "09:00" } }',
            ".freed.until",
            "pour le lundi, ce repas peut encore être annulé à ce moment-là",
        ),
        ("sickness = { carence_days = 1 }", ".sickness.announce", "champ obligatoire, absent"),
        (
            'sickness = { announce = { weekday_before = "ven", at = "09:00" }, paper = "oui" }',
            ".sickness.paper",
            "« oui » : true ou false est attendu",
        ),
        (
            'sickness = { announce = { weekday_before = "ven", at = "09:00" }, carence_days = 31 }',
            ".sickness.carence_days",
            "31 : un nombre entier de 0 à 30 est attendu",
        ),
        ('sickness = { announce = { weekday_before = "ven" } }', ".sickness.announce.at", "champ obligatoire, absent"),
        (
            'sickness = { announce = { days_before = 0, counted = "calendar", at = "15:00" } }',
            ".sickness.announce",
            "pour le lundi, cette limite tombe après le service",
        ),
        # Late bookings that make no sense beside the ordinary ones.
        (
            'late = { until = { weekday_before = "ven", at = "09:00" }, percent = "50" }',
            ".late.until",
            "pour le lundi, le hors délai ferme avant d’ouvrir",
        ),
        (
            'late = { until = { days_before = 1, counted = "serving", at = "10:00" }, percent = "50" }',
            ".late.until",
            "pour le lundi, le hors délai ferme avant d’ouvrir",
        ),
        (
            'late = { until = { days_before = 0, counted = "serving", at = "16:00" }, percent = "50" }',
            ".late.until",
            "pour le lundi, cette limite tombe après le service",
        ),
        (
            'late = { until = { days_before = 1, at = "12:00" }, percent = "50" }',
            ".late.until.counted",
            "champ obligatoire avec days_before",
        ),
    ],
)
def test_a_policy_is_refused(policy: str, field: str, sentence: str) -> None:
    text = written(policies=policy)
    assert faults(text) == [(line_of(text, policy), field, sentence)]


# --- grids that are refused ---

BY_RATE = "donnez soit euros, soit rate avec floor et ceiling"


@pytest.mark.parametrize(
    ("rows", "place", "field", "sentence"),
    [
        # Holes and overlaps.
        (
            ['{ quotient_to = 699, euros = "0,50" }', '{ quotient_from = 701, euros = "3,10" }'],
            0,
            ".rows",
            "aucune ligne ne vaut dans ce cas : quotient 700",
        ),
        (
            ['{ quotient_to = 699, euros = "0,50" }'],
            0,
            ".rows",
            "aucune ligne ne vaut dans ce cas : quotient 700",
        ),
        (
            ['{ level = "nursery", euros = "3,90" }', '{ level = "elementary", euros = "4,06" }'],
            0,
            ".rows",
            "aucune ligne ne vaut dans ce cas : collège",
        ),
        (
            ['{ eating_to = 1, euros = "4,50" }', '{ eating_from = 3, euros = "4,25" }'],
            0,
            ".rows",
            "aucune ligne ne vaut dans ce cas : 2 enfants ce jour-là",
        ),
        (
            ['{ quotient_to = 700, euros = "0,50" }', '{ quotient_from = 700, euros = "3,10" }'],
            2,
            ".rows[2]",
            "deux lignes valent en même temps (quotient 700)",
        ),
        (
            [
                '{ rank_to = 2, euros = "0,50" }',
                '{ rank_from = 3, euros = "3,10" }',
                '{ rank_from = 5, euros = "2,00" }',
            ],
            3,
            ".rows[3]",
            "deux lignes valent en même temps (5e enfant)",
        ),
        # Rates.
        (
            ['{ rate = "0,45", floor = "6,00", ceiling = "1,00" }'],
            1,
            ".rows[1].ceiling",
            "le plafond est plus petit que le plancher",
        ),
        (['{ rate = "0,45", ceiling = "6,00" }'], 1, ".rows[1].floor", "champ obligatoire avec rate"),
        (['{ rate = "0,45", floor = "1,00" }'], 1, ".rows[1].ceiling", "champ obligatoire avec rate"),
        (['{ euros = "3,80", floor = "1,00" }'], 1, ".rows[1].floor", "ce champ ne va qu’avec rate"),
        (['{ euros = "3,80", ceiling = "1,00" }'], 1, ".rows[1].ceiling", "ce champ ne va qu’avec rate"),
        (['{ rate = "0,45", euros = "3,80", floor = "1,00", ceiling = "6,00" }'], 1, ".rows[1]", BY_RATE),
        (["{ quotient_from = 0 }"], 1, ".rows[1]", BY_RATE),
        (
            ['{ rate = "101", floor = "1,00", ceiling = "6,00" }'],
            1,
            ".rows[1].rate",
            "« 101 » : entre 0 exclu et 100 compris",
        ),
        (
            ['{ rate = 0.45, floor = "1,00", ceiling = "6,00" }'],
            1,
            ".rows[1].rate",
            '0.45 : un pourcentage s’écrit "12,5"',
        ),
        # Bounds.
        (
            ['{ quotient_from = 700, quotient_to = 699, euros = "3,80" }'],
            1,
            ".rows[1].quotient_to",
            "la fin vient avant le début",
        ),
        (['{ rank_from = 3, rank_to = 2, euros = "3,80" }'], 1, ".rows[1].rank_to", "la fin vient avant le début"),
        (
            ['{ eating_from = 3, eating_to = 2, euros = "3,80" }'],
            1,
            ".rows[1].eating_to",
            "la fin vient avant le début",
        ),
        (['{ rank_from = 0, euros = "3,80" }'], 1, ".rows[1].rank_from", "0 : un nombre entier de 1 à 20 est attendu"),
        (
            ['{ level = "primary", euros = "3,80" }'],
            1,
            ".rows[1].level",
            "« primary » : choisissez parmi nursery, elementary, secondary",
        ),
        (['{ quotient = 700, euros = "3,80" }'], 1, ".rows[1].quotient", "champ inconnu"),
        (['"3,80"'], 1, ".rows[1]", "une table de champs est attendue ici"),
        ([], 0, ".rows", "il faut au moins une ligne"),
    ],
)
def test_a_grid_is_refused(rows: list[str], place: int, field: str, sentence: str) -> None:
    text = written(price="rows = [\n" + "".join(f"  {row},\n" for row in rows) + "]")
    assert faults(text) == [(line_of(text, "rows = [") + place, f"{PRICE}{field}", sentence)]


@pytest.mark.parametrize("price", ['euros = "3,80", rows = [{ euros = "3,80" }]', 'decided = "2026-06-30"'])
def test_a_price_is_either_flat_or_a_grid(price: str) -> None:
    text = written(price=price)
    assert faults(text) == [(line_of(text, "prices ="), PRICE, "donnez soit euros, soit rows")]


# --- cases that are refused ---


@pytest.mark.parametrize(
    ("words", "field", "sentence"),
    [
        ('price = "3,80"', ".price", "champ inconnu"),
        ('action = "steal"', ".action", "« steal » : choisissez parmi book, cancel, eat, free"),
        ('at = "2026-11-20"', ".at", "« 2026-11-20 » : un moment s’écrit 2026-11-20T09:00"),
        ('at = "2026-11-31T09:00"', ".at", "« 2026-11-31T09:00 » n’existe pas au calendrier"),
        ("deadline = 2026-11-20", ".deadline", "2026-11-20 : un moment s’écrit 2026-11-20T09:00"),
        ("quotient = -1", ".quotient", "-1 : un nombre entier de 0 à 100000 est attendu"),
        ("rank = 0", ".rank", "0 : un nombre entier de 1 à 20 est attendu"),
        ("times = 0", ".times", "0 : un nombre entier de 1 à 200 est attendu"),
        ('level = "primary"', ".level", "« primary » : choisissez parmi nursery, elementary, secondary"),
        ("euros = 3.80", ".euros", 'un montant s’écrit entre guillemets, par exemple "3,80"'),
    ],
)
def test_a_case_is_refused(words: str, field: str, sentence: str) -> None:
    text = written(cases=f'[[cases]]\nmeal = "2026-11-24"\n\n[[cases]]\nmeal = "2026-11-26"\n{words}\n')
    assert faults(text) == [(line_of(text, words), f"cases[2]{field}", sentence)]


def test_a_case_without_a_meal_is_refused_at_its_head() -> None:
    text = written(cases='[[cases]]\neuros = "3,80"\n')
    assert faults(text) == [(line_of(text, "[[cases]]"), "cases[1].meal", "champ obligatoire, absent")]


# --- several at once ---


def test_faults_of_all_the_rules_are_told_at_once_in_the_order_of_lines() -> None:
    text = written(
        booking='{ days_before = 1, counted = "served", at = "25:00" }',
        cancel='[{ weekday_before = "jeu", at = "10:00" }]',
        policies="""\
late = { percent = "50 %" }
unbooked = { }
credit = "0"
sickness = { announce = "demain" }
""",
        price="""rows = [
  { rate = "0,45", floor = "6,00", ceiling = "1,00" },
  { euros = "3,80", rank_from = 3, rank_to = 2 },
]""",
        cases='[[cases]]\nmeal = "demain"\ncolour = "blue"\n',
    )
    found = faults(text)
    assert [field for _line, field, _sentence in found] == [
        ".booking.counted",
        ".booking.at",
        ".cancel[1].for",
        ".late.percent",
        ".late.until",
        ".unbooked",
        ".credit",
        ".sickness.announce",
        f"{PRICE}.rows[1].ceiling",
        f"{PRICE}.rows[2].rank_to",
        "cases[1].meal",
        "cases[1].colour",
    ]
    starts = ("booking =", "booking =", "cancel =", "late =", "late =", "unbooked =", "credit =", "sickness =")
    more = ('{ rate = "0,45"', '{ euros = "3,80", rank', 'meal = "demain"', "colour =")
    assert [line for line, _field, _sentence in found] == [line_of(text, words) for words in (*starts, *more)]


def test_a_refused_rule_is_told_with_its_file() -> None:
    text = written(booking='{ weekday_before = "jeu", at = "02:30" }')
    with pytest.raises(FileRefused) as refused:
        read_town(text, "villes/aiguilhe.toml")
    assert plain(refused.value.sentence) == (
        f"1 erreur :\nvilles/aiguilhe.toml:{line_of(text, 'booking =')} : {SERVICE}.booking.at : "
        "« 02:30 » : cette heure n’existe pas la nuit du passage à l’heure d’été"
    )
