package trend_test

import (
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

func TestOpen_AddressWithoutPath_UsesTheAPIPath(t *testing.T) {
	m := newManager(t)
	for _, address := range []string{m.Address(), m.Address() + "/", m.Address()[:len(m.Address())-len("/api")]} {
		config := m.Config(trend.New(), nil)
		config.Address = address
		conn, err := trend.New().Open(config)
		require.NoError(t, err)
		defer conn.Close()
		checked, err := conn.Check(t.Context())
		require.NoError(t, err, address)
		assert.Equal(t, "vault-management", checked.Identity)
	}
}

func TestOpen_AddressWithAnotherPath_KeepsIt(t *testing.T) {
	m := newManager(t)
	config := m.Config(trend.New(), nil)
	config.Address += "/v2"
	conn, err := trend.New().Open(config)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Check(t.Context())
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassInvalid, failure.Class)
	assert.Equal(t, "address", failure.Field)
	assert.Contains(t, failure.Remedy, "config/edge")
}

func TestHandshake_ConcurrentCallers_ShareOneRequest(t *testing.T) {
	m := newManager(t)
	conn := m.open(fields{"api_key": "1:wrong"})
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Delay: 200 * time.Millisecond})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := conn.Issue(t.Context(), hourRequest(nil))
			assert.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%v", err)
		})
	}
	group.Wait()
	assert.Equal(t, []string{"describeCurrentApiKey 401"}, m.operations())
}

// brokenWriter panics, as a log writer with a programming error does.
type brokenWriter struct{}

// Write implements io.Writer.
func (brokenWriter) Write([]byte) (int, error) { panic("index out of range") }

// The handshake runs in a goroutine of its own, where an uncaught panic would end the process.
func TestHandshake_Panic_IsAnError(t *testing.T) {
	m := newManager(t)
	config := m.Config(trend.New(), nil)
	config.Logger = hclog.New(&hclog.LoggerOptions{Output: brokenWriter{}, Level: hclog.Trace})
	opened, err := trend.New().Open(config)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	_, err = opened.Issue(t.Context(), hourRequest(nil))
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class)
	assert.NotContains(t, failure.Error(), "index out of range")
	var reason *provider.PanicError
	require.ErrorAs(t, err, &reason)
}
