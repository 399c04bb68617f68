// Command vendor-emulator serves emulations of all vendors' authentication APIs on loopback, for the demo, for
// tests and for trials. Package backend/emulator describes the control API of the running command.
//
//	vendor-emulator -state state.json [-listen 127.0.0.1] [-plain-http] [-seed N] [-latency 100ms]
//
// It writes the state file once it accepts connections. On SIGTERM or SIGINT it deletes the file and stops.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	default:
		fmt.Fprintln(os.Stderr, "vendor-emulator:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It returns an error if it cannot start, or cannot stop cleanly.
func run(ctx context.Context, args []string, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("vendor-emulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	state := flags.String("state", "", "file to write addresses and root `credentials` to (required)")
	listen := flags.String("listen", "127.0.0.1", "loopback `address` to listen on; every server gets a free port")
	plain := flags.Bool("plain-http", false, "serve the vendors over http, without TLS")
	seed := flags.Uint64("seed", 0, "`number` that determines root credentials and all other random values; 0 means a random seed")
	latency := flags.Duration("latency", 0, "`time` by which every request to a vendor is delayed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *state == "" {
		return errors.New("-state is missing: name the file to write addresses and root credentials to")
	}
	// A script that waits for the file must not find the file of an earlier run that was killed.
	if err := os.Remove(*state); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove an old state file: %w", err)
	}
	for *seed == 0 {
		*seed = rand.Uint64()
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	logger.Info("starting", "seed", *seed)
	server, err := emulator.Start(emulator.Config{
		Listen: *listen, PlainHTTP: *plain, Seed: *seed, Latency: *latency, Logger: logger,
	}, all.Vendors()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	remove, err := server.WriteState(*state)
	if err != nil {
		return err
	}
	logger.Info("serving", "vendors", server.Vendors(), "control_url", server.ControlURL(), "state", *state)
	<-ctx.Done()
	logger.Info("stopping")
	return remove()
}
