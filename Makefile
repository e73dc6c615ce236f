# `make` lists what there is.
.PHONY: help demo demo-down install apply vagrant-image watch secrets-init secret secret-drop secrets-check secrets-rekey \
    setup lint unit render integration labs labtest matrix test bench lock

PYTEST = .venv/bin/python -m pytest
# Tests with a lab of their own, and few users.
LABS = $(addprefix tests/lab/test_,environments.py one_server.py pull.py vagrant.py)
MATRIX = deploy.py processes.py pull.py recovery.py servers.py skip.py vagrant.py
# Debian's own, which sees what apt-get installs
LAB = /usr/bin/python3 -m lab
# Salt 3008 imports what Python 3.11 warns of.
SALT_CALL = PYTHONWARNINGS=ignore::DeprecationWarning salt-call
# A Python that has PyYAML: the tests', on a master Salt's own, or the system's
SECRETS = $(firstword $(wildcard .venv/bin/python /opt/salt/bin/python /opt/saltstack/salt/bin/python3) python3) bin/secrets
SECRETS += $(if $(PILLAR),--pillar '$(PILLAR)')

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand --tabs=14

demo: ## many real hosts on this machine, serving the example project (Linux, root)
	@$(LAB) demo

demo-down: ## end the demo
	@$(LAB) down

install: ## one server without a master: Salt in /opt/salt (root) [HOST=its name in hosts.yaml] [PILLAR=/folder]
	@PILLAR='$(PILLAR)' bin/install '$(HOST)'

apply: ## bring this server to what its pillar says (root); TEST=1 shows what would change
# What is wrong with the pillar, as sentences: a state run would show Salt's own traceback.
	@$(SALT_CALL) --log-level=quiet apps.hosted >/dev/null
	@bin/apply $(if $(TEST),test=True)

vagrant-image: ## for Vagrant's docker provider: its image (Linux, root)
	@$(LAB) vagrant-image

watch: ## with Vagrant: deploy whenever a file of an app's working copy changes: APP=shop [SOURCE=/folder]
	@bin/watch '$(APP)' '$(SOURCE)'

secrets-init: ## make the key of the pillar's secrets (on the master, root); PILLAR=/folder for another pillar
	@$(SECRETS) init

secret: ## set one: APP=shop KEY=SECRET_KEY [GENERATE=50] [ROTATE=1]; asked for, or read from a file by <
	@$(SECRETS) set '$(APP)' '$(KEY)' $(if $(GENERATE),--generate '$(GENERATE)') $(if $(ROTATE),--rotate)

secret-drop: ## after a rotation take the old values of one out: APP=shop KEY=SECRET_KEY
	@$(SECRETS) drop '$(APP)' '$(KEY)'

secrets-check: ## nothing in clear, nothing missing, nothing unused
	@$(SECRETS) check

secrets-rekey: ## encrypt all of them for a new key (on the master, root)
	@$(SECRETS) rekey

setup: ## install what the tests need
	@bin/setup

lint: setup ## ruff: rules and format; the secrets
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	@$(SECRETS) check

unit: setup ## pure Python
	$(PYTEST) --timeout=60 tests/unit

render: setup ## every SLS file, for several inventories
	$(PYTEST) tests/render

integration: setup ## real Salt, Supervisor and PostgreSQL, no lab
# Two masters at once; who is done first takes over tests of the other, so that both end together.
	$(PYTEST) -n 2 --dist worksteal --durations=20 tests/integration

labs: setup ## small ones: one server without a master, hosts that pull, staging, `vagrant up` (root)
	$(PYTEST) --durations=20 $(LABS)

labtest: setup ## real hosts with real traffic (root)
	$(PYTEST) --durations=20 $(LABS:%=--ignore=%) tests/lab

test: setup ## all of them
	@$(MAKE) lint
# The lab measures what users feel: nothing else is at work then. These do not mind each other.
	@$(MAKE) --jobs=2 --output-sync=target integration labs unit render
	@$(MAKE) labtest

matrix: setup ## every system, server, process manager, broken release and way in which a deploy is cut short (root, long)
	SLIPWAY_MATRIX=1 $(PYTEST) tests/integration/test_rotation.py tests/integration/test_restores.py
	SLIPWAY_MATRIX=1 $(PYTEST) -s $(addprefix tests/lab/test_,$(MATRIX))
# The other systems.
	for suite in trixie jammy noble; do \
	    SLIPWAY_LAB_SUITE=$$suite $(PYTEST) tests/lab/test_one_server.py tests/lab/test_converge.py || exit; done

bench: setup ## what it costs, measured in a lab (Linux, root)
	python3 bench/highstate.py
	python3 bench/deploy.py
	python3 bench/lab.py --cold
	.venv/bin/python bench/servers.py

lock: setup ## write requirements/test.txt and salt.txt anew
	.venv/bin/uv pip compile --quiet --upgrade --no-annotate --no-header \
	    --overrides requirements/overrides.txt --output-file requirements/test.txt requirements/test.in
# The versions that are tested, wherever another Python does not want others.
	cp requirements/test.txt requirements/salt.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
	    --overrides requirements/overrides.txt --output-file requirements/salt.txt requirements/salt.in
