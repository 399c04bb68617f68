//go:build unix && !linux

package devserver

import (
	"errors"
	"syscall"
)

// childAttributes puts a child into its own process group. Only Linux can end it together with this program.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// processesRunning fails, since it needs /proc.
func processesRunning(string) ([]int, error) {
	return nil, errors.New("finding a plugin's processes needs Linux")
}
