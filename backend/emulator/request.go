package emulator

import (
	"sync"
	"time"
)

// maxRequests bounds the request log of one vendor; the oldest go first. A benchmark makes millions.
const maxRequests = 100_000

// Request is one request that reached a vendor, in the order of arrival.
type Request struct {
	// At is when it arrived, in emulated time.
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	// Status is the vendor's answer, also where a fault kept it from the client. It is 0 while the request
	// is under way, and for good when the connection was dropped before the vendor acted.
	Status int `json:"status"`
	// Operation names the intent where the path says too little, else it is "".
	Operation string `json:"operation"`
}

// requestLog is the request log of one vendor. Safe for concurrent use.
type requestLog struct {
	mu      sync.Mutex
	entries []*Request
}

// started notes a request and returns its line.
func (l *requestLog) started(r Request) *Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= maxRequests {
		l.entries = append([]*Request(nil), l.entries[maxRequests/10:]...)
	}
	l.entries = append(l.entries, &r)
	return &r
}

// finished notes the status of a request.
func (l *requestLog) finished(line *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line.Status = status
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
