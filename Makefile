# `make` lists the targets. Needs Go 1.26, git, make, and for the tests npm
# and a C compiler. Progress goes to standard error: what a target has to say on
# standard output is the program's own.

ARGS   ?=
ROUNDS ?= 20
CHECKS ?= 20000
ONLY   ?=
OUT    ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LINT    := bin/golangci-lint
LINT_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slipway/lint
# Pure packages whose properties are checked at random.
PURE    := ./gate ./deployer ./pools ./dispatcher ./internal/change

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: bin/slipway ## start a server: make run ARGS="--config slipway.yaml"
	@exec bin/slipway serve $(ARGS)

demo: bin/slipway servers ## watch it work on real servers: make demo ARGS="--once --scenario all"
	@exec bin/slipway demo $(ARGS)

# The end-to-end tests mostly wait, so they begin first, and more packages run at
# once than there are cores. The linter vets, so nothing else has to; without
# their paths, packages that were compiled in another clone need not be again.
# SQLite itself, C that was translated, is not watched for races here: that alone
# costs as much as all the store's tests, and a soak watches it.
test: servers lint ## everything that must hold, as CI runs it
	go test -race -gcflags=modernc.org/sqlite/lib=-race=0 -shuffle=on -vet=off -trimpath -timeout 45m -p 3 ./test/e2e ./...

soak: servers ## the long repetitions: make soak ROUNDS=20 CHECKS=20000
	go test -timeout 2h $(PURE) -rapid.checks=$(CHECKS)
	SLIPWAY_SOAK=$(ROUNDS) go test -race -count=1 -timeout 2h -run TestRealGitea/Acts ./internal/forge/gitea
	SLIPWAY_SOAK=$(ROUNDS) go test -race -timeout 6h -run Soak -v ./test/e2e
	SLIPWAY_SOAK=$(ROUNDS) go test -count=1 -timeout 6h -v ./test/dispatch

bench: servers ## measure against references: make bench ONLY=B1,B5 OUT=bench.json
	@go run ./test/bench -only '$(ONLY)' -out '$(OUT)'

# What another clone found well is well here too, and need not be looked at
# again. Where something is not, the shared cache may answer with that clone's
# paths: then a cache of this clone's own says where.
lint: $(LINT) ## look for mistakes, the floors, and what gofmt would change
	@GOWORK=off GOLANGCI_LINT_CACHE='$(LINT_CACHE)' $(LINT) run ./... >/dev/null 2>&1 || \
		GOWORK=off GOLANGCI_LINT_CACHE='$(CURDIR)/bin/lint-cache' $(LINT) run ./...

fmt: ## write every Go file as gofmt would
	gofmt -l -w .

docs: ## see that every link in the documents leads somewhere
	go test -count=1 -run TestEveryLinkLeadsSomewhere ./test

servers: ## build the real servers for tests and demo, once, into a cache
	@go run ./test/servers/cmd/servers >&2

clean: ## remove what was built here; the cache of the servers stays
	rm -rf bin dist
	find . -type d -path '*/testdata/rapid' -prune -exec rm -rf {} +

# The go command knows best whether anything changed.
bin/slipway: FORCE
	@go build -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o $@ ./cmd/slipway

$(LINT): test/tools/lint/go.mod test/tools/lint/go.sum
	@echo 'building golangci-lint (about 2 minutes the first time)' >&2
	@cd test/tools/lint && CGO_ENABLED=0 GOFLAGS= GOWORK=off go build -buildvcs=false -o ../../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

FORCE:

.PHONY: help run demo test soak bench lint fmt docs servers clean FORCE
