package trend_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRefusedKey_IsRememberedForAWhile(t *testing.T) {
	for _, status := range []string{"401", "403"} {
		m := newManager(t, "bad_secret_status", status)
		conn := m.open(m.rootKey())
		credential := m.issue(conn)
		m.Act("lock_key")
		_, err := conn.Issue(t.Context(), hour(nil))
		failure := refusal(t, err)
		assert.Equal(t, provider.ClassUnauthenticated, failure.Class)
		assert.Contains(t, failure.Remedy, "locked out")
		before := len(m.answered())

		calls := []func() error{
			func() error { _, err := conn.Issue(t.Context(), hour(nil)); return err },
			func() error { _, err := conn.Renew(t.Context(), credential.Handle, time.Hour); return err },
			func() error { return conn.Revoke(t.Context(), credential.Handle) },
			func() error { return conn.RevokeMarker(t.Context(), marker) },
		}
		for _, call := range calls {
			failure := refusal(t, call())
			assert.Equal(t, provider.ClassUnauthenticated, failure.Class)
			assert.Equal(t, 30*time.Second, failure.RetryAfter)
		}
		assert.Len(t, m.answered(), before, "the manager was left alone")

		m.Act("unlock_key")
		m.Clock.Advance(30 * time.Second)
		require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	}
}

func TestRefusedKey_CheckAsksAnywayAndClearsTheMemory(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootKey())
	m.Act("lock_key")
	for range 2 {
		_, err := conn.Check(t.Context())
		assert.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%v", err)
	}
	m.Act("unlock_key")
	_, err := conn.Check(t.Context())
	require.NoError(t, err)
	m.issue(conn)
}

func TestRefusedKey_ManyAtOnceAtFirst_AskOnce(t *testing.T) {
	m := newManager(t)
	conn := m.open(fields{"api_key": "1:wrong"})
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Delay: 200 * time.Millisecond})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := conn.Issue(t.Context(), hour(nil))
			assert.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%v", err)
		})
	}
	group.Wait()
	assert.Equal(t, []string{"describeCurrentApiKey 401"}, m.answered())
}

func TestMissingRight_IsTold(t *testing.T) {
	for right, call := range map[string]func(conn connection, credential *provider.Credential) error{
		"canEditApiKeyProperties": func(conn connection, credential *provider.Credential) error {
			_, err := conn.Renew(t.Context(), credential.Handle, time.Hour)
			return err
		},
		"canDeleteApiKeys": func(conn connection, credential *provider.Credential) error {
			return conn.Revoke(t.Context(), credential.Handle)
		},
		"canViewApiKeys": func(conn connection, _ *provider.Credential) error {
			return conn.RevokeMarker(t.Context(), marker)
		},
	} {
		m := newManager(t)
		conn := m.open(m.rootKey())
		credential := m.issue(conn)
		lacks(right)(m)
		failure := refusal(t, call(conn, credential))
		assert.Equal(t, provider.ClassForbidden, failure.Class)
		assert.Contains(t, failure.Remedy, right)
		assert.Zero(t, failure.RetryAfter)
	}
}

func TestMissingRight_OrRefusedKey_IsLeftOpenWhenItCannotBeTold(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootKey())
	m.issue(conn)
	m.InjectFault(emulator.Fault{Route: "createApiKey", Status: http.StatusForbidden})
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Status: http.StatusServiceUnavailable})
	_, err := conn.Issue(t.Context(), hour(nil))
	failure := refusal(t, err)
	assert.Equal(t, provider.ClassForbidden, failure.Class)
	assert.Contains(t, failure.Remedy, "could not be found out")
}
