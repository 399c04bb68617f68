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

// clockFile is a file in the command file's directory. It says how far the engine's clock is ahead of the
// machine's, such as "24h" or "-40m". Without it, the clock is right.
const clockFile = "clock"

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

// WallClock returns the engine's clock: the machine's, set ahead or back as the clock file says.
func WallClock(machine Clock) Clock { return shiftedClock{machine} }

// shiftedClock is the machine's clock as an operator or a time server has set it. The time that passes stays
// the same.
type shiftedClock struct{ Clock }

// Now returns the shifted time.
func (c shiftedClock) Now() time.Time {
	path := os.Getenv(commandFile)
	if path == "" {
		return c.Clock.Now()
	}
	offset, err := time.ParseDuration(read(filepath.Join(filepath.Dir(path), clockFile)))
	if err != nil {
		return c.Clock.Now()
	}
	return c.Clock.Now().Add(offset)
}
