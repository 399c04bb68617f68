package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// remedies maps what the go command says when it fails to what the reader can do. The go command
// has no machine-readable reasons, so its words are all there is to go by; they only choose the
// advice, the words themselves are always shown too.
var remedies = []struct {
	signs  []string
	remedy string
}{
	{
		[]string{"no space left on device", "disk quota exceeded"},
		"the disk is full: free about 5 GB where `go env GOCACHE GOMODCACHE` points (`go clean -cache` empties the first), then run `make bin/vault` again",
	},
	{
		[]string{"dial tcp", "no such host", "connection refused", "connection reset", "i/o timeout", "TLS handshake", "proxyconnect", "unexpected EOF", "module lookup disabled", "502 Bad Gateway", "503 Service Unavailable"},
		"the Go module proxy did not answer: check the network and GOPROXY, or put a Vault of " + oldestUsable.String() + " or later on the PATH, then run `make bin/vault` again",
	},
	{
		[]string{"signal: killed", "cannot allocate memory", "out of memory"},
		"the machine ran out of memory: build one package at a time with `GOFLAGS=-p=1 make bin/vault`",
	},
	{
		[]string{"requires go >=", "requires go1", "toolchain not available"},
		"this Go is too old for the server: install the version that the error names",
	},
	{
		[]string{"checksum mismatch", "missing go.sum entry"},
		"the module's checksums do not fit: restore scripts/vault/go.sum from the repository, and run `go clean -modcache` if that does not help",
	},
}

// explain turns the failure of a go command into an error that names the step, the reason and the
// remedy. output is what the command wrote to its standard error.
func explain(ctx context.Context, step string, err error, output string) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: interrupted; nothing was left half-written", step)
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s: there is no go command on the PATH: install Go first (go.mod names the version)", step)
	}
	said := lastLines(output, 15)
	for _, r := range remedies {
		for _, sign := range r.signs {
			if strings.Contains(output, sign) {
				return fmt.Errorf("%s: %w\n%s\n%s", step, err, said, r.remedy)
			}
		}
	}
	return fmt.Errorf("%s: %w\n%s", step, err, said)
}
