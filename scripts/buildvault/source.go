package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// serverPackage is the main package of the Vault server.
const serverPackage = "github.com/hashicorp/vault"

// server is the release that scripts/vault/go.mod pins, as `go list -m -json` prints it.
type server struct {
	Version string    // "v1.21.1"
	Time    time.Time // of the release's commit; zero when the module proxy does not report it
}

// pinnedServer returns the release that the module in dir pins.
func pinnedServer(ctx context.Context, dir string) (server, error) {
	text, err := goCommand(ctx, dir, "list", "-m", "-json", serverPackage).Output()
	if err != nil {
		return server{}, explain(ctx, "read the pinned version from "+dir+"/go.mod", err, stderrOf(err))
	}
	var pinned server
	if err := json.Unmarshal(text, &pinned); err != nil {
		return server{}, fmt.Errorf("read the pinned version from %s/go.mod: %w", dir, err)
	}
	return pinned, nil
}

// buildFlags returns the flags of both the listing and the build: with other flags, the listing would report packages as
// stale that the build does not compile.
func buildFlags(pinned server) []string {
	// Vault returns BuildDate to plugins that request their environment, and fails that request without it. The date of the
	// release keeps the build reproducible.
	ldflags := "-s -w"
	if !pinned.Time.IsZero() {
		ldflags += " -X github.com/hashicorp/vault/version.BuildDate=" + pinned.Time.UTC().Format(time.RFC3339)
	}
	// "minimal" leaves out the built-in cloud secrets engines and storage backends, which nothing here uses. It halves the
	// build time.
	return []string{"-tags", "minimal", "-trimpath", "-buildvcs=false", "-ldflags", ldflags}
}

// buildFromSource builds the server and moves it to out once it is complete and reports the right version.
func buildFromSource(ctx context.Context, pinned server, module, out string) (err error) {
	fmt.Printf("building Vault %s into %s: several minutes for the first build, and about 5 GB in Go's caches\n", pinned.Version, out)
	scratch, err := os.MkdirTemp(filepath.Dir(out), ".vault-build-")
	if err != nil {
		return fmt.Errorf("make a directory to build in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	binary, err := filepath.Abs(filepath.Join(scratch, "vault"))
	if err != nil {
		return err
	}

	stale, err := stalePackages(ctx, pinned, module)
	if err != nil {
		return err
	}
	if err := compile(ctx, pinned, module, binary, stale); err != nil {
		return err
	}
	have, err := versionOf(ctx, binary)
	if err != nil {
		return fmt.Errorf("run the new binary: %w", err)
	}
	if have.String() != pinned.Version {
		return fmt.Errorf("the new binary reports Vault %s, but %s/go.mod pins %s: check the replace lines there", have, module, pinned.Version)
	}
	if err := os.Rename(binary, out); err != nil {
		return fmt.Errorf("move the new binary: %w", err)
	}
	fmt.Printf("%s is Vault %s\n", out, have)
	return nil
}

// stalePackages downloads the missing modules and returns the packages that the build must compile.
func stalePackages(ctx context.Context, pinned server, module string) (map[string]bool, error) {
	show := newProgress(os.Stdout)
	defer show.finish()
	args := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, buildFlags(pinned)...)
	cmd := goCommand(ctx, module, append(args, serverPackage)...)
	var names strings.Builder
	cmd.Stdout = &names
	downloads := 0
	show.update("listing the packages to compile")
	rest, err := eachErrorLine(cmd, func(line string) bool {
		if !strings.HasPrefix(line, "go: downloading ") {
			return false
		}
		downloads++
		show.update(fmt.Sprintf("downloading modules: %d so far", downloads))
		return true
	})
	if err != nil {
		return nil, explain(ctx, "list the packages of Vault", err, rest)
	}
	stale := make(map[string]bool)
	for _, name := range strings.Fields(names.String()) {
		stale[name] = true
	}
	return stale, nil
}

// compile runs the build and counts the packages that `go build -v` prints.
func compile(ctx context.Context, pinned server, module, binary string, stale map[string]bool) error {
	show := newProgress(os.Stdout)
	defer show.finish()
	args := append([]string{"build", "-v", "-o", binary}, buildFlags(pinned)...)
	cmd := goCommand(ctx, module, append(args, serverPackage)...)
	total, done := len(stale), 0
	show.update(fmt.Sprintf("compiled 0 of %d packages", total))
	rest, err := eachErrorLine(cmd, func(line string) bool {
		if !stale[line] {
			return false
		}
		delete(stale, line)
		done++
		if line == serverPackage {
			show.update(fmt.Sprintf("compiled %d of %d packages, linking", done, total))
		} else {
			show.update(fmt.Sprintf("compiled %d of %d packages", done, total))
		}
		return true
	})
	if err != nil {
		return explain(ctx, "build Vault", err, rest)
	}
	show.update(fmt.Sprintf("compiled %d packages, and linked", done))
	return nil
}

// goCommand returns a go command in the server's module. When ctx is done, the command receives SIGINT and stops its
// compilers.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// Like the released servers, without cgo: the build needs no C compiler, and the result does not depend on the machine's
	// libraries. A workspace file in a parent directory would hide the module.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// eachErrorLine runs cmd and calls use for each line of its standard error. It returns the lines for which use returned
// false, which are the command's error messages.
func eachErrorLine(cmd *exec.Cmd, use func(line string) bool) (string, error) {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	var rest strings.Builder
	reader := bufio.NewReader(stderr)
	for {
		line, err := reader.ReadString('\n')
		if text := strings.TrimSpace(line); text != "" && !use(text) {
			rest.WriteString(text + "\n")
		}
		if err != nil {
			// The command's exit status decides whether it has failed.
			break
		}
	}
	_, _ = io.Copy(io.Discard, stderr)
	return rest.String(), cmd.Wait()
}

// stderrOf returns what a failed command wrote to its standard error.
func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
