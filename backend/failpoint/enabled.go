//go:build failpoints

// Package failpoint kills or holds the plugin's process at each step of its work, so that the fault tests
// run the real code and not a copy of it. Never use this build in production.
package failpoint

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// commandFile names, in the plugin's environment, a file that says what happens at which step:
//
//	issue.issued        the process dies there; it removes the file first, so that only one process dies
//	issue.issued hold   each caller that gets there creates a file held-* in the same directory, and waits
//	                    until the command changes
const commandFile = "VENDORAUTH_FAILPOINT_FILE"

// Hit kills or holds the process if the command file names this step.
func Hit(name string) {
	path := os.Getenv(commandFile)
	if path == "" {
		return
	}
	switch command := read(path); command {
	case name:
		if os.Remove(path) != nil {
			return // another process was faster
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until the signal arrives
	case name + " hold":
		held, err := os.CreateTemp(filepath.Dir(path), "held-*")
		if err != nil {
			return
		}
		_ = held.Close()
		for read(path) == command {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func read(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// Wait returns how long the engine waits: short here, so that the fault tests need not wait for minutes.
func Wait(_, short time.Duration) time.Duration { return short }
