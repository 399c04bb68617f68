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

// stopGrace is the time between SIGTERM and SIGKILL. Vault needs a second or two of it to seal itself and stop its plugins.
const stopGrace = 15 * time.Second

// process is a child process whose output goes to a log file. It is safe for concurrent use.
type process struct {
	name      string
	pid       int
	logPath   string
	logOffset int64 // start of this process's output: a restart appends to the same log

	handle  *os.Process
	exited  chan struct{} // closed when the process has ended
	waitErr error         // how it ended; read only after exited is closed
}

// startProcess starts binary with its output appended to logPath.
func startProcess(name, logPath string, env []string, binary string, args ...string) (*process, error) {
	// Without a context: the process runs until it is stopped, longer than the call that starts it.
	cmd := exec.Command(binary, args...) //nolint:noctx // see above
	cmd.Env = env
	return startCommand(name, logPath, cmd)
}

// startCommand starts a command with its output appended to logPath. The child has its own process group, so that Ctrl-C at
// a terminal interrupts only this program, which then stops its children in order.
func startCommand(name, logPath string, cmd *exec.Cmd) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own file descriptor
	offset, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}

	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()

	p := &process{name: name, logPath: logPath, logOffset: offset, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Linux sends the parent-death signal when the thread that started the child ends, not the process. So this thread
		// must live as long as the child.
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

// stop sends SIGTERM and waits until the process has ended. After stopGrace it kills the process group and fails.
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
	return fmt.Errorf("%s (process %d) did not end within %s of SIGTERM and was killed; its log is %s", p.name, p.pid, stopGrace, p.logPath)
}

// kill kills the process and its process group, as a power cut does.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	// The group's id is the child's process id, which the kernel does not reuse before the child has ended.
	if err := syscall.Kill(-p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s (process %d): %w", p.name, p.pid, err)
	}
	<-p.exited
	return nil
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// output returns the output of the process so far.
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

// exitError describes an unexpected end, with the last lines of the output.
func (p *process) exitError(waitingFor string) error {
	how := "exited without an error"
	if p.waitErr != nil {
		how = "ended (" + p.waitErr.Error() + ")"
	}
	lines := strings.Split(p.output(), "\n")
	tail := strings.Join(lines[max(0, len(lines)-15):], "\n  ")
	return fmt.Errorf("%s %s while this program waited for %s; the end of its log, %s:\n  %s", p.name, how, waitingFor, p.logPath, tail)
}

// await calls ready at once and then at short intervals, until ready returns true or fails, the process ends, or ctx is
// done. It polls because neither Vault's API nor the emulator's state file sends an event when it is ready.
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
			return fmt.Errorf("%s: stopped waiting for %s: %w; its log is %s", p.name, what, context.Cause(ctx), p.logPath)
		case <-ticker.C:
		}
	}
}
