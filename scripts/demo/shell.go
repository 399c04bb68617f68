package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// shell runs `vault` commands as a user would, and prints each command and its output.
type shell struct {
	server *devserver.Server
	out    io.Writer
}

// argument is one word of a command line. Only the key of a secret argument is printed.
type argument struct {
	text   string
	secret bool
}

// words returns arguments that are not secret.
func words(texts ...string) []argument {
	var arguments []argument
	for _, text := range texts {
		arguments = append(arguments, argument{text: text})
	}
	return arguments
}

// errCommand is returned by vault for a command that ran and failed; its output was printed.
var errCommand = errors.New("the command failed")

// output is the output of a command. The `vault` command writes results to its standard output, and warnings to its
// standard error.
type output struct{ stdout, stderr string }

// vault runs the `vault` command, and prints the command line and the output.
func (s *shell) vault(ctx context.Context, arguments ...argument) (output, error) {
	line, texts := "$ vault", make([]string, len(arguments))
	for i, a := range arguments {
		texts[i] = a.text
		line += " " + a.shown()
	}
	printf(s.out, "%s\n", line)

	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.server.VaultBinary(), texts...)
	cmd.Env = s.server.Environ()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return output{}, context.Cause(ctx)
	}
	printf(s.out, "%s%s", shorten(stdout.String()), shorten(stderr.String()))
	written := output{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return written, fmt.Errorf("%w: vault %s: %s", errCommand, texts[0], strings.TrimSpace(written.stderr))
	case err != nil:
		return written, fmt.Errorf("run vault: %w", err)
	}
	return written, nil
}

// shown returns the argument as it is printed.
func (a argument) shown() string {
	if a.secret {
		key, _, _ := strings.Cut(a.text, "=")
		return key + "=…"
	}
	return shellQuote(a.text)
}

// plainWord matches a word that needs no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellQuote writes a word so that it can be pasted into a shell.
func shellQuote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// tokenLine matches a token in a table of the `vault` command.
var tokenLine = regexp.MustCompile(`(?m)^token +(\S{24,})$`)

// certificateBody matches a certificate in PEM form.
var certificateBody = regexp.MustCompile(`(-----BEGIN CERTIFICATE-----)[^-]*(-----END CERTIFICATE-----)`)

// shorten shortens tokens and certificates, which would fill the terminal. The tokens are real ones.
func shorten(table string) string {
	if found := tokenLine.FindStringSubmatch(table); found != nil {
		// Everywhere in the table: a vendor's own member can hold the token too.
		table = strings.ReplaceAll(table, found[1], found[1][:16]+"…")
	}
	return certificateBody.ReplaceAllString(table, "$1 … $2")
}

// parseTable reads the table that `vault read` prints. All values are strings.
func parseTable(table string) map[string]any {
	fields := make(map[string]any)
	for line := range strings.Lines(table) {
		key, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if found && key != "Key" && key != "---" {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields
}

// binDir returns the absolute directory of a program, for a PATH.
func binDir(program string) string {
	if abs, err := filepath.Abs(program); err == nil {
		return filepath.Dir(abs)
	}
	return filepath.Dir(program)
}
