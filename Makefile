# Everything a developer runs. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MODULE := github.com/vendorauth/vault-plugin-secrets-vendorauth
BIN := bin

# Vault requires a semantic version of a plugin. A tag is one, and so is the output of `git describe` after a tag.
VERSION ?= $(or $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null),v0.1.0-dev)
LDFLAGS := -s -w -X $(MODULE)/backend.Version=$(VERSION)

GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)

GREMLINS_VERSION := v0.6.0
GREMLINS := $(BIN)/gremlins-$(GREMLINS_VERSION)

# The end-to-end and fault tests need a server and run for minutes, so they are steps of their own.
E2E := ./scripts/e2e/...
FAULTS := ./scripts/faults
UNIT = $$(go list ./... | grep -Ev '/scripts/(e2e|faults)')

##@ Build

.PHONY: build
build: ## Build the plugin and the vendor emulator into bin/
	@echo "==> building $(BIN)/vault-plugin-secrets-vendorauth $(VERSION) and $(BIN)/vendor-emulator"
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/ \
		./cmd/vault-plugin-secrets-vendorauth ./cmd/vendor-emulator

.PHONY: version
version: ## Print the version that the build has
	@echo '$(VERSION)'

# Phony: the builder checks whether the present file is of the right version.
.PHONY: bin/vault
bin/vault: ## Put a Vault server at bin/vault: from the PATH, or else built (minutes, the first time)
	@go run ./scripts/buildvault -out $(BIN)/vault

# The program has the plugin's name, since Vault's catalogue knows the plugin by that name.
.PHONY: bin/faults
bin/faults: ## Build the plugin that the fault tests kill at each step of its work
	@mkdir -p $(BIN)/faults
	@CGO_ENABLED=0 go build -tags failpoints -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/faults/ \
		./cmd/vault-plugin-secrets-vendorauth

.PHONY: bin/nullengine
bin/nullengine: ## Build the engine that the benchmark compares with: it leases a constant
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -o $(BIN)/ ./scripts/bench/nullengine

##@ Try

.PHONY: demo
demo: build bin/vault ## Show issue, use, renewal and revocation for every vendor, on a real Vault server
	@go run ./scripts/demo

.PHONY: dev
dev: build bin/vault ## Start Vault with the plugin, and the vendor emulator, to play with until Ctrl-C
	@go run ./scripts/demo -dev

##@ Check

.PHONY: test
test: build bin/vault bin/faults ## Run all tests: with the race detector, then end to end on a real Vault server
	@scripts/ensure-gcc.sh
	@echo "==> unit and conformance tests with the race detector (the first time, compiling takes a few minutes)"
	@CGO_ENABLED=1 go test -race -timeout 30m $(UNIT)
	@echo "==> end-to-end tests on a real Vault server"
	@go test -count=1 -timeout 30m $(E2E)
	@echo "==> fault tests, a short set (\`make test-faults\` runs all)"
	@go test -count=1 -short -parallel 3 -timeout 10m -v $(FAULTS) | grep --line-buffered -v '^=== '

.PHONY: test-faults
test-faults: build bin/vault bin/faults ## Kill, cut off and mislead everything, and prove that no credential is lost (minutes)
	@go test -count=1 -parallel 3 -timeout 30m -v $(FAULTS) | grep --line-buffered -v '^=== '

.PHONY: test-short
test-short: ## Run the tests that need no server
	@go test -short -timeout 5m $(UNIT)

# BENCHFLAGS: -dir /dev/shm/bench keeps Vault's storage in memory, -out docs/performance writes the published figures.
BENCHFLAGS ?=
.PHONY: bench
bench: build bin/vault bin/nullengine ## Measure reads, renewals and revocations against a null engine (about 25 minutes)
	@go run ./scripts/bench $(BENCHFLAGS)

.PHONY: bench-quick
bench-quick: build bin/vault bin/nullengine ## Measure the most important scenarios only (about two minutes)
	@go run ./scripts/bench -quick $(BENCHFLAGS)

# Go fuzzes one target in each run. It stores an input that fails below testdata/fuzz, where it is a test from then on.
# Sometimes Go reports the end of the fuzzing time as a failure; the recipe ignores that.
FUZZTIME ?= 1m
# How many random sequences of operations the model test runs; `make test` runs fewer.
SEQUENCES ?= 2000
.PHONY: fuzz
fuzz: ## Random sequences of operations, and made-up input for every parser, a minute each (FUZZTIME=10s for less)
	@echo "==> $(SEQUENCES) random sequences against the model of a config (backend/model_test.go)"
	@go test -count=1 -timeout 30m ./backend -run '^TestModel_' -args -model.sequences=$(SEQUENCES)
	@log="$$(mktemp)"; trap 'rm -f "$$log"' EXIT; \
	for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' backend | sort); do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
			echo "==> $$target in $$(dirname "$$file"), $(FUZZTIME)"; \
			go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' 2>&1 | tee "$$log" || \
				{ grep -q 'context deadline exceeded' "$$log" && ! grep -qE 'Failing input|panic:' "$$log"; } || exit 1; \
		done; \
	done

# PACKAGES: one or more packages, such as backend/ledger. WORKERS: mutants tested at the same time.
PACKAGES ?=
WORKERS ?= 1
.PHONY: mutation
mutation: $(GREMLINS) ## Change one operator at a time and expect the package's tests to fail (hours; PACKAGES=backend/ledger for one)
	@mkdir -p $(BIN) && go build -o $(BIN)/mutation-test ./scripts/mutation
	@nice -n 15 $(BIN)/mutation-test -gremlins $(GREMLINS) -workers $(WORKERS) $(PACKAGES)

.PHONY: lint
lint: $(GOLANGCI) ## Check formatting, go.mod, imports, lengths, words and the linter's rules
	@echo "==> gofmt"
	@unformatted="$$(gofmt -l backend cmd scripts)"; \
		if [[ -n "$$unformatted" ]]; then echo "not formatted (run \`make fmt\`):" $$unformatted >&2; exit 1; fi
	@echo "==> go mod tidy"
	@go mod tidy -diff || { echo "go.mod or go.sum is not tidy: run \`go mod tidy\`" >&2; exit 1; }
	@echo "==> imports between packages"
	@go test ./scripts/lint
	@echo "==> length of files, names of tests, vocabulary"
	@go run ./scripts/lint
	@echo "==> golangci-lint"
	@$(GOLANGCI) run ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## Format all Go code
	@$(GOLANGCI) fmt ./...

# One version, so that the findings are the same on every machine.
$(GOLANGCI):
	@echo "==> installing golangci-lint $(GOLANGCI_VERSION) into $(BIN)/ (a minute or two)"
	@mkdir -p $(BIN)/install
	@GOBIN=$(abspath $(BIN)/install) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(BIN)/install/golangci-lint $@ && rmdir $(BIN)/install

$(GREMLINS):
	@echo "==> installing gremlins $(GREMLINS_VERSION) into $(BIN)/ (a minute)"
	@mkdir -p $(BIN)/install
	@GOBIN=$(abspath $(BIN)/install) go install github.com/go-gremlins/gremlins/cmd/gremlins@$(GREMLINS_VERSION)
	@mv $(BIN)/install/gremlins $@ && rmdir $(BIN)/install

##@ Other

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf $(BIN) dist

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z\/-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
