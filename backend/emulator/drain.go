package emulator

import (
	"net/http"
	"sync"
)

// drain counts the requests that are being served, so that [Server.Close] can wait for them. The zero value
// is ready for use.
type drain struct {
	mu     sync.Mutex
	closed bool
	active sync.WaitGroup
}

// handler returns next with its requests counted. After close it drops the connection of every request.
func (d *drain) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.enter() {
			panic(http.ErrAbortHandler)
		}
		defer d.active.Done()
		next.ServeHTTP(w, r)
	})
}

// enter counts a request. It reports false after close.
func (d *drain) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.active.Add(1)
	}
	return !d.closed
}

// close refuses further requests, and returns when the last request has ended.
func (d *drain) close() {
	d.mu.Lock()
	d.closed = true // no Add follows, so Wait cannot race with it
	d.mu.Unlock()
	d.active.Wait()
}
