package devserver

import (
	"context"
	"os/exec"
)

// Program is a program that runs beside the server, such as a client of it. It is safe for concurrent
// use.
type Program struct{ process *process }

// StartProgram starts a command, with its output appended to the file logPath. Like the server itself it
// has a process group of its own, and on Linux it does not outlive us. name stands in errors. Whoever
// starts a program stops it.
func StartProgram(name, logPath string, cmd *exec.Cmd) (*Program, error) {
	p, err := startCommand(name, logPath, cmd)
	if err != nil {
		return nil, err
	}
	return &Program{process: p}, nil
}

// Stop asks the program to end by SIGTERM and waits for that. After a while it kills the program's
// process group, which is an error. It may be called more than once.
func (p *Program) Stop() error { return p.process.stop() }

// Kill ends the program and everything in its process group at once.
func (p *Program) Kill() error { return p.process.kill() }

// Running tells whether the program has not ended yet.
func (p *Program) Running() bool { return p.process.running() }

// Wait waits until the program has ended by itself or ctx is done, and returns how: nil for exit status 0.
func (p *Program) Wait(ctx context.Context) error {
	select {
	case <-p.process.exited:
		return p.process.waitErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Output is what the program has written so far.
func (p *Program) Output() string { return p.process.output() }
