//go:build failpoints

// With the build tag failpoints, the plugin can be killed or held at each step of its work, and waits are short,
// so that the fault tests meet the real code and not a copy of it. Never for a server that serves people.

package backend

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	issueDeadline  = 2 * time.Second
	firstRetry     = 500 * time.Millisecond
	lastRetry      = 2 * time.Second
	lostLeaseGrace = 3 * time.Second
	expiryGrace    = 20 * time.Second
)

// failpointFile names, in the plugin's environment, a file that says what happens at which step:
//
//	issue.issued        the process dies there; it removes the file first, so that only one dies
//	issue.issued hold   whoever comes there leaves a file held-* beside and waits until the order is gone
const failpointFile = "VENDORAUTH_FAILPOINT_FILE"

func failpoint(name string) {
	path := os.Getenv(failpointFile)
	if path == "" {
		return
	}
	switch order := failpointCommand(path); order {
	case name:
		if os.Remove(path) != nil {
			return // another process was faster
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	case name + " hold":
		held, err := os.CreateTemp(filepath.Dir(path), "held-*")
		if err != nil {
			return
		}
		_ = held.Close()
		for failpointCommand(path) == order {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func failpointCommand(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}
