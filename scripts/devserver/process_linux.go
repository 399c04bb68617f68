package devserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// childAttributes puts a child into its own process group, and makes the kernel send it SIGTERM when this program ends without
// stopping it. After SIGKILL, the plugins of a Vault server would keep running.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// processesBelow returns the ids of the processes whose executable is in dir, an absolute path without symbolic links.
// A file that was replaced since counts too.
func processesBelow(dir string) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, link := range links {
		// A process that has ended, or that belongs to another user, is not one of this program.
		if target, err := os.Readlink(link); err != nil || filepath.Dir(target) != dir {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
