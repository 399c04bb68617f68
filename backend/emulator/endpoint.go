package emulator

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxBody is the longest request body in bytes. It is above every limit that a vendor documents, so that a
// service can refuse a long body as its vendor does.
const maxBody = 8 << 20

// vendor is a vendor that the server serves.
type vendor struct {
	name     string
	service  Service
	env      *Env
	faults   *faults
	requests requestLog
	urls     map[string]string // by endpoint name

	mu sync.Mutex // guards service and env
}

// endpoint serves one server of a vendor. It adds latency, faults, request log and Date header to the
// service's handler.
type endpoint struct {
	Endpoint
	vendor  *vendor
	clock   *Clock
	latency time.Duration
	logger  *slog.Logger
}

// ServeHTTP implements [http.Handler].
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := e.clock.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		panic(http.ErrAbortHandler) // the client hung up in the middle of its request
	}
	operation := ""
	if e.Operation != nil {
		operation = e.Operation(r, body)
	}
	entry := e.vendor.requests.started(Request{At: at, Method: r.Method, Path: r.URL.Path, Operation: operation})
	if len(body) > maxBody {
		e.vendor.requests.finished(entry, http.StatusRequestEntityTooLarge)
		http.Error(w, "request body too large", http.StatusRequestEntityTooLarge)
		return
	}
	fault, work := e.vendor.faults.take(r.Context(), r.Method, r.URL.Path, operation)
	// If work ends while the request waits, the request never reaches the vendor.
	var answer *answer
	if wait(work, e.latency+fault.Delay) && !fault.DropBefore {
		answer = e.act(work, r, body, fault)
	}
	status := 0 // the vendor did not act
	if answer != nil {
		status = answer.status
		e.vendor.requests.finished(entry, status)
	}
	dropped := answer == nil || fault.DropAfter
	e.logger.Debug("request", "vendor", e.vendor.name, "method", r.Method, "path", r.URL.Path,
		"operation", operation, "status", status, "dropped", dropped)
	if dropped {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	answer.send(w, r, fault)
}

// act returns the vendor's answer, or the answer that the fault sends instead. It returns nil, and the vendor
// does not act, if the fault has FinishAfterHangup and a reset or Close has ended work.
func (e *endpoint) act(work context.Context, r *http.Request, body []byte, fault *Fault) *answer {
	a := &answer{header: http.Header{}}
	e.vendor.mu.Lock()
	defer e.vendor.mu.Unlock()
	if fault.FinishAfterHangup && work.Err() != nil { // under the lock, which Reset holds when it ends work
		return nil
	}
	if fault.ActBefore || !fault.replaces() {
		r.Body = io.NopCloser(bytes.NewReader(body))
		e.Handler.ServeHTTP(a, r)
	}
	if fault.replaces() {
		a = &answer{header: http.Header{}} // nothing of the vendor's answer remains
		fault.answer(a, e.ErrorBody)
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.header.Get("Date") == "" {
		a.header.Set("Date", e.vendor.env.Now().Format(http.TimeFormat))
	}
	for name, value := range fault.Header {
		a.header.Set(name, value)
	}
	return a
}

// wait waits for d in real time. It reports false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// answer is an [http.ResponseWriter] that stores the answer in memory, so that a fault can drop or change it.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// send writes the answer to the client, changed by the fault.
func (a *answer) send(w http.ResponseWriter, r *http.Request, fault *Fault) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	body := a.body.Bytes()
	switch {
	case fault.Truncate, fault.Stall:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
		w.WriteHeader(a.status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		if fault.Stall {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	case fault.BodyBytes > 0:
		w.Header().Del("Content-Length")
		w.WriteHeader(a.status)
		_, err := w.Write(body)
		blank := bytes.Repeat([]byte(" "), 64<<10)
		for left := fault.BodyBytes - int64(len(body)); left > 0 && err == nil; left -= int64(len(blank)) {
			_, err = w.Write(blank[:min(left, int64(len(blank)))])
		}
	case fault.Drip > 0:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(a.status)
		for i := range body {
			if _, err := w.Write(body[i : i+1]); err != nil || http.NewResponseController(w).Flush() != nil || !wait(r.Context(), fault.Drip) {
				panic(http.ErrAbortHandler)
			}
		}
	default:
		if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(body) // fails if the client has hung up; the vendor would not notice either
	}
}
