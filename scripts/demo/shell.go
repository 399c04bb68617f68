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

// shell runs `vault` commands as a user would, and prints them with what they say.
type shell struct {
	server *devserver.Server
	out    io.Writer
}

// argument is one word of a command line. A secret one is printed as its key alone.
type argument struct {
	text   string
	secret bool
}

// words makes arguments of plain text.
func words(texts ...string) []argument {
	var arguments []argument
	for _, text := range texts {
		arguments = append(arguments, argument{text: text})
	}
	return arguments
}

// errCommand is returned by run for a command that ended with an error of its own; what it said was
// printed.
var errCommand = errors.New("the command failed")

// output is what a command wrote: results to its standard output, warnings to its standard error.
type output struct{ results, warnings string }

// run runs `vault` with the arguments, and prints the command line and what the command said.
func (s *shell) run(ctx context.Context, arguments ...argument) (output, error) {
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
	said := output{results: stdout.String(), warnings: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return said, fmt.Errorf("%w: vault %s: %s", errCommand, texts[0], strings.TrimSpace(said.warnings))
	case err != nil:
		return said, fmt.Errorf("run vault: %w", err)
	}
	return said, nil
}

// shown is the argument as it is printed.
func (a argument) shown() string {
	if a.secret {
		key, _, _ := strings.Cut(a.text, "=")
		return key + "=…"
	}
	return shellQuote(a.text)
}

// plainWord matches what a shell takes as it stands.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellQuote writes a word so that it can be pasted into a shell.
func shellQuote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// tokenLine matches a token in a table of Vault's.
var tokenLine = regexp.MustCompile(`(?m)^token +(\S{24,})$`)

// certificateBody matches what stands between the first and the last line of a certificate.
var certificateBody = regexp.MustCompile(`(-----BEGIN CERTIFICATE-----)[^-]*(-----END CERTIFICATE-----)`)

// shorten cuts long tokens, which are real, if short-lived, and certificates: both would fill the
// terminal and tell nobody anything.
func shorten(table string) string {
	if found := tokenLine.FindStringSubmatch(table); found != nil {
		// Wherever it stands: vendors' own names for it are fields of their own.
		table = strings.ReplaceAll(table, found[1], found[1][:16]+"…")
	}
	return certificateBody.ReplaceAllString(table, "$1 … $2")
}

// parseTable reads the table that `vault read` prints.
func parseTable(table string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(table) {
		key, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if found && key != "Key" && key != "---" {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields
}

// binDir is the directory of a program, as others would write it in their PATH.
func binDir(program string) string {
	if abs, err := filepath.Abs(program); err == nil {
		return filepath.Dir(abs)
	}
	return filepath.Dir(program)
}
