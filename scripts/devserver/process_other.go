//go:build unix && !linux

package devserver

import (
	"errors"
	"syscall"
)

// childAttributes puts a child into a process group of its own. Only Linux can tie its life to ours.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// processesRunning needs /proc.
func processesRunning(string) ([]int, error) {
	return nil, errors.New("finding a plugin's processes needs Linux")
}
