# Everything that a developer or the CI does with this tree. `make help` lists it.
# The work is in scripts/; they are called from here and from nowhere else.

.DEFAULT_GOAL := help
.PHONY: help build run test test-long check gen bench cluster cluster-up

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/reprise-standalone, bin/reprise-<role>, bin/reprise, bin/reprisectl
	@scripts/build

run: ## build and start the standalone server (data in ./reprise-data)
	@scripts/build standalone reprise
	@exec bin/reprise-standalone

cluster: ## three nodes with all roles on loopback, until Ctrl-C (data in ./reprise-cluster)
	@scripts/build standalone reprise reprisectl
	@exec bin/reprise-standalone --nodes 3

cluster-up: ## the five daemons as eight processes on loopback, until Ctrl-C
	@scripts/build
	@exec scripts/cluster-up

test: ## unit tests, end-to-end, crash (3 kills) and conformance tests, five minutes of faults and histories
	@scripts/test

test-long: ## what takes longer than CI may: 20 kills of each process, all set-ups of the conformance suite, half an hour of faults, failover, the reference server beside ours, repeats, fuzzing
	@scripts/test-long

check: ## format, lint, house rules, generated code, unit tests with the race detector
	@scripts/check

gen: ## generate code from api/*.proto, and docs/configuration.md
	@scripts/gen

bench: ## a two-minute measurement of a standalone server
	@scripts/bench
