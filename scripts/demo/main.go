// Command demo shows the engine on a real Vault server, with emulated vendors. For every vendor it stores a root
// credential, issues a leased credential, uses, renews and revokes it, and prints the vendor's own record of it. Each
// step is a `vault` command that a user would type.
//
// Everything runs on loopback and in a temporary directory, which is deleted at the end. The exit status is 1 when a step
// fails, or when the vendor's record differs from what Vault reported.
//
// With -dev it configures the same vendors and leaves the servers running until Ctrl-C, for commands by hand.
//
// `make demo` and `make dev` build the programs and run it.
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
	dev := flag.Bool("dev", false, "configure all vendors, and leave the servers running until Ctrl-C")
	only := flag.String("vendor", "", "show this `vendor` only")
	svg := flag.String("svg", "", "write a recording of the demo to this `file`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var printed strings.Builder
	err := run(ctx, io.MultiWriter(os.Stdout, &printed), *dev, *only)
	stop()
	if err == nil && *svg != "" {
		err = writeRecording(*svg, printed.String())
	}
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "\ndemo: interrupted; all servers were stopped and their files deleted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

// run starts the servers, runs the demo or serves until ctx is done, and stops the servers.
func run(ctx context.Context, out io.Writer, dev bool, only string) error {
	chosen, err := chooseVendors(only)
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
	var scenarios []*scenario
	if dev {
		err = serve(ctx, sh, chosen)
	} else {
		scenarios, err = runScenarios(ctx, sh, chosen)
	}
	if err := errors.Join(err, server.Close()); err != nil {
		return err
	}
	if !dev {
		summarise(out, scenarios, time.Since(began))
	}
	return nil
}

// runScenarios runs the scenario of each vendor, and stops at the first failure.
func runScenarios(ctx context.Context, sh *shell, vendors []vendor) ([]*scenario, error) {
	printf(sh.out, "Vault runs at %s, unsealed. The engine is enabled at %s/.\n", sh.server.Nodes()[0].Address(), sh.server.MountPath())
	var scenarios []*scenario
	for _, v := range vendors {
		s := &scenario{shell: sh, vendor: v}
		if err := s.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", v.Name, err)
		}
		scenarios = append(scenarios, s)
	}
	return scenarios, nil
}

// chooseVendors returns the vendor with that name, or all vendors when the name is empty.
func chooseVendors(only string) ([]vendor, error) {
	all := vendors()
	if only == "" {
		return all, nil
	}
	var names []string
	for _, v := range all {
		if v.Name == only {
			return []vendor{v}, nil
		}
		names = append(names, v.Name)
	}
	return nil, fmt.Errorf("unknown vendor %q: choose one of %s", only, strings.Join(names, ", "))
}

// serve configures all vendors and waits until ctx is done.
func serve(ctx context.Context, sh *shell, vendors []vendor) error {
	server := sh.server
	quiet := &shell{server: server, out: io.Discard}
	for _, v := range vendors {
		if err := (&scenario{shell: quiet, vendor: v}).configure(ctx); err != nil {
			return fmt.Errorf("%s: %w", v.Name, err)
		}
	}
	printf(sh.out, `
The engine is enabled at %[1]s/, with a config and a role for each vendor. Paste into another shell:

  export VAULT_ADDR=%[2]s
  export VAULT_TOKEN=%[3]s
  export PATH=%[4]s:$PATH

For the addresses and root credentials of the emulated products, in the directory of the clone:

  eval "$(go run ./scripts/emulatorenv %[5]s)"

Then, for example:

`, server.MountPath(), server.Nodes()[0].Address(), server.RootToken(), shellQuote(binDir(server.VaultBinary())), shellQuote(server.EmulatorState()))
	for _, v := range vendors {
		printf(sh.out, "  vault read %s/creds/%s\n", server.MountPath(), v.roleName())
	}
	printf(sh.out, `  vault lease renew  LEASE_ID
  vault lease revoke LEASE_ID

The requests that a vendor received, and the credentials that it issued (see also POST /faults, /clock, /switches, /reset):

  curl -s '%[1]s/requests?vendor=%[2]s'
  curl -s '%[1]s/credentials?vendor=%[2]s'

The log of Vault and the plugin: %[3]s
The log of the emulator:         %[4]s

Ctrl-C stops all servers and deletes their files.
`, server.Emulator().ControlURL, vendors[0].Name, server.VaultLog(), server.EmulatorLog())
	<-ctx.Done()
	printf(sh.out, "\nStopping.\n")
	return nil
}

// summarise prints the totals of each vendor.
func summarise(out io.Writer, scenarios []*scenario, took time.Duration) {
	printf(out, "\n──── Summary ────\n\n%-14s %6s %7s %7s %8s\n", "vendor", "issued", "renewed", "revoked", "verified")
	for _, s := range scenarios {
		line := fmt.Sprintf("%-14s %6d %7d %7d %8d  %s", s.vendor.Name, s.issued, s.renewed, s.revoked, len(s.verified), s.vendor.note())
		printf(out, "%s\n", strings.TrimSpace(line))
	}
	printf(out, "\nEvery statement was verified, in %s. All servers are stopped.\n", took.Round(time.Second))
}

// printf writes to out. A failed write is ignored: the servers must be stopped even when the reader of the output has
// closed it.
func printf(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format, args...)
}
