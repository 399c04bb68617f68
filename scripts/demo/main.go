// Command demo shows the engine at work, on a real Vault server and against the vendor emulator: for
// every vendor it stores a root credential, issues a leased credential, uses it, renews it, revokes it,
// and asks the vendor what became of it. Each step is a `vault` command that a user would type.
//
// Everything runs on loopback, in a temporary directory, and is gone afterwards. The exit status is 1
// when a step fails, or when the vendor's account of it is not what it should be.
//
// With -dev it sets up the same things and leaves them running, to be tried by hand until Ctrl-C.
//
// Run it by `make demo` or `make dev`, which build what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

func main() {
	dev := flag.Bool("dev", false, "set everything up, and leave it running until Ctrl-C")
	only := flag.String("vendor", "", "show this vendor only")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *dev, *only)
	stop()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "\ndemo: interrupted; everything was stopped and removed")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// run starts the servers, does what was asked for, and stops them again.
func run(ctx context.Context, out io.Writer, dev bool, only string) error {
	vendors, err := chosen(only)
	if err != nil {
		return err
	}
	began := time.Now()
	printf(out, "Starting a Vault server with the plugin, and the vendor emulator. This takes a few seconds.\n")
	server, err := devserver.Start(ctx, devserver.Options{})
	if err != nil {
		return err
	}
	sh := &shell{server: server, out: out}
	var accounts []account
	if dev {
		err = serve(ctx, sh, vendors)
	} else {
		accounts, err = showAll(ctx, sh, vendors)
	}
	if err := errors.Join(err, server.Close()); err != nil {
		return err
	}
	if !dev {
		summarise(out, accounts, time.Since(began))
	}
	return nil
}

// showAll goes through the vendors one by one, and stops at the first that fails.
func showAll(ctx context.Context, sh *shell, vendors []vendor) ([]account, error) {
	printf(sh.out, "Vault runs at %s, unsealed, and the engine is enabled at %s/.\n", sh.server.Nodes()[0].Address(), sh.server.MountPath())
	var accounts []account
	for _, v := range vendors {
		a, err := show(ctx, sh, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		accounts = append(accounts, a)
	}
	return accounts, nil
}

// chosen returns the vendors to show: one by name, or all.
func chosen(only string) ([]vendor, error) {
	if only == "" {
		return vendors, nil
	}
	var names []string
	for _, v := range vendors {
		if v.name == only {
			return []vendor{v}, nil
		}
		names = append(names, v.name)
	}
	return nil, fmt.Errorf("there is no vendor %q: choose one of %s", only, strings.Join(names, ", "))
}

// serve configures all vendors and waits for Ctrl-C.
func serve(ctx context.Context, sh *shell, vendors []vendor) error {
	server := sh.server
	quiet := &shell{server: server, out: io.Discard}
	for _, v := range vendors {
		if err := configure(ctx, quiet, v); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	printf(sh.out, `
All is set up: the engine is enabled at %[1]s/, with a config and a role for each vendor.
Paste into another shell:

  export VAULT_ADDR=%[2]s
  export VAULT_TOKEN=%[3]s
  export PATH=%[4]s:$PATH

`, server.MountPath(), server.Nodes()[0].Address(), server.RootToken(), shellQuote(binDir(server.VaultBinary())))
	for _, v := range vendors {
		printf(sh.out, "  vault read %s/creds/%s\n", server.MountPath(), v.roleName())
	}
	control := server.Emulator().ControlURL
	printf(sh.out, `  vault lease renew  LEASE_ID
  vault lease revoke LEASE_ID

What a vendor saw, and issued (also: POST /faults, /clock, /switches, /reset):

  curl -s '%[1]s/requests?vendor=%[2]s'
  curl -s '%[1]s/credentials?vendor=%[2]s'

Vault's and the plugin's log: %[3]s
The emulator's log:           %[4]s

Ctrl-C stops everything and removes its files.
`, control, vendors[0].name, server.VaultLog(), server.EmulatorLog())
	<-ctx.Done()
	printf(sh.out, "\nStopping.\n")
	return nil
}

// printf writes to out. A reader who went away is no reason to stop before the cleaning up.
func printf(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format, args...)
}
