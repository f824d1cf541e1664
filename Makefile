# Cantine Facile. `make run` starts the shop, `make test` runs every check and test.
.DEFAULT_GOAL := help
.PHONY: help run test check bench screenshots format lock coverage clean setup

help: ## Say what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

run: ## Start the shop with its demo town on http://localhost:5000 (PORT and HOST change the address)
	@bin/setup run
	@exec .venv/bin/python bin/run.py

setup: ## Install everything that the checks and tests need, without running them
	@bin/setup dev

test: setup ## Run every check and test, on SQLite and on PostgreSQL, and in the browser
	@exec .venv/bin/python bin/test.py

check: setup ## Run the checks that take seconds: format, lint, types, imports, templates
	@exec .venv/bin/python bin/test.py format lint types imports templates

coverage: setup ## Run the tests on SQLite and list the lines that they miss
	@.venv/bin/coverage run -m pytest -q -m "not browser and not race"
	@.venv/bin/coverage report

bench: setup ## Measure statements, CPU, rates and growth on both databases
	@exec .venv/bin/python -m bench

screenshots: setup ## Take the pictures of every page, at both widths
	@exec .venv/bin/python -m bin.screenshots

format: setup ## Put the code into its form
	@.venv/bin/ruff check --fix --quiet .; .venv/bin/ruff format .

# One universal lock: every platform, Python 3.11 and newer, with the hashes of the files. `make lock UPGRADE=1` takes
# the newest versions. No configuration of the machine may leak into it.
LOCK = .venv/bin/uv --no-config pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)

lock: setup ## Pin the dependencies of requirements.in and requirements-dev.in, with their hashes
	@$(LOCK) requirements.in --output-file requirements.txt
	@$(LOCK) requirements-dev.in --output-file requirements-dev.txt
	@for file in requirements.txt requirements-dev.txt; do \
		{ echo '# Written by `make lock`; do not edit.'; cat $$file; } > $$file.new && mv $$file.new $$file; done

clean: ## Remove the virtual environment and every cache (never the database in var/)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
