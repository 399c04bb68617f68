// Command buildvault puts a Vault server at bin/vault for the demo and the end-to-end tests.
//
// When the PATH has a recent Vault, the command makes a symbolic link to it. Otherwise it builds the server from its Go
// module, at the version that scripts/vault/go.mod pins. The first build takes several minutes, so the command prints its
// progress. When bin/vault has that version, the command does nothing.
//
// `make bin/vault` runs it from the root of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// oldestUsable is the oldest Vault release that the engine supports. The command ignores older ones on the PATH.
var oldestUsable = version{1, 16, 0}

func main() {
	out := flag.String("out", "bin/vault", "path of the Vault binary, or of the link to it")
	module := flag.String("module", "scripts/vault", "directory of the Go module that pins the server version")
	fromSource := flag.Bool("from-source", false, "build the server even when the PATH has a recent vault")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *out, *module, *fromSource)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "buildvault:", err)
		os.Exit(1)
	}
}

// run puts a usable Vault at out, or returns an error with the remedy.
func run(ctx context.Context, out, module string, fromSource bool) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o750); err != nil {
		return fmt.Errorf("make the directory for %s: %w", out, err)
	}
	if !fromSource {
		linked, err := linkFromPath(ctx, out)
		if err != nil || linked {
			return err
		}
	}
	want, err := pinnedServer(ctx, module)
	if err != nil {
		return err
	}
	if have, err := versionOf(ctx, out); err == nil && isRegular(out) && have.String() == want.Version {
		fmt.Printf("%s is up to date: Vault %s\n", out, want.Version)
		return nil
	}
	return buildFromSource(ctx, want, module, out)
}

// linkFromPath makes out a symbolic link to the first usable vault on the PATH, and reports whether there is one. It prints
// why it ignores a vault that is too old or needs a licence.
func linkFromPath(ctx context.Context, out string) (bool, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		candidate, err := exec.LookPath(filepath.Join(dir, "vault"))
		if err != nil {
			continue
		}
		if candidate, err = filepath.Abs(candidate); err != nil || isOurs(candidate, out) {
			continue
		}
		have, err := versionOf(ctx, candidate)
		switch {
		case err != nil:
			fmt.Printf("%s is not used: %v\n", candidate, err)
			continue
		case have.less(oldestUsable):
			fmt.Printf("%s is not used: it is Vault %s, and %s or later is needed\n", candidate, have, oldestUsable)
			continue
		}
		if err := replaceBySymlink(candidate, out); err != nil {
			return false, err
		}
		fmt.Printf("%s is a link to %s (Vault %s, found on the PATH)\n", out, candidate, have)
		return true, nil
	}
	return false, nil
}

// versionOf runs `binary version`. It fails for Vault Enterprise, which does not start without a licence file.
func versionOf(ctx context.Context, binary string) (version, error) {
	abs, err := filepath.Abs(binary)
	if err != nil {
		return version{}, err
	}
	text, err := exec.CommandContext(ctx, abs, "version").Output()
	if err != nil {
		return version{}, fmt.Errorf("%s version: %w", binary, err)
	}
	return parseVersion(string(text))
}

// replaceBySymlink replaces out by a link to target in one step: after an interruption, out is the old file or the new
// link.
func replaceBySymlink(target, out string) error {
	if current, err := os.Readlink(out); err == nil && current == target {
		return nil
	}
	temporary := fmt.Sprintf("%s.%d.tmp", out, os.Getpid())
	if err := os.Symlink(target, temporary); err != nil {
		return fmt.Errorf("link to %s: %w", target, err)
	}
	if err := os.Rename(temporary, out); err != nil {
		return errors.Join(fmt.Errorf("link to %s: %w", target, err), os.Remove(temporary))
	}
	return nil
}

// isOurs reports whether candidate is out itself, or a link to it. bin/ may be on the PATH, and out must not become a link to
// itself.
func isOurs(candidate, out string) bool {
	where, err := filepath.Abs(out)
	if err != nil {
		return false
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(where)); err == nil {
		where = filepath.Join(dir, filepath.Base(where))
	}
	for path := candidate; ; {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(dir, filepath.Base(path))
		}
		if path == where {
			return true
		}
		target, err := os.Readlink(path)
		if err != nil {
			return false
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
}

// isRegular reports whether path is a regular file, and not a link that linkFromPath has made.
func isRegular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeType == 0
}

// lastLines returns the last n lines of text, for an error message.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
