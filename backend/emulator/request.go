package emulator

import (
	"sync"
	"time"
)

// maxRequests is the most entries in the request log of one vendor. Above it the log deletes the oldest: a
// benchmark makes millions of requests.
const maxRequests = 100_000

// Request is one request that reached a vendor.
type Request struct {
	// At is the time of its arrival, in emulated time.
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	// Status is the status of the vendor's answer, also if the client did not receive the answer. It is 0
	// while the request is active, and stays 0 if the request ended before the vendor acted.
	Status int `json:"status"`
	// Operation names the intent of the request, "" if the vendor does not name it.
	Operation string `json:"operation"`
}

// requestLog is the request log of one vendor. It is safe for concurrent use.
type requestLog struct {
	mu      sync.Mutex
	entries []*Request
}

// started records a request and returns its entry.
func (l *requestLog) started(r Request) *Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= maxRequests {
		l.entries = append([]*Request(nil), l.entries[maxRequests/10:]...)
	}
	l.entries = append(l.entries, &r)
	return &r
}

// finished records the status of a request.
func (l *requestLog) finished(entry *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry.Status = status
}

// list returns a copy of the log.
func (l *requestLog) list() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Request, 0, len(l.entries))
	for _, r := range l.entries {
		list = append(list, *r)
	}
	return list
}

// clear empties the log.
func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}
