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

// errTooLarge is the cause of an error about an answer that is larger than MaxBody.
var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", MaxBody)

// errIncomplete is the cause of an error about an answer whose body ended too early.
var errIncomplete = errors.New("the answer ended too early")

// exchange records when the last attempt of a request began, and whether a byte of it can have left this
// machine.
type exchange struct {
	clock provider.Clock

	mu     sync.Mutex
	sentAt time.Time
	sent   bool
}

// trace returns a context that records the request it is used for.
//
// A request counts as sent when it has a connection. That is too early, which is safe: net/http can report a
// request as not written although some of its bytes are on their way. The transport asks for another connection
// only if no byte was written to the last one. So GetConn resets the record.
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

// boundedTransport reads the complete body of each answer, and returns an error if it is too large. So an incomplete
// body is a failed attempt like any other: an idempotent request is sent again, and the callers never see a part
// of an answer.
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
