# `make help` lists the targets. Building needs Go alone; every further tool is
# pinned in tools/go.mod and tools/lint/go.mod and run by `go tool`.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
LINT := $(GO) tool -modfile=tools/lint/go.mod golangci-lint
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 30s
KILLS ?= 1000
# What soak does, for less of it: make soak CHAOS=100 POINTS=1000 KILLS=20
# MEMORY=134217728 SEEDS=1000 SOAKFUZZ=1s BUGS="-only 1,2"
CHAOS ?= 10000
POINTS ?= 100000
MEMORY ?= 4294967296
SEEDS ?= 1000000
SOAKFUZZ ?= 10m

# The race detector needs cgo and a C compiler; a machine without one tests
# without it and says so.
CC_FOUND := $(shell [ "$$($(GO) env CGO_ENABLED)" = 1 ] && command -v $$($(GO) env CC) 2>/dev/null)
RACE := $(if $(CC_FOUND),-race)

##@ Everyday

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/tracker, bin/peerd, bin/ddm-client: static, with version
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/tracker ./cmd/peerd ./cmd/ddm-client

.PHONY: demo
demo: ## Show a whole download on this machine (URL=... downloads that URL)
	$(GO) run ./test/demo $(if $(URL),-url "$$URL")
export URL

.PHONY: test
test: test-unit test-lab test-docker ## Test everything that this machine allows

.PHONY: test-unit
test-unit: ## Test what needs neither root nor a network
	$(if $(RACE),,@echo "SKIPPED: the race detector, which needs cgo and a C compiler")
	$(GO) vet ./...
	DDM_CHAOS_SEEDS=$${DDM_CHAOS_SEEDS:-300} $(GO) test $(RACE) -timeout 20m ./...

.PHONY: test-lab
test-lab: ## Test whole systems on network namespaces (root)
	@if [ "$$(uname -s)" != Linux ]; then echo "SKIPPED: test/lab: network namespaces are Linux's"; \
	elif [ "$$(id -u)" != 0 ]; then echo "SKIPPED: test/lab: needs root for network namespaces"; \
	elif ! command -v ip >/dev/null; then echo "SKIPPED: test/lab: needs the program ip (iproute2)"; \
	elif ! ip netns add "ddm-try-$$$$" 2>/dev/null; then echo "SKIPPED: test/lab: this machine does not let root make network namespaces"; \
	else ip netns del "ddm-try-$$$$"; set -x; DDM_LAB=correctness $(GO) test -tags lab -count=1 -timeout 8m ./test/lab/...; fi

.PHONY: test-docker
test-docker: ## Test the container images (a Docker engine)
	@if ! command -v docker >/dev/null; then echo "SKIPPED: test/docker: there is no program docker"; \
	elif ! docker info >/dev/null 2>&1; then echo "SKIPPED: test/docker: no Docker engine answers"; \
	else set -x; $(GO) test -tags docker -count=1 -timeout 8m ./test/docker/...; fi

##@ Before a commit

.PHONY: lint
lint: check-format check-generate ## Check style, imports between packages, and the protocol
	$(GO) vet ./...
	$(LINT) config verify
	$(LINT) run ./...
	$(TOOL) buf lint
	$(TOOL) buf format -d --exit-code
	@if git rev-parse -q --verify main:proto >/dev/null 2>&1; then set -x; $(TOOL) buf breaking --against '.git#branch=main'; \
	else echo "SKIPPED: buf breaking: no branch main with a protocol here"; fi

.PHONY: check-format
check-format:
	@out=$$(git ls-files -co --exclude-standard -- '*.go' | grep -v '\.pb\.go$$' | xargs -r $(TOOL) gofumpt -l -extra=group_params); \
	if [ -n "$$out" ]; then printf 'not formatted (make format):\n%s\n' "$$out"; exit 1; fi

.PHONY: format
format: ## Format all code
	git ls-files -co --exclude-standard -- '*.go' | grep -v '\.pb\.go$$' | xargs -r $(TOOL) gofumpt -w -extra=group_params
	$(TOOL) buf format -w

.PHONY: generate
generate: ## Generate the code of proto/ anew
	$(TOOL) buf generate

.PHONY: check-generate
check-generate:
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; $(TOOL) buf generate -o "$$tmp"; \
	for f in "$$tmp"/proto/ddm/v1/*.go; do \
	diff -q "$$f" "proto/ddm/v1/$$(basename "$$f")" >/dev/null || { echo "proto/ddm/v1/$$(basename "$$f") is not current: make generate"; exit 1; }; done

.PHONY: vuln
vuln: ## Look for known vulnerabilities (asks vuln.go.dev)
	$(TOOL) govulncheck ./...

##@ Measuring and endurance

.PHONY: bench
bench: ## Measure the programs beside curl, aria2, axel, wget2 (root); BENCH="-only 1,7" for less
	$(GO) run ./test/bench $(BENCH)

.PHONY: microbench
microbench: ## Run the benchmarks of single packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: lab
lab: ## Judge the figures on network namespaces (root) and print the table
	DDM_LAB=figures $(GO) test -tags lab -v -count=1 -timeout 60m ./test/lab/...

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (30s)
	@for pkg in $$($(GO) list ./...); do \
	for target in $$($(GO) test -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
	echo "== $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$pkg"; done; done

.PHONY: kill
kill: ## Kill the real client KILLS (1000) times; every file must be right
	DDM_KILLS=$(KILLS) $(GO) test -count=1 -v -timeout 0 ./test/crash/... | grep -v '^=== '

.PHONY: interop
interop: ## Download from nginx, Apache, lighttpd, Python (root installs them)
	@missing=(); for p in nginx apache2 lighttpd curl python3; do PATH="$$PATH:/usr/sbin" command -v "$$p" >/dev/null || missing+=("$$p"); done; \
	if [ "$${#missing[@]}" -gt 0 ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -q; DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$${missing[@]}"; fi
	DDM_INTEROP=all $(GO) test -count=1 -v ./test/interop/... | grep -v '^=== '

.PHONY: planted
planted: ## Break the code in a hundred ways; a test must notice each
	$(GO) run ./test/planted $(BUGS)

.PHONY: soak
soak: ## The long forms: chaos, power cuts, kills, 4 GiB, planted bugs, a million seeds, hours of fuzzing
	@echo "== soak, about 11 hours on two cores that do nothing else; from $$(date +%T)"
	@echo "== $(CHAOS) chaotic downloads of the real engines, 0 corrupt, lost, mixed or stuck: 15 minutes for 10000; from $$(date +%T)"
	DDM_CHAOS_SEEDS=$(CHAOS) $(GO) test -count=1 -timeout 0 -run '^TestChaos$$' ./test/system
	@echo "== 1000 small LANs of all kinds, hardly a byte twice: 10 minutes; from $$(date +%T)"
	DDM_DUPLICATE_SEEDS=1000 $(GO) test -count=1 -timeout 0 -run '^TestDuplicates$$' ./test/system
	@echo "== $(POINTS) crash points of the write protocol, 0 bad: 2 minutes for 100000; from $$(date +%T)"
	DDM_CRASH_POINTS=$(POINTS) $(GO) test -count=1 -timeout 0 ./internal/partfile/...
	@echo "== $(KILLS) kills of the real client, every file right: 10 minutes for 1000; from $$(date +%T)"
	$(MAKE) kill
	@echo "== real web servers in all their settings: 5 minutes; from $$(date +%T)"
	$(MAKE) interop
	@echo "== $(MEMORY) bytes in 128 MiB of memory: 15 minutes for 4 GiB; from $$(date +%T)"
	DDM_MEMORY_SIZE=$(MEMORY) $(GO) test -count=1 -v -timeout 1h ./test/memory/... | grep -v '^=== '
	@echo "== planted bugs, every one caught: an hour; from $$(date +%T)"
	$(MAKE) planted
	@echo "== $(SEEDS) simulated downloads of the scheduler: 3 hours for a million; from $$(date +%T)"
	DDM_SIM_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 0 ./client/schedule/...
	@echo "== every fuzz target for $(SOAKFUZZ), 0 crashes: 6 hours for 10m; from $$(date +%T)"
	$(MAKE) fuzz FUZZTIME=$(SOAKFUZZ)
	@echo "== soak is done; $$(date +%T)"

##@ Containers

.PHONY: docker
docker: ## Build the images and run a tracker, peers and a download in containers
	$(GO) run ./test/docker up

.PHONY: clean
clean: ## Remove what build made
	rm -rf bin
