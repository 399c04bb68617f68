package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// plainInterval is how often a line is printed where lines can't be overwritten: often enough to
// show life, rarely enough not to drown a CI log.
const plainInterval = 15 * time.Second

// progress shows how far one step is: on a terminal by one line that is overwritten, elsewhere by
// a line now and then. It is for one goroutine.
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

// newProgress starts the clock of a step whose progress goes to out.
func newProgress(out *os.File) *progress {
	info, err := out.Stat()
	p := &progress{out: out, interval: plainInterval, now: time.Now}
	p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	p.started = p.now()
	p.printed = p.started
	return p
}

// update reports how far the step is.
func (p *progress) update(text string) {
	p.latest = text
	switch now := p.now(); {
	case p.terminal:
		// The escape sequence clears what a longer line may have left behind.
		p.print("\r" + p.line() + "\x1b[K")
	case now.Sub(p.printed) >= p.interval:
		p.printed = now
		p.print(p.line() + "\n")
	}
}

// finish prints the last state of the step, unless there is none or it was printed already.
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

// print drops write errors: a closed terminal is no reason to stop a build.
func (p *progress) print(text string) {
	p.shown = p.latest
	_, _ = io.WriteString(p.out, text)
}
