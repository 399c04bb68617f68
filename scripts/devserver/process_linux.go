package devserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// childAttributes puts a child into a process group of its own, and has the kernel send it SIGTERM
// when we die without cleaning up. SIGTERM, not SIGKILL: a Vault that is killed outright leaves its
// plugins running.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// processesRunning returns the ids of the processes whose executable is binary, an absolute path
// without symbolic links.
func processesRunning(binary string) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, link := range links {
		// Processes come and go, and other users' can't be read: neither is one of ours.
		if target, err := os.Readlink(link); err != nil || target != binary {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
