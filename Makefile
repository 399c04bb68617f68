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

# The end-to-end tests need a server and run for minutes, so they are a step of their own.
E2E := ./scripts/e2e/...
UNIT = $$(go list ./... | grep -v '/scripts/e2e')

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

##@ Try

.PHONY: demo
demo: build bin/vault ## Show issue, use, renewal and revocation for every vendor, on a real Vault server
	@go run ./scripts/demo

.PHONY: dev
dev: build bin/vault ## Start Vault with the plugin, and the vendor emulator, to play with until Ctrl-C
	@go run ./scripts/demo -dev

##@ Check

.PHONY: test
test: build bin/vault ## Run all tests: with the race detector, then end to end on a real Vault server
	@scripts/ensure-gcc.sh
	@echo "==> unit and conformance tests with the race detector (the first time, compiling takes a few minutes)"
	@CGO_ENABLED=1 go test -race -timeout 15m $(UNIT)
	@echo "==> end-to-end tests on a real Vault server"
	@go test -count=1 -timeout 30m $(E2E)

.PHONY: test-short
test-short: ## Run the tests that need no server
	@go test -short -timeout 5m $(UNIT)

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
