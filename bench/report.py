"""What was measured, as tables for a terminal and for docs/performance.md, beside what the shop is held to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measures import Checkouts, Cost, Pair
from bench.statements import Count

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass
class Results:
    """Everything measured on one database."""

    version: str
    statements: list[Count] = field(default_factory=list)
    by_hand: dict[int, int] = field(default_factory=dict)
    pages: list[Pair] = field(default_factory=list)
    paying: list[Pair] = field(default_factory=list)
    purchases: list[Cost] = field(default_factory=list)
    alone: tuple[Cost, Pair] | None = None
    checkouts: list[Checkouts] = field(default_factory=list)
    growth: list[Pair] = field(default_factory=list)
    reservations: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Table:
    """A table with a title and a sentence about what its figures are."""

    title: str
    about: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def markdown(self) -> str:
        """The table for the documentation."""
        lines = [f"### {self.title}", "", self.about, "", _row(self.head)]
        lines.append(_row(["---"] + ["---:"] * (len(self.head) - 1)))
        lines += [_row(row) for row in self.rows]
        return "\n".join(lines)

    def text(self) -> str:
        """The table for a terminal."""
        widths = [max(len(row[column]) for row in [self.head, *self.rows]) for column in range(len(self.head))]
        lines = [self.title, self.about]
        for row in (self.head, tuple("-" * width for width in widths), *self.rows):
            cells = [row[0].ljust(widths[0])]
            cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join(cells))
        return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def tables(measured: dict[str, Results]) -> list[Table]:
    """A table for each thing measured, the targets first."""
    found = [_targets(measured), _statements(measured)]
    for database, results in measured.items():
        name = NAMES[database]
        if results.pages:
            pages = [*results.pages, *(results.alone[1:] if results.alone else ())]
            found.append(_pairs(f"Hot pages, {name}", "a bare Flask page of the same size", "bare", pages))
        if results.paying:
            found.append(_pairs(f"The paying request, {name}", "the hand-written view", "by hand", results.paying))
    found += [_purchases(measured), _checkouts(measured)]
    for database, results in measured.items():
        if results.growth:
            small, large = (f"{count:,}".replace(",", " ") for count in results.reservations)
            title = f"Growth, {NAMES[database]}: {large} reservations"
            found.append(_pairs(title, f"the same at {small}", f"at {small}", results.growth))
    return [table for table in found if table.rows]


def _statements(measured: dict[str, Results]) -> Table:
    counts: dict[str, dict[str, Count]] = {}
    for database, results in measured.items():
        for count in results.statements:
            counts.setdefault(count.what, {})[database] = count
        for meals, number in results.by_hand.items():
            counts.setdefault(f"Pay {meals}, by hand", {})[database] = Count("", 1, number)
    rows = []
    for what, found in counts.items():
        requests = str(next(iter(found.values())).requests)
        rows.append((what, requests, *(str(found[key].statements) if key in found else "–" for key in measured)))
    about = "Counted inside the process. BEGIN, COMMIT and ROLLBACK are not statements here."
    return Table("SQL statements", about, ("Page or flow", "requests", *(NAMES[key] for key in measured)), rows)


def _pairs(title: str, other: str, short: str, pairs: Sequence[Pair]) -> Table:
    head = ("", "bytes", "req/s", f"{short} req/s", "rate ratio", "CPU ms", f"{short} CPU ms", "CPU ratio")
    rows = [
        (
            pair.what,
            str(pair.bytes),
            f"{pair.rate:.0f}",
            f"{pair.other_rate:.0f}",
            f"{pair.rate_ratio:.2f}",
            f"{pair.cpu_ms:.2f}",
            f"{pair.other_cpu_ms:.2f}",
            f"{pair.cpu_ratio:.2f}",
        )
        for pair in pairs
    ]
    about = f"Beside {other}. CPU is that of every server process, a request; ratios are medians of rounds in turn."
    return Table(title, about, head, rows)


def _purchases(measured: dict[str, Results]) -> Table:
    rows = [
        (
            f"{NAMES[database]}, {cost.meals} meals{what}",
            f"{cost.cpu_ms:.1f}",
            f"{cost.bare_cpu_ms:.3f}",
            f"{cost.ratio:.1f}",
        )
        for database, results in measured.items()
        for what, costs in (
            ("", results.purchases),
            (": its statements alone", results.alone[:1] if results.alone else ()),
        )
        for cost in costs
    ]
    about = (
        "Five requests: booking page, add, basket, pay, confirmation. The bare page has the booking page's size. Its"
        " statements alone: five bare pages that send what a purchase sent to a copy of the database, and do nothing else."
    )
    return Table("A whole purchase", about, ("", "CPU ms", "bare page CPU ms", "times the bare page"), rows)


def _checkouts(measured: dict[str, Results]) -> Table:
    rows = [
        (NAMES[database], *(f"{found.rate:.0f}" for found in results.checkouts))
        for database, results in measured.items()
        if results.checkouts
    ]
    buyers = next((results.checkouts for results in measured.values() if results.checkouts), [])
    head = ("", *(f"{found.buyers} at once" for found in buyers))
    about = "Paid checkouts a second, baskets of 6 meals, each from its own wallet; one worker of gunicorn."
    return Table("Buyers at once", about, head, rows)


@dataclass(frozen=True)
class Target:
    """A promise: what is wanted, what was measured, whether it is kept."""

    wanted: str
    measured: str
    met: bool


def targets(results: Results) -> list[Target]:
    """The promises of the shop beside what was measured on one database."""
    found: list[Target] = []

    def note(wanted: str, value: float, kept: bool, form: str = "{:.0f}") -> None:
        found.append(Target(wanted, form.format(value), kept))

    counts = {count.what: count for count in results.statements}
    if counts:
        six, thirty = counts["Whole purchase of 6"], counts["Whole purchase of 30"]
        note("purchase of 6: at most 5 requests", six.requests, six.requests <= 5)
        note("purchase of 6: at most 36 statements", six.statements, six.statements <= 36)
        note("purchase of 30: the same statements", thirty.statements, thirty.statements == six.statements)
        paying = [count.statements for what, count in counts.items() if what.startswith("Pay ")]
        note("paying request: at most 20 statements, 1 to 180 meals", max(paying), max(paying) <= 20)
        booking = [count.statements for what, count in counts.items() if what.startswith("Booking page")]
        note("booking page: at most 10 statements", max(booking), max(booking) <= 10)
    costs = {cost.meals: cost for cost in results.purchases}
    if costs:
        note("purchase of 6: at most 25 bare pages of CPU", costs[6].ratio, costs[6].ratio <= 25, "{:.1f}")
        grown = costs[30].cpu_ms / costs[1].cpu_ms
        note("purchase of 30: at most 1.4 times that of 1", grown, grown <= 1.4, "{:.2f}")
    pages = {pair.what: pair for pair in results.pages}
    if pages:
        slowest = min(pair.rate_ratio for what, pair in pages.items() if what.startswith("Booking page"))
        note("booking page: at least 0.25 of the bare page's rate", slowest, slowest >= 0.25, "{:.2f}")
    pays = {pair.what: pair for pair in results.paying}
    if pays:
        slowest = min(pair.rate_ratio for pair in pays.values())
        note("paying request: at least 0.5 of the hand-written view's rate", slowest, slowest >= 0.5, "{:.2f}")
        grown = pays["Pay 6"].rate / pays["Pay 180"].rate
        note("paying 180: at most 3 times the time of 6", grown, grown <= 3, "{:.2f}")
    for pair in results.growth[:1]:
        change = max(pair.cpu_ratio, 1 / pair.rate_ratio) - 1
        note("booking page at 10⁶ reservations: within 10 % of 10⁴", change * 100, change <= 0.10, "{:+.0f} %")
    return found


def _targets(measured: dict[str, Results]) -> Table:
    rows = []
    by_database = {database: targets(results) for database, results in measured.items()}
    for number, target in enumerate(next(iter(by_database.values()))):
        cells = [target.wanted]
        for found in by_database.values():
            if number < len(found):
                cells.append(f"{found[number].measured}{'' if found[number].met else '  NOT MET'}")
            else:
                cells.append("–")
        rows.append(tuple(cells))
    about = "What the shop is held to, and what was measured."
    return Table("Targets", about, ("wanted", *(NAMES[key] for key in measured)), rows)


def write_into(page: Path, machine: str, measured: dict[str, Results]) -> None:
    """Put the tables between the marks of the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    body = "\n\n".join([machine, *(table.markdown() for table in tables(measured))])
    page.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}")
