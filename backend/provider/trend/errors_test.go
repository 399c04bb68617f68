package trend_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestAuthBackoff_RejectedKey_SendsNothing(t *testing.T) {
	for _, status := range []string{"401", "403"} {
		m := newManager(t, "bad_secret_status", status)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		m.Act("lock_key")
		_, err := conn.Issue(t.Context(), hourRequest(nil))
		failure := providerError(t, err)
		assert.Equal(t, provider.ClassUnauthenticated, failure.Class)
		assert.Contains(t, failure.Remedy, "locked out")
		before := len(m.operations())

		calls := []func() error{
			func() error { _, err := conn.Issue(t.Context(), hourRequest(nil)); return err },
			func() error { _, err := conn.Renew(t.Context(), credential.Handle, time.Hour); return err },
			func() error { return conn.Revoke(t.Context(), credential.Handle) },
			func() error { return errOf(conn.RevokeMarker(t.Context(), marker)) },
		}
		for _, call := range calls {
			failure := providerError(t, call())
			assert.Equal(t, provider.ClassUnauthenticated, failure.Class)
			assert.Equal(t, 30*time.Second, failure.RetryAfter)
		}
		assert.Len(t, m.operations(), before, "no request was sent")

		m.Act("unlock_key")
		m.Clock.Advance(30 * time.Second)
		require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	}
}

func TestAuthBackoff_SuccessfulCheck_EndsIt(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
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

func TestClassify_MissingRight_IsNamed(t *testing.T) {
	for right, call := range map[string]func(conn connection, credential *provider.Credential) error{
		"canEditApiKeyProperties": func(conn connection, credential *provider.Credential) error {
			_, err := conn.Renew(t.Context(), credential.Handle, time.Hour)
			return err
		},
		"canDeleteApiKeys": func(conn connection, credential *provider.Credential) error {
			return conn.Revoke(t.Context(), credential.Handle)
		},
		"canViewApiKeys": func(conn connection, _ *provider.Credential) error {
			return errOf(conn.RevokeMarker(t.Context(), marker))
		},
	} {
		m := newManager(t)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		withoutRight(right)(m)
		failure := providerError(t, call(conn, credential))
		assert.Equal(t, provider.ClassForbidden, failure.Class)
		assert.Contains(t, failure.Remedy, right)
		assert.Zero(t, failure.RetryAfter)
	}
}

func TestClassify_FailedProbe_NamesBothCauses(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	m.issue(conn)
	m.InjectFault(emulator.Fault{Route: "createApiKey", Status: http.StatusForbidden})
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Status: http.StatusServiceUnavailable})
	_, err := conn.Issue(t.Context(), hourRequest(nil))
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassForbidden, failure.Class)
	assert.Contains(t, failure.Remedy, "rejected the key itself")
}

func TestErrors_MessageOfManager_IsForOperators(t *testing.T) {
	for body, detail := range map[string]string{
		`{"message":"The locale is unknown."}`: "The locale is unknown.",
		`{"message":7}`:                        `{"message":7}`,
		`not JSON`:                             "not JSON",
	} {
		m := newManager(t)
		conn := m.open(m.rootFields())
		m.InjectFault(emulator.Fault{Route: "createApiKey", Status: http.StatusBadRequest, Body: &body})
		_, err := conn.Issue(t.Context(), hourRequest(nil))
		failure := providerError(t, err)
		assert.Equal(t, provider.ClassInvalid, failure.Class)
		assert.Equal(t, detail, failure.Detail)
		assert.NotContains(t, provider.ReaderText(err), "locale is unknown")
	}
}
