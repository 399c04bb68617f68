package httpclient_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestDo_PatienceAndSilentHost_GivesUpWithoutRetry(t *testing.T) {
	released := make(chan struct{})
	address, requests := serve(t, func(http.ResponseWriter, *http.Request) { <-released })
	t.Cleanup(func() { close(released) })
	client := newClient(t, httpclient.Options{
		Address: address, MaxRetries: 3, RequestTimeout: time.Minute, AllowAddresses: providertest.Loopback(),
	})
	for _, idempotent := range []bool{true, false} {
		before := requests.Load()
		ctx := provider.WithPatience(t.Context(), 20*time.Millisecond)
		_, err := client.Do(ctx, httpclient.Request{Op: "test: revoke", Idempotent: idempotent})
		require.ErrorContains(t, err, "no complete answer arrived within 20ms")
		require.EqualValues(t, 1, requests.Load()-before)
		expected := provider.ClassAmbiguous
		if idempotent {
			expected = provider.ClassUnavailable
		}
		require.Equal(t, expected, provider.ClassOf(err))
	}
}

// slowTurn is a guard whose caller waits for a turn.
type slowTurn struct{ wait time.Duration }

func (g slowTurn) Admit(context.Context, string) (func(error), error) { return func(error) {}, nil }

func (g slowTurn) Pace(ctx context.Context, _ string) error {
	select {
	case <-time.After(g.wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestDo_PatienceAndLongQueue_WaitsForItsTurn(t *testing.T) {
	address, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	client := newClient(t, httpclient.Options{Address: address, Guard: slowTurn{time.Second}, AllowAddresses: providertest.Loopback()})
	_, err := client.Do(provider.WithPatience(t.Context(), 500*time.Millisecond), httpclient.Request{Op: "test: revoke"})
	require.NoError(t, err)
}
