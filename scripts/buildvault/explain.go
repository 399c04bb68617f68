package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// remedies maps messages of a failed go command to remedies. The go command has no machine-readable errors. The message
// only selects the remedy, and is always printed too.
var remedies = []struct {
	signs  []string
	remedy string
}{
	{
		[]string{"no space left on device", "disk quota exceeded"},
		"the disk is full: free about 5 GB in the directories that `go env GOCACHE GOMODCACHE` prints (`go clean -cache` empties the first), then run `make bin/vault` again",
	},
	{
		[]string{"dial tcp", "no such host", "connection refused", "connection reset", "i/o timeout", "TLS handshake", "proxyconnect", "unexpected EOF", "module lookup disabled", "502 Bad Gateway", "503 Service Unavailable"},
		"the Go module proxy did not answer: check the network and GOPROXY, or install Vault " + oldestUsable.String() + " or later on the PATH, then run `make bin/vault` again",
	},
	{
		[]string{"signal: killed", "cannot allocate memory", "out of memory"},
		"the machine ran out of memory: build one package at a time with `GOFLAGS=-p=1 make bin/vault`",
	},
	{
		[]string{"requires go >=", "requires go1", "toolchain not available"},
		"this Go is too old for the server: install the version in the error",
	},
	{
		[]string{"checksum mismatch", "missing go.sum entry"},
		"the module's checksums do not match: restore scripts/vault/go.sum from the repository, and run `go clean -modcache` if the error remains",
	},
}

// explain returns the error of a failed go command with the step, the reason and the remedy. output is the command's
// standard error.
func explain(ctx context.Context, step string, err error, output string) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: interrupted; no incomplete file remains", step)
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%s: there is no go command on the PATH: install Go (go.mod names the version)", step)
	}
	end := lastLines(output, 15)
	for _, r := range remedies {
		for _, sign := range r.signs {
			if strings.Contains(output, sign) {
				return fmt.Errorf("%s: %w\n%s\n%s", step, err, end, r.remedy)
			}
		}
	}
	return fmt.Errorf("%s: %w\n%s", step, err, end)
}
