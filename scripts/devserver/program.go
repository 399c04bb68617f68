package devserver

import (
	"context"
	"os/exec"
)

// Program is a program that a test runs in addition to the server, such as a Vault client. It is safe for concurrent use.
type Program struct{ process *process }

// StartProgram starts a command, with its output appended to the file logPath. The program has its own process group, and
// on Linux it ends with the calling program. Errors contain name. The caller must stop the program.
func StartProgram(name, logPath string, cmd *exec.Cmd) (*Program, error) {
	p, err := startCommand(name, logPath, cmd)
	if err != nil {
		return nil, err
	}
	return &Program{process: p}, nil
}

// Stop sends SIGTERM and waits until the program has ended. After a grace it kills the program's process group and fails. It
// may be called more than once.
func (p *Program) Stop() error { return p.process.stop() }

// Kill kills the program and its process group.
func (p *Program) Kill() error { return p.process.kill() }

// Running reports whether the program has not ended.
func (p *Program) Running() bool { return p.process.running() }

// Wait waits until the program has ended or ctx is done. It returns nil for exit status 0.
func (p *Program) Wait(ctx context.Context) error {
	select {
	case <-p.process.exited:
		return p.process.waitErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Output returns the output of the program so far.
func (p *Program) Output() string { return p.process.output() }
