package httpclient_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// fakeGuard records what it is asked.
type fakeGuard struct {
	asked    []string
	outcomes []error
	// turns is how many requests have a turn, and refused whether the host is refused once the turn has come.
	turns   int
	refused bool
}

func notSent(message string) error {
	return &provider.Error{Class: provider.ClassRateLimited, Message: message, Err: provider.ErrNotSent}
}

func (g *fakeGuard) Pace(_ context.Context, host string) error {
	g.asked = append(g.asked, "pace "+host)
	if g.turns--; g.turns < 0 {
		return notSent("no turn")
	}
	return nil
}

func (g *fakeGuard) Admit(_ context.Context, host string) (func(error), error) {
	g.asked = append(g.asked, "admit "+host)
	if g.refused {
		return nil, notSent("the host is refused")
	}
	return func(err error) { g.outcomes = append(g.outcomes, err) }, nil
}

// guarded returns a client for a server that always answers with this status, and the number of its requests.
func guarded(t *testing.T, guard *fakeGuard, status int) (*httpclient.Client, *atomic.Int32, string) {
	t.Helper()
	var served atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"message":"the product's own answer"}`))
	}))
	t.Cleanup(server.Close)
	client, err := httpclient.New(httpclient.Options{Address: server.URL, AllowAddresses: providertest.Loopback(), Guard: guard, MaxRetries: 2, RetryWait: time.Nanosecond})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client, &served, strings.TrimPrefix(server.URL, "http://")
}

// While a request waits for its turn, the host may have failed: it is asked for when the turn has come.
func TestGuard_TurnThenHost_AreAskedInThisOrder(t *testing.T) {
	guard := &fakeGuard{turns: 1, refused: true}
	client, served, host := guarded(t, guard, http.StatusOK)
	_, err := client.Do(t.Context(), httpclient.Request{Op: "read"})
	require.ErrorIs(t, err, provider.ErrNotSent)
	require.Equal(t, []string{"pace " + host, "admit " + host}, guard.asked)
	require.Zero(t, served.Load())
	require.Empty(t, guard.outcomes)

	*guard = fakeGuard{}
	_, err = client.Do(t.Context(), httpclient.Request{Op: "read"})
	require.ErrorContains(t, err, "no turn")
	require.Equal(t, []string{"pace " + host}, guard.asked, "a request without a turn holds no place of the breaker")
}

func TestGuard_RetryHasNoTurn_ReturnsTheLastAnswer(t *testing.T) {
	guard := &fakeGuard{turns: 2}
	client, served, _ := guarded(t, guard, http.StatusServiceUnavailable)
	response, err := client.Do(t.Context(), httpclient.Request{Op: "read", Idempotent: true})
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, response.Status)
	require.Contains(t, string(response.Body), "the product's own answer")
	require.Equal(t, int32(2), served.Load())
	require.Equal(t, []error{nil}, guard.outcomes, "the host answered")
}

func TestGuard_RetryHasNoTurn_ReturnsTheLastError(t *testing.T) {
	guard := &fakeGuard{turns: 1}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	client, err := httpclient.New(httpclient.Options{Address: server.URL, AllowAddresses: providertest.Loopback(), Guard: guard, MaxRetries: 2, RetryWait: time.Nanosecond})
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Do(t.Context(), httpclient.Request{Op: "read", Idempotent: true})
	require.ErrorContains(t, err, "no complete answer arrived")
	require.NotErrorIs(t, err, provider.ErrNotSent)
}

// host and host:443 are the same host, and have one breaker.
func TestGuard_DefaultPort_IsNamed(t *testing.T) {
	for address, host := range map[string]string{
		"vendor.example":               "vendor.example:443",
		"vendor.example:443":           "vendor.example:443",
		"https://VENDOR.example/api":   "vendor.example:443",
		"https://vendor.example:8443/": "vendor.example:8443",
		"2001:db8::1":                  "[2001:db8::1]:443",
		"http://127.0.0.1":             "127.0.0.1:80",
	} {
		guard := &fakeGuard{turns: 1, refused: true}
		client, err := httpclient.New(httpclient.Options{Address: address, AllowAddresses: providertest.Loopback(), Guard: guard})
		require.NoError(t, err)
		_, err = client.Do(t.Context(), httpclient.Request{Op: "read"})
		require.ErrorIs(t, err, provider.ErrNotSent)
		require.Equal(t, []string{"pace " + host, "admit " + host}, guard.asked)
		client.Close()
	}
}
