# Everything here needs only Python 3.11, 3.12 or 3.13 and pip; the rest installs itself into .venv from uv.lock.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
READY := .venv/.ready
SQL := $(shell find hr_centra_pipeline -name '*.sql' -not -path '*/migrations/*')
# Three workers on two cores: tests wait for servers and processes part of their time. They commit to hundreds of small
# databases: where there is room in memory, they are kept there.
IN_MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 { print "PYTEST_DEBUG_TEMPROOT=/dev/shm" }')

.PHONY: demo test dev slow bench soak torture truth fuzz inbox vendors lineage format clean

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "$$($(PYTHON) -V) cannot run hr-centra: it needs Python 3.11, 3.12 or 3.13. Name one: make PYTHON=python3.13"; exit 1; }
	@test -x $(BIN)/python || echo "Setting up: Python environment in .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(UV) || echo "Setting up: the installer uv …"
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@echo "Setting up: packages of uv.lock (minutes the first time, seconds later) …"
	@VIRTUAL_ENV=$(CURDIR)/.venv $(UV) sync --frozen --inexact --quiet --compile-bytecode
	@touch $(READY)

demo: $(READY)  ## the main job on the embedded sandbox, ending on one screen of results
	@$(BIN)/hr-centra demo

dev: $(READY)  ## the Dagster UI on the sandbox, on loopback only
	@$(BIN)/hr-centra dev

test: $(READY)  ## format check, lint, import rules, strict types, lineage, layout of the SQL, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m hr_centra_pipeline.warehouse.parse_sql --check
	$(BIN)/sqlfluff lint --processes 2 $(SQL)
	$(BIN)/dg check defs
	$(IN_MEMORY) $(BIN)/pytest -n 3 --dist worksteal -m "not slow"

slow: $(READY)  ## the tests that `make test` leaves out: broken senders in the chaos run, random years
	$(IN_MEMORY) $(BIN)/pytest -n 2 --dist worksteal -m slow

bench: $(READY)  ## ratios measured side by side in one run
	$(BIN)/python -m hr_centra_pipeline_tests.bench

soak: $(READY)  ## 72 hours of a shop, an hour each minute: real daemon, schedule, sensors and Postgres, outages of everything
	$(BIN)/python -u -m hr_centra_pipeline_tests.soak $(SOAK)

torture: $(READY)  ## 1,000 kills and faults in the middle of sending, people too; then the sandbox's records against what was planted; by files, and by events
	$(BIN)/python -u -m hr_centra_pipeline_tests.torture $(TORTURE)

truth: $(READY)  ## five shops simulated for twelve months each, closed month by month; the tables against what follows from what happened
	$(BIN)/python -u -m hr_centra_pipeline_tests.truth $(TRUTH)

fuzz: $(READY)  ## 200,000 files, rows, policies and answers changed at random; what happened to each, and whether one escaped
	$(BIN)/python -u -m hr_centra_pipeline_tests.fuzz $(FUZZ)

inbox: $(READY)  ## 1,000 webhook deliveries a second for a minute; kills, a full disk, a restarted PostgreSQL; needs wrk
	$(BIN)/python -u -m hr_centra_pipeline_tests.inbox $(INBOX)

vendors: $(READY)  ## docs/vendors.md from the ledger of assumptions
	$(BIN)/python -m hr_centra_pipeline.sources.centra.vendors_page > docs/vendors.md.new
	mv docs/vendors.md.new docs/vendors.md

lineage: $(READY)  ## warehouse/lineage.jsonl: what each SQL model reads and makes, parsed from the SQL
	$(BIN)/python -m hr_centra_pipeline.warehouse.parse_sql

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix --processes 2 $(SQL)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
