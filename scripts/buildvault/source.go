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

// server is what scripts/vault/go.mod pins, in the words of `go list -m -json`.
type server struct {
	Version string    // "v1.21.1"
	Time    time.Time // of the release's commit; zero when the module proxy did not say
}

// pinnedServer reads which release the module in dir asks for.
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

// buildFlags are shared by the listing and the build: with other flags, the listing would count
// packages as stale that the build has ready.
func buildFlags(pinned server) []string {
	// BuildDate is what Vault tells plugins that ask for their environment, and it fails that call
	// when the date is missing. The release's own date keeps the build reproducible.
	ldflags := "-s -w"
	if !pinned.Time.IsZero() {
		ldflags += " -X github.com/hashicorp/vault/version.BuildDate=" + pinned.Time.UTC().Format(time.RFC3339)
	}
	// "minimal" leaves out the built-in cloud secrets engines and storage backends, none of which
	// is used here; it halves the build.
	return []string{"-tags", "minimal", "-trimpath", "-buildvcs=false", "-ldflags", ldflags}
}

// buildFromSource builds the server into out. The binary appears there only once it is whole and
// says the right version.
func buildFromSource(ctx context.Context, pinned server, module, out string) (err error) {
	fmt.Printf("building Vault %s into %s: some minutes the first time, and about 5 GB in Go's caches\n", pinned.Version, out)
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
		return fmt.Errorf("try the new binary: %w", err)
	}
	if have.String() != pinned.Version {
		return fmt.Errorf("the new binary says it is Vault %s, but %s/go.mod pins %s: check the replace lines there", have, module, pinned.Version)
	}
	if err := os.Rename(binary, out); err != nil {
		return fmt.Errorf("move the new binary to its place: %w", err)
	}
	fmt.Printf("%s is Vault %s\n", out, have)
	return nil
}

// stalePackages returns the packages that the build will have to compile, after downloading the
// modules that are missing.
func stalePackages(ctx context.Context, pinned server, module string) (map[string]bool, error) {
	show := newProgress(os.Stdout)
	defer show.finish()
	args := append([]string{"list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}"}, buildFlags(pinned)...)
	cmd := goCommand(ctx, module, append(args, serverPackage)...)
	var names strings.Builder
	cmd.Stdout = &names
	downloads := 0
	show.update("looking for what is to be compiled")
	rest, err := eachErrorLine(cmd, func(line string) bool {
		if !strings.HasPrefix(line, "go: downloading ") {
			return false
		}
		downloads++
		show.update(fmt.Sprintf("downloading modules: %d so far", downloads))
		return true
	})
	if err != nil {
		return nil, explain(ctx, "list what Vault is made of", err, rest)
	}
	stale := make(map[string]bool)
	for _, name := range strings.Fields(names.String()) {
		stale[name] = true
	}
	return stale, nil
}

// compile runs the build and counts the packages that `go build -v` names as it gets to them.
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

// goCommand prepares a go command in the server's module. Interrupting ctx interrupts it, so that
// it can stop its compilers.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// The released servers are built without cgo: no C compiler is needed, and the result does not
	// depend on the machine's libraries. A workspace file further up would hide the module.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// eachErrorLine runs cmd and hands each line of its standard error to use. It returns the lines
// that use did not want: what the command had to complain of.
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
			// The end of the stream, however it came, is judged by the command's exit status.
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
