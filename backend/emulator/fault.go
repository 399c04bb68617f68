package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// AnyRoute is the route of a [Fault] that befalls every request.
const AnyRoute = "*"

// maxPadding bounds Fault.BodyBytes: more than any client reads, and no overflow.
const maxPadding = 1 << 40

// Fault is a disturbance of requests to one vendor. Its parts are applied in this order: Skip, Delay,
// DropBefore; then Status or Body answer in place of the vendor, or the vendor acts; then DropAfter; then
// Header, BodyBytes, Truncate, Stall and Drip change the answer on its way out.
type Fault struct {
	// Vendor is the vendor's name.
	Vendor string
	// Route is matched against "METHOD path", the path alone, and the operation; a * stands for any run of
	// characters.
	Route string
	// Skip lets that many matching requests pass first.
	Skip int
	// Times is how many requests are disturbed; 0 means until cleared.
	Times int

	// Delay holds the request back, in real time. If the client hangs up during the delay, the vendor does not
	// act, unless FinishAfterHangup is set.
	Delay time.Duration
	// FinishAfterHangup keeps the request when the client hangs up during Delay: the delay runs to its end, the
	// vendor acts, and the answer is lost. So does a server that goes on with a request whose client gave up.
	// It needs a Delay above zero, and excludes DropBefore, Status and Body, with which the vendor never acts.
	// [Server.Reset] and [Server.Close] end the delay early, without action, also for a client that still waits.
	FinishAfterHangup bool
	// DropBefore closes the connection before the vendor acts.
	DropBefore bool
	// DropAfter lets the vendor act, then closes the connection without an answer.
	DropAfter bool
	// Status answers with this status and, unless Body is given, a body as the vendor writes errors. 0 with a
	// Body means 200.
	Status int
	// Body answers with this body; nil means that none is given.
	Body *string
	// Header is set on the answer, for instance Retry-After or Content-Type.
	Header map[string]string
	// BodyBytes pads the answer with spaces to that length, without a Content-Length.
	BodyBytes int64
	// Truncate announces the whole answer and sends half of it.
	Truncate bool
	// Stall sends half of the answer and holds the connection until the client closes it.
	Stall bool
	// Drip sends the answer a byte at a time, with this pause in real time after each.
	Drip time.Duration
}

// replaces tells whether the fault answers in place of the vendor.
func (f *Fault) replaces() bool { return f.Status != 0 || f.Body != nil }

// check tells what is wrong with a fault.
func (f *Fault) check() error {
	switch {
	case f.Route == "":
		return errors.New("route is missing; \"*\" is every request")
	case f.Skip < 0 || f.Times < 0 || f.Delay < 0 || f.Drip < 0 || f.BodyBytes < 0 || f.BodyBytes > maxPadding:
		return errors.New("skip, times, delay, drip and body_bytes must not be negative, and body_bytes not above 2^40")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.DropBefore && (f.DropAfter || f.replaces()):
		return errors.New("drop_before cannot go with drop_after, status or body: nothing is answered")
	case f.FinishAfterHangup && (f.DropBefore || f.replaces()):
		return errors.New("finish_after_hangup cannot go with drop_before, status or body: the vendor does no work to finish")
	case f.FinishAfterHangup && f.Delay == 0:
		return errors.New("finish_after_hangup needs a delay, during which the client can hang up")
	case f.Truncate && f.Stall:
		return errors.New("truncate and stall exclude each other")
	case f.Drip > 0 && (f.Truncate || f.Stall || f.BodyBytes > 0):
		return errors.New("drip cannot go with truncate, stall or body_bytes")
	case (f.Truncate || f.Stall) && f.BodyBytes > 0:
		return errors.New("truncate and stall cannot go with body_bytes")
	case f.Delay == 0 && !f.DropBefore && !f.DropAfter && !f.replaces() && len(f.Header) == 0 &&
		f.BodyBytes == 0 && !f.Truncate && !f.Stall && f.Drip == 0:
		return errors.New("nothing to do: give status, body, delay, drop_before, drop_after, headers, body_bytes, truncate, stall or drip")
	}
	for name, value := range f.Header {
		if name == "" || strings.ContainsAny(name, " :\r\n") || strings.ContainsAny(value, "\r\n") {
			return fmt.Errorf("header %q is malformed", name)
		}
	}
	return nil
}

// faults are the active faults of one vendor. They are safe for concurrent use, with a lock of their own: a
// request takes its fault before it acquires the vendor's lock.
type faults struct {
	server context.Context // ends with the server

	mu     sync.Mutex
	active []*Fault
	work   context.Context // of requests that finish after a hang-up; ends with a reset, or with server
	cancel context.CancelFunc
}

// newFaults returns no faults. server ends when the server stops.
func newFaults(server context.Context) *faults {
	f := &faults{server: server}
	f.work, f.cancel = context.WithCancel(server)
	return f
}

// add puts a checked fault behind the others.
func (f *faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, &fault)
}

// take returns a copy of the first fault that matches the request, counted down, or an empty fault. work ends
// when the request must not reach the vendor any more: with request, which ends when the client hangs up, or,
// if the fault says FinishAfterHangup, with a reset or the server.
func (f *faults) take(request context.Context, method, path, operation string) (fault *Fault, work context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, fault := range f.active {
		if !fault.matches(method, path, operation) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		taken := *fault
		if fault.Times == 1 {
			f.active = append(f.active[:i:i], f.active[i+1:]...)
		} else if fault.Times > 1 {
			fault.Times--
		}
		if taken.FinishAfterHangup {
			return &taken, f.work
		}
		return &taken, request
	}
	return &Fault{}, request
}

// clear removes all faults.
func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = nil
}

// reset removes all faults, and ends the work of requests whose client may have hung up.
func (f *faults) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel()
	f.work, f.cancel = context.WithCancel(f.server)
	f.active = nil
}

// list returns what is left of the faults.
func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Fault, 0, len(f.active))
	for _, fault := range f.active {
		list = append(list, *fault)
	}
	return list
}

// matches tells whether the fault's route names the request.
func (f *Fault) matches(method, path, operation string) bool {
	return glob(f.Route, method+" "+path) || glob(f.Route, path) || operation != "" && glob(f.Route, operation)
}

// glob tells whether text is pattern, in which * stands for any run of characters, slashes included.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return strings.HasSuffix(text, last)
}

// answer writes what a replacing fault answers.
func (f *Fault) answer(w http.ResponseWriter, errorBody func(int) (string, []byte)) {
	status, contentType, body := f.Status, "", []byte(nil)
	if status == 0 {
		status = http.StatusOK
	}
	switch {
	case f.Body != nil:
		body, contentType = []byte(*f.Body), "text/plain; charset=utf-8"
		if json.Valid(body) {
			contentType = "application/json"
		}
	case errorBody != nil:
		contentType, body = errorBody(status)
	}
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the writer is a buffer of the core
}
