package httpclient_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

func TestDo_CanceledBeforeSending_IsUnavailable(t *testing.T) {
	address, requests := serve(t, func(http.ResponseWriter, *http.Request) {})
	client := newClient(t, httpclient.Options{Address: address})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Do(ctx, create())
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err))
	assert.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, requests.Load())
}

func TestDo_CanceledAfterSending_IsAmbiguous(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address, requests := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	client := newClient(t, httpclient.Options{Address: address, MaxRetries: 3})
	_, err := client.Do(ctx, create())
	assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err))
	assert.ErrorIs(t, err, context.Canceled)
	assert.EqualValues(t, 1, requests.Load())
}

// observedClock is the system's clock, and reports each call of Now.
type observedClock struct {
	provider.SystemClock
	observe func()
}

func (c observedClock) Now() time.Time {
	c.observe()
	return c.SystemClock.Now()
}

func TestDo_CanceledBetweenAttempts_StopsRetrying(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var answered, canceled atomic.Bool
	address, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answered.Store(true)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	clock := observedClock{observe: func() { // the client reads the clock to find out when it may repeat the request
		if answered.Load() {
			canceled.Store(true)
			cancel()
		}
	}}
	client := newClient(t, httpclient.Options{Address: address, MaxRetries: 3, RetryWait: time.Minute, Clock: clock})
	_, err := client.Do(ctx, read())
	assert.True(t, canceled.Load())
	assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
	assert.EqualValues(t, 1, requests.Load())
}
