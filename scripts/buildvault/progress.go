package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// plainInterval is the time between two lines of progress where the output is not a terminal: a CI log must show that the
// build runs, but stay short.
const plainInterval = 15 * time.Second

// progress prints the progress of one step: on a terminal in one line, which it overwrites, and elsewhere in a line at
// intervals. It is for one goroutine.
type progress struct {
	out      io.Writer
	terminal bool
	interval time.Duration
	now      func() time.Time

	started time.Time
	printed time.Time // when the last plain line was printed
	latest  string
	shown   string
}

// newProgress returns the progress of a step that starts now.
func newProgress(out *os.File) *progress {
	info, err := out.Stat()
	p := &progress{out: out, interval: plainInterval, now: time.Now}
	p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	p.started = p.now()
	p.printed = p.started
	return p
}

// update prints the state of the step, unless a line was printed too recently.
func (p *progress) update(text string) {
	p.latest = text
	switch now := p.now(); {
	case p.terminal:
		// The escape sequence clears the end of a longer previous line.
		p.print("\r" + p.line() + "\x1b[K")
	case now.Sub(p.printed) >= p.interval:
		p.printed = now
		p.print(p.line() + "\n")
	}
}

// finish prints the last state of the step, unless there is none or it was printed.
func (p *progress) finish() {
	switch {
	case p.latest == "":
	case p.terminal:
		p.print("\n")
	case p.shown != p.latest:
		p.print(p.line() + "\n")
	}
}

func (p *progress) line() string {
	return fmt.Sprintf("  %s (%s)", p.latest, p.now().Sub(p.started).Round(time.Second))
}

// print ignores write errors: the build continues when the terminal is closed.
func (p *progress) print(text string) {
	p.shown = p.latest
	_, _ = io.WriteString(p.out, text)
}
