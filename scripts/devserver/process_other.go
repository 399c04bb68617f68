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

// processesBelow fails, since it needs /proc.
func processesBelow(string) ([]int, error) {
	return nil, errors.New("finding a plugin's processes needs Linux")
}
