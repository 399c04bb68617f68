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

// AnyRoute is the route of a [Fault] that applies to every request.
const AnyRoute = "*"

// maxPadding is the largest Fault.BodyBytes. It is more than any client reads, and cannot overflow.
const maxPadding = 1 << 40

// Fault makes requests to one vendor fail or changes their answers. The server applies its parts in this
// order: Skip; Delay; DropBefore; then Status or Body replace the vendor's answer, or the vendor acts, or with
// ActBefore the vendor acts and Status or Body replace its answer; then
// DropAfter; then Header, BodyBytes, Truncate, Stall and Drip change the answer that the client receives.
type Fault struct {
	// Vendor is the vendor's name.
	Vendor string
	// Route selects requests by "METHOD path", by the path alone, or by the operation. A * matches any run of
	// characters.
	Route string
	// Skip is the number of matching requests that pass before the fault applies.
	Skip int
	// Times is the number of requests to which the fault applies; 0 means until it is cleared.
	Times int

	// Delay is the time in real time before the vendor acts. If the client hangs up during the delay, the
	// vendor does not act, unless FinishAfterHangup is set.
	Delay time.Duration
	// FinishAfterHangup makes the vendor act although the client hangs up during Delay, as a server does that
	// does not notice the hang-up: the delay runs to its end, the vendor acts, and the answer is lost. A client
	// that waits receives the answer. FinishAfterHangup needs a Delay above 0. It cannot be combined with
	// DropBefore, nor with Status or Body without ActBefore, since the vendor does not act then. [Server.Reset] and [Server.Close] end the
	// delay early: the vendor does not act, and a client that still waits loses its connection.
	FinishAfterHangup bool
	// DropBefore closes the connection before the vendor acts.
	DropBefore bool
	// DropAfter closes the connection after the vendor has acted, without an answer.
	DropAfter bool
	// Status (200 to 599) replaces the vendor's answer by one with this status. Without a Body, the answer has
	// the body that the vendor sends with an error. 0 with a Body means 200. The vendor acts only with ActBefore.
	Status int
	// Body replaces the body of the vendor's answer; nil means no replacement.
	Body *string
	// ActBefore makes the vendor act before Status or Body replace its answer, as a proxy does whose connection to
	// the vendor breaks after the request. It needs a Status or a Body.
	ActBefore bool
	// Header is set on the answer, for instance Retry-After or Content-Type.
	Header map[string]string
	// BodyBytes pads the answer with spaces to this length in bytes, without a Content-Length.
	BodyBytes int64
	// Truncate sends the Content-Length of the whole answer and only half of the body.
	Truncate bool
	// Stall sends half of the answer, and keeps the connection open until the client or the server closes it.
	Stall bool
	// Drip sends the answer byte by byte, with this pause in real time after each byte.
	Drip time.Duration
}

// replaces reports whether the fault replaces the vendor's answer. The vendor does not act then, unless ActBefore is
// set.
func (f *Fault) replaces() bool { return f.Status != 0 || f.Body != nil }

// check returns an error if the fault is invalid or has no effect.
func (f *Fault) check() error {
	switch {
	case f.Route == "":
		return errors.New("route is missing; \"*\" is every request")
	case f.Skip < 0 || f.Times < 0 || f.Delay < 0 || f.Drip < 0 || f.BodyBytes < 0 || f.BodyBytes > maxPadding:
		return errors.New("skip, times, delay, drip and body_bytes must not be negative, and body_bytes not above 2^40")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d is not between 200 and 599", f.Status)
	case f.DropBefore && (f.DropAfter || f.replaces()):
		return errors.New("drop_before cannot be combined with drop_after, status or body: there is no answer")
	case f.ActBefore && !f.replaces():
		return errors.New("act_before needs a status or a body, which replaces the vendor's answer")
	case f.FinishAfterHangup && (f.DropBefore || f.replaces() && !f.ActBefore):
		return errors.New("finish_after_hangup cannot be combined with drop_before, status or body: the vendor does not act")
	case f.FinishAfterHangup && f.Delay == 0:
		return errors.New("finish_after_hangup needs a delay, during which the client can hang up")
	case f.Truncate && f.Stall:
		return errors.New("truncate and stall cannot be combined")
	case f.Drip > 0 && (f.Truncate || f.Stall || f.BodyBytes > 0):
		return errors.New("drip cannot be combined with truncate, stall or body_bytes")
	case (f.Truncate || f.Stall) && f.BodyBytes > 0:
		return errors.New("truncate and stall cannot be combined with body_bytes")
	case f.Delay == 0 && !f.DropBefore && !f.DropAfter && !f.replaces() && len(f.Header) == 0 &&
		f.BodyBytes == 0 && !f.Truncate && !f.Stall && f.Drip == 0:
		return errors.New("the fault has no effect: give status, body, delay, drop_before, drop_after, headers, body_bytes, truncate, stall or drip")
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
	work   context.Context // of requests with FinishAfterHangup; ends with a reset or with server
	cancel context.CancelFunc
}

// newFaults returns an empty list of faults. The context server ends when the server stops.
func newFaults(server context.Context) *faults {
	f := &faults{server: server}
	f.work, f.cancel = context.WithCancel(server)
	return f
}

// add appends a valid fault.
func (f *faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, &fault)
}

// take returns a copy of the first fault that matches the request, and counts it down. Without a match it
// returns an empty fault. The vendor must not act once work has ended. work is request, which ends when the
// client hangs up, unless the fault has FinishAfterHangup: then only a reset or the server's stop ends it.
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

// clear deletes all faults. Requests that have taken a fault keep it.
func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = nil
}

// reset deletes all faults, and ends the work of requests that have taken a fault with FinishAfterHangup.
func (f *faults) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel()
	f.work, f.cancel = context.WithCancel(f.server)
	f.active = nil
}

// list returns the active faults with their remaining counts.
func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Fault, 0, len(f.active))
	for _, fault := range f.active {
		list = append(list, *fault)
	}
	return list
}

// matches reports whether the fault's route selects the request.
func (f *Fault) matches(method, path, operation string) bool {
	return glob(f.Route, method+" "+path) || glob(f.Route, path) || operation != "" && glob(f.Route, operation)
}

// glob reports whether text matches pattern, in which * matches any run of characters, slashes included.
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

// answer writes the answer of a fault that replaces the vendor's.
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
	_, _ = w.Write(body) // w is a buffer
}
