// Command emulatorenv reads the state file of a vendor emulator and prints shell commands that export the variables for the
// pages under docs:
//
//	eval "$(go run ./scripts/emulatorenv state.json)"
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "emulatorenv:", err)
		os.Exit(1)
	}
}

// run prints the variables for the state file in the only argument.
func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%d arguments: the only argument is the state file of a vendor-emulator", len(args))
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return fmt.Errorf("%w (is the emulator running?)", err)
	}
	var state devserver.State
	if err := json.Unmarshal(text, &state); err != nil {
		return fmt.Errorf("%s is not the state file of an emulator: %w", args[0], err)
	}
	for _, variable := range state.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if _, err := fmt.Fprintf(out, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`)); err != nil {
			return err
		}
	}
	return nil
}
