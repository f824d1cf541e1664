"""`make test`: every check and test, one after the other, and a recapitulation at the end.

Each step runs even when an earlier one failed; the exit code is 0 only when all of them passed. Names of
steps given as arguments run those alone: `bin/test.py format lint sqlite`.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
SUMMARY = re.compile(r"^=+ .*\b(passed|failed|errors?|no tests ran|skipped|deselected)\b.* in [0-9.]+s.* =+$")
# What a person has set for a shop of their own must not change the tests.
OWN_SETTINGS = re.compile(
    r"^(SHOP_|STRIPE_|SANDBOX_|SMTP_|SECRET_|DATA_KEYS$|BASE_URL$|SITE_NAME$|MAIL_FROM$|TRUSTED_HOSTS$|PROXY_COUNT$"
    r"|LIMITER_URL$|HOST$|PORT$|WEB_CONCURRENCY$)"
)


@dataclass(frozen=True)
class Step:
    """A command with its name; `database` is set for pytest runs."""

    name: str
    command: tuple[str, ...]
    database: str | None = None


@dataclass
class Outcome:
    """How a step went."""

    step: Step
    passed: bool
    seconds: float
    summary: str | None = None


def tests(name: str, database: str, marks: str, workers: int, *options: str) -> Step:
    """A pytest run."""
    spread = ("-n", str(workers), *options) if workers else ()
    return Step(name, ("pytest", f"--database={database}", "-m", marks, *spread), database)


def steps() -> list[Step]:
    """Everything, in order. Races run alone, so that they have the processors to themselves."""
    workers = min(os.cpu_count() or 1, 4)
    return [
        Step("format", ("ruff", "format", "--check", ".")),
        Step("lint", ("ruff", "check", ".")),
        Step("types", ("mypy", ".")),
        Step("imports", ("lint-imports", "--no-logo")),
        Step("templates", ("djlint", "--lint", "--quiet", "templates")),
        tests("sqlite", "sqlite", "not browser and not race", workers, "--dist=worksteal"),
        tests("postgresql", "postgresql", "not browser and not race", workers, "--dist=worksteal"),
        tests("races-sqlite", "sqlite", "race and not browser", 0),
        tests("races-postgresql", "postgresql", "race and not browser", 0),
        # Two browsers at most; tests/browser/conftest.py says which tests stay together.
        tests("browser", "sqlite", "browser", min(workers, 2), "--dist=loadgroup"),
    ]


def environment(step: Step) -> dict[str, str]:
    """Our environment without the settings of a shop; DATABASE_URL is for the PostgreSQL tests alone."""
    kept = {name: value for name, value in os.environ.items() if not OWN_SETTINGS.match(name)}
    if step.database != "postgresql":
        kept.pop("DATABASE_URL", None)
    # Two dozen processes import the same modules: they are compiled once, not by each.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    path = os.pathsep.join([str(BIN), kept.get("PATH", os.defpath)])
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1"}


def run(step: Step) -> Outcome:
    """Run one step, showing its output as it comes."""
    print(f"\n### {step.name}: {' '.join(step.command)}", flush=True)
    started, summary = time.monotonic(), None
    with subprocess.Popen(
        [BIN / step.command[0], *step.command[1:]],
        cwd=ROOT,
        env=environment(step),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if SUMMARY.match(line.rstrip()):
                summary = line.rstrip()
    return Outcome(step, process.returncode == 0, time.monotonic() - started, summary)


def find_browser() -> str | None:
    """The Chromium to drive: `CHROMIUM`, or the machine's; as root we install it when it is missing."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found or os.geteuid() != 0 or not shutil.which("apt-get"):
        return found
    print("\n### installing chromium through apt", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", *command], env=quiet, stdin=subprocess.DEVNULL, check=False)
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main(names: list[str]) -> int:
    """Run the steps of these names, or all of them, and say how they went."""
    wanted = [step for step in steps() if not names or step.name in names]
    unknown = set(names) - {step.name for step in wanted}
    if unknown:
        print(f"No such step: {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    browser_missing = False
    if any(step.name == "browser" for step in wanted):
        browser = find_browser()
        if browser:
            os.environ["CHROMIUM"] = browser
        else:
            browser_missing = True
            wanted = [step for step in wanted if step.name != "browser"]
    outcomes = [run(step) for step in wanted]
    recapitulate(outcomes)
    if browser_missing:
        print(
            "\n!!! THE BROWSER TESTS DID NOT RUN: there is no Chromium here, and it could not be installed."
            "\n!!! Please run: sudo apt install chromium  (or name one: CHROMIUM=/path/to/chromium make test)"
        )
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def recapitulate(outcomes: list[Outcome]) -> None:
    """The last lines: every step with its time, then pytest's own last line of every run."""
    print("\n### in short")
    for outcome in outcomes:
        print(f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.step.name:<17} {outcome.seconds:6.1f} s")
    for outcome in outcomes:
        if outcome.step.database:
            print(f"\n{outcome.step.name} (database: {outcome.step.database})")
            print(outcome.summary or "pytest gave no summary: see above")
    print(f"\n{sum(outcome.seconds for outcome in outcomes):.0f} s in all", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
