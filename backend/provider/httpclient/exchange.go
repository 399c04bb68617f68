package httpclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// errTooLarge is the cause of an answer that is larger than MaxBody.
var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", MaxBody)

// errIncomplete is the cause of an answer whose body ended early.
var errIncomplete = errors.New("the answer ended early")

// exchange observes one request: when its last attempt began, and whether a byte of it can have left
// this machine.
type exchange struct {
	clock provider.Clock

	mu     sync.Mutex
	sentAt time.Time
	sent   bool
}

// trace returns a context whose request is observed.
//
// Having a connection counts as having sent. That is earlier than the truth, which is the safe side:
// net/http can report a request as unwritten while its bytes are on the way. The transport asks for a
// connection anew only when nothing of the request was written to the last one, so asking begins again.
func (e *exchange) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.sentAt, e.sent = e.clock.Now(), false
		},
		GotConn: func(httptrace.GotConnInfo) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.sent = true
		},
	})
}

func (e *exchange) result() (sentAt time.Time, sent bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sentAt, e.sent
}

// boundedTransport reads each answer whole before it counts as one, and refuses one that is too large.
// So a body that breaks off is a failed attempt like any other: repeatable requests repeat it, and
// nothing above has to tell half an answer from a whole one.
type boundedTransport struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(answer.Body, MaxBody+1))
	closeErr := answer.Body.Close()
	switch {
	case len(content) > MaxBody:
		return nil, errTooLarge
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errIncomplete, err)
	case closeErr != nil:
		return nil, fmt.Errorf("%w: %w", errIncomplete, closeErr)
	}
	answer.Body = io.NopCloser(bytes.NewReader(content))
	return answer, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (t boundedTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }
