# Everything a developer runs. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MODULE := github.com/vendorauth/vault-plugin-secrets-vendorauth
BIN := bin

# Vault wants a plugin's version to be a semantic one, which a tag or `git describe` after a tag is.
VERSION ?= $(or $(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null),v0.1.0-dev)
LDFLAGS := -s -w -X $(MODULE)/backend.Version=$(VERSION)

GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)

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

# Not a file target: the builder itself knows whether what is there will do.
.PHONY: bin/vault
bin/vault: ## Put a Vault server at bin/vault: from the PATH, or else built (minutes, the first time)
	@go run ./scripts/buildvault -out $(BIN)/vault

# Under the same name as the plugin, since Vault's catalogue knows it by that.
.PHONY: bin/faults
bin/faults: ## Build the plugin that the fault tests kill at each step of its work
	@mkdir -p $(BIN)/faults
	@CGO_ENABLED=0 go build -tags failpoints -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/faults/ \
		./cmd/vault-plugin-secrets-vendorauth

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
	@CGO_ENABLED=1 go test -race -timeout 15m $(UNIT)
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

# Go fuzzes one target a run. What breaks a target is kept below its testdata/fuzz, and is a test from then on.
# Now and then Go takes the end of the time itself for a failure, which is none.
FUZZTIME ?= 1m
.PHONY: fuzz
fuzz: ## Feed made-up answers and requests to every parser, a minute each (FUZZTIME=10s for less)
	@log="$$(mktemp)"; trap 'rm -f "$$log"' EXIT; \
	for file in $$(grep -rlE '^func Fuzz' --include='*_test.go' backend | sort); do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
			echo "==> $$target in $$(dirname "$$file"), $(FUZZTIME)"; \
			go test "./$$(dirname "$$file")" -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' 2>&1 | tee "$$log" || \
				{ grep -q 'context deadline exceeded' "$$log" && ! grep -qE 'Failing input|panic:' "$$log"; } || exit 1; \
		done; \
	done

.PHONY: lint
lint: $(GOLANGCI) ## Check formatting, go.mod and the linters' rules
	@echo "==> gofmt"
	@unformatted="$$(gofmt -l backend cmd scripts)"; \
		if [[ -n "$$unformatted" ]]; then echo "not formatted (run \`make fmt\`):" $$unformatted >&2; exit 1; fi
	@echo "==> go mod tidy"
	@go mod tidy -diff || { echo "go.mod or go.sum is not tidy: run \`go mod tidy\`" >&2; exit 1; }
	@echo "==> golangci-lint"
	@$(GOLANGCI) run ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## Format all Go code
	@$(GOLANGCI) fmt ./...

# Installed beside the other programs, and at one version, so that everybody gets the same findings.
$(GOLANGCI):
	@echo "==> installing golangci-lint $(GOLANGCI_VERSION) into $(BIN)/ (a minute or two)"
	@mkdir -p $(BIN)/install
	@GOBIN=$(abspath $(BIN)/install) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(BIN)/install/golangci-lint $@ && rmdir $(BIN)/install

##@ Other

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf $(BIN) dist

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z\/-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
