package devserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a process has to end after SIGTERM before it is killed. Vault seals itself
// and stops its plugins in that time, which takes it a second or two.
const stopGrace = 15 * time.Second

// process is a child of ours whose output goes to a log file. It is safe for concurrent use.
type process struct {
	name      string
	pid       int
	logPath   string
	logOffset int64 // where this run's output begins: restarts append to the same log

	handle  *os.Process
	exited  chan struct{} // closed when the process has ended
	waitErr error         // how it ended; read it after exited is closed
}

// startProcess starts binary with its output appended to logPath.
func startProcess(name, logPath string, env []string, binary string, args ...string) (*process, error) {
	// Not exec.CommandContext: a child outlives the call that starts it, until it is stopped.
	cmd := exec.Command(binary, args...) //nolint:noctx // see above
	cmd.Env = env
	return startCommand(name, logPath, cmd)
}

// startCommand starts a command with its output appended to logPath. The child gets a process group of
// its own, so that Ctrl-C at a terminal reaches only us, who then stop our children in order.
func startCommand(name, logPath string, cmd *exec.Cmd) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	offset, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}

	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()

	p := &process{name: name, logPath: logPath, logOffset: offset, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux sends the parent-death signal when the thread that made the child ends, not the
		// process. So that thread is kept for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.waitErr = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p.handle, p.pid = cmd.Process, cmd.Process.Pid
	return p, nil
}

// stop asks the process to end, waits for that, and kills its group when it takes too long.
func (p *process) stop() error {
	if err := p.handle.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s (process %d): %w", p.name, p.pid, err)
	}
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-p.exited:
		return nil
	case <-timer.C:
	}
	if err := p.kill(); err != nil {
		return err
	}
	return fmt.Errorf("%s (process %d) did not stop within %s of SIGTERM and was killed; its log is %s", p.name, p.pid, stopGrace, p.logPath)
}

// kill ends the process and everything in its group at once, as a power cut would.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	// The group's number is the child's, and stays its own for as long as the child has not ended.
	if err := syscall.Kill(-p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s (process %d): %w", p.name, p.pid, err)
	}
	<-p.exited
	return nil
}

// running tells whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// output returns what this run of the process has written to its log so far.
func (p *process) output() string {
	log, err := os.Open(p.logPath)
	if err != nil {
		return ""
	}
	defer func() { _ = log.Close() }()
	if _, err := log.Seek(p.logOffset, io.SeekStart); err != nil {
		return ""
	}
	text, err := io.ReadAll(log)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(text))
}

// exitError describes an end that nobody asked for, with the last lines that the process wrote.
func (p *process) exitError(waitingFor string) error {
	how := "exited without an error"
	if p.waitErr != nil {
		how = "ended (" + p.waitErr.Error() + ")"
	}
	lines := strings.Split(p.output(), "\n")
	tail := strings.Join(lines[max(0, len(lines)-15):], "\n  ")
	return fmt.Errorf("%s %s while we waited for %s; the end of its log, %s:\n  %s", p.name, how, waitingFor, p.logPath, tail)
}

// await calls ready, soon and then at short intervals, until it says yes or fails for good, the
// process ends, or ctx is done. A server that comes up has no event that we could wait for: neither
// Vault's API nor the emulator's state file announces itself.
func (p *process) await(ctx context.Context, what string, ready func(context.Context) (bool, error)) error {
	ticker := time.NewTicker(25 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := ready(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%s: wait for %s: %w", p.name, what, err)
		case ok:
			return nil
		}
		select {
		case <-p.exited:
			return p.exitError(what)
		case <-ctx.Done():
			return fmt.Errorf("%s: gave up waiting for %s: %w; its log is %s", p.name, what, context.Cause(ctx), p.logPath)
		case <-ticker.C:
		}
	}
}
