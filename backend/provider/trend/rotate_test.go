package trend_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// nextMarker is the marker of the management keys that rotations create.
const nextMarker = "vault-test-config-2"

// rotate rotates the management key and requires success.
func (m *manager) rotate(conn connection) *provider.RotatedRoot {
	m.T.Helper()
	rotated, err := conn.RotateRoot(m.T.Context(), nextMarker, nil)
	require.NoError(m.T, err)
	return rotated
}

// liveNamed counts the live keys with this name.
func (m *manager) liveNamed(name string) int {
	count := 0
	for _, credential := range m.Issued() {
		if credential.Marker == name && credential.Live {
			count++
		}
	}
	return count
}

// requireRootOnly requires that the current management key works and that no new one is left.
func (m *manager) requireRootOnly() {
	m.T.Helper()
	_, err := m.open(m.rootFields()).Check(m.T.Context())
	require.NoError(m.T, err)
	require.Zero(m.T, m.liveNamed(nextMarker))
	require.Equal(m.T, 1, m.liveNamed("vault-management"))
}

func TestRotateRoot_NewKey_HasTheSameRoleAndExpiry(t *testing.T) {
	for name, test := range map[string]struct {
		expires  string
		switches []string
		warnings int
	}{
		"never expires":                 {"", nil, 1},
		"expires":                       {"720h", nil, 2},
		"expires, other clock":          {"720h", []string{emulator.SwitchClockSkew, "-5h"}, 2},
		"expires, not in the answer":    {"720h", []string{"expiry_in_answer", "no"}, 2},
		"never expires, status 201":     {"", []string{"create_status", "201"}, 1},
		"expires, the manager's second": {"720h", []string{"expiry_precision", "second"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, test.switches...)
			m.Act("set_expiry", "in", test.expires)
			before, err := m.open(m.rootFields()).Check(t.Context())
			require.NoError(t, err)

			rotated := m.rotate(m.open(m.rootFields()))
			assert.ElementsMatch(t, []string{"api_key", "api_key_id"}, keysOf(rotated.Fields))
			assert.Equal(t, 2, rotated.Fields["api_key_id"])
			assert.False(t, rotated.InvalidatesCredentials)
			require.Len(t, rotated.Warnings, test.warnings)
			assert.Contains(t, rotated.Warnings[0], "vault-management")
			assert.Contains(t, rotated.Warnings[0], "deleted")

			after, err := m.open(rotated.Fields).Check(t.Context())
			require.NoError(t, err)
			assert.Equal(t, nextMarker, after.Identity)
			assert.Equal(t, before.Details["role_id"], after.Details["role_id"])
			assert.Equal(t, before.RootExpiresAt, after.RootExpiresAt)
			if test.expires != "" {
				assert.Contains(t, rotated.Warnings[1], after.RootExpiresAt.Format(time.RFC3339))
			}
			assert.Equal(t, 1, m.liveNamed("vault-management"), "the engine revokes the previous key")
			assert.Equal(t, 1, m.Requested("createApiKey"))
		})
	}
}

func TestRotateRoot_FirstRoleOfManager_IsKept(t *testing.T) {
	m := newManager(t)
	m.Act("set_role", "role_id", "1")
	rotated := m.rotate(m.open(m.rootFields()))
	after, err := m.open(rotated.Fields).Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, after.Details["role_id"])
}

func TestRotateRoot_ExpiryChanged_Warns(t *testing.T) {
	for precision, warning := range map[string]string{"nothing": "expiry to never", "day_start": "expiry to 20"} {
		m := newManager(t)
		m.Act("set_expiry", "in", "720h30m")
		m.Set("expiry_precision", precision)
		rotated := m.rotate(m.open(m.rootFields()))
		require.Len(t, rotated.Warnings, 2)
		assert.Contains(t, rotated.Warnings[1], warning)
	}
}

func TestRotateRoot_RevokePrevious_DeletesOnlyThatKey(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	other := m.Act("create_key", "name", "a person's")
	rotated := m.rotate(conn)
	successor := m.open(rotated.Fields)
	for range 2 {
		require.NoError(t, successor.Revoke(t.Context(), rotated.Previous))
		assert.Zero(t, m.liveNamed("vault-management"))
	}
	assert.Equal(t, 1, m.liveNamed(nextMarker))
	assert.Equal(t, 1, m.liveNamed("a person's"))
	_, err := m.open(fields{"api_key": other["api_key"]}).Check(t.Context())
	require.NoError(t, err)
	_, err = m.open(m.rootFields()).Check(t.Context())
	assert.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%v", err)

	_, err = successor.Renew(t.Context(), credential.Handle, time.Hour)
	require.NoError(t, err, "credentials of the previous key stay valid")
	require.NoError(t, successor.Revoke(t.Context(), credential.Handle))
}

func TestRotateRoot_LostResponse_LeavesNoKey(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"dropped after acting":  {DropAfter: true},
		"dropped before acting": {DropBefore: true},
		"truncated":             {Truncate: true},
		"502":                   {Status: http.StatusBadGateway},
		"a proxy's page":        {Body: new("<html><body>Log in here</body></html>")},
		"a proxy's object":      {Body: new("{}")},
		"no secret":             {Body: new(`{"ID":2,"keyName":"` + nextMarker + `"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			fault.Route = "createApiKey"
			m.InjectFault(fault)
			_, err := m.open(m.rootFields()).RotateRoot(t.Context(), nextMarker, nil)
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassAmbiguous, failure.Class)
			assert.Contains(t, failure.Message, "no new key is left")
			assert.Contains(t, failure.Remedy, "config/edge/rotate-root")
			assert.Equal(t, 1, m.Requested("createApiKey"), "sent once")
			m.requireRootOnly()
		})
	}
}

func TestRotateRoot_LostResponseAndSearch_NamesTheKey(t *testing.T) {
	for name, route := range map[string]string{"not searched": "searchApiKeys", "not deleted": "deleteApiKey"} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			m.InjectFault(emulator.Fault{Route: "createApiKey", DropAfter: true})
			m.InjectFault(emulator.Fault{Route: route, DropBefore: true})
			_, err := m.open(m.rootFields()).RotateRoot(t.Context(), nextMarker, nil)
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassAmbiguous, failure.Class)
			assert.NotContains(t, failure.Message, "no new key is left")
			assert.Contains(t, failure.Remedy, nextMarker)
			assert.Contains(t, failure.Remedy, "continues to search")
			assert.NotContains(t, failure.Error(), m.rootFields()["api_key"])
			assert.Equal(t, 1, m.liveNamed(nextMarker))

			m.EndFaults()
			require.NoError(t, errOf(m.open(m.rootFields()).RevokeMarker(t.Context(), nextMarker)), "the engine retries this later")
			m.requireRootOnly()
		})
	}
}

func TestRotateRoot_Canceled_LeavesNoKey(t *testing.T) {
	for _, route := range []string{"createApiKey", "describeCurrentApiKey"} {
		t.Run(route, func(t *testing.T) {
			m := newManager(t)
			conn := m.open(m.rootFields())
			_, err := conn.Check(t.Context())
			require.NoError(t, err)
			seen := len(m.operations())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			fault := emulator.Fault{Route: route, Delay: time.Minute}
			if route == "describeCurrentApiKey" {
				fault.Skip = 1 // the request that describes the current key
			}
			m.InjectFault(fault)
			done := make(chan error, 1)
			go func() {
				_, err := conn.RotateRoot(ctx, nextMarker, nil)
				done <- err
			}()
			awaited := map[string]int{"createApiKey": 2, "describeCurrentApiKey": 3}[route]
			require.Eventually(t, func() bool { return len(m.operations()) >= seen+awaited }, 5*time.Second, time.Millisecond)
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
			m.EndFaults()
			m.requireRootOnly()
		})
	}
}

func TestRotateRoot_MissingRight_IsForbidden(t *testing.T) {
	for _, switches := range [][]string{nil, {"bad_secret_status", "403"}} {
		m := newManager(t, switches...)
		withoutRight("canCreateNewApiKeys")(m)
		_, err := m.open(m.rootFields()).RotateRoot(t.Context(), nextMarker, nil)
		failure := providerError(t, err)
		assert.Equal(t, provider.ClassForbidden, failure.Class)
		assert.Contains(t, failure.Remedy, "canCreateNewApiKeys")
		assert.Contains(t, failure.Remedy, "config/edge")
		m.requireRootOnly()
	}
}

func TestRotateRoot_RejectedCreate_IsDefinite(t *testing.T) {
	for status, class := range map[int]provider.Class{
		http.StatusBadRequest:          provider.ClassInvalid,
		http.StatusUnauthorized:        provider.ClassUnauthenticated,
		http.StatusForbidden:           provider.ClassForbidden,
		http.StatusNotFound:            provider.ClassInvalid,
		http.StatusConflict:            provider.ClassInvalid,
		http.StatusUnprocessableEntity: provider.ClassInvalid,
		http.StatusTooManyRequests:     provider.ClassRateLimited,
		http.StatusServiceUnavailable:  provider.ClassUnavailable,
	} {
		m := newManager(t)
		m.InjectFault(emulator.Fault{Route: "createApiKey", Status: status})
		_, err := m.open(m.rootFields()).RotateRoot(t.Context(), nextMarker, nil)
		failure := providerError(t, err)
		assert.Equal(t, class, failure.Class, "%v", err)
		assert.Equal(t, 1, m.Requested("createApiKey"), "sent once")
		if class == provider.ClassInvalid {
			assert.Contains(t, failure.Remedy, "create a key with the role 3")
		}
		m.requireRootOnly()
	}
}

func TestRotateRoot_UnusableKey_IsDeleted(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		class provider.Class
	}{
		"rejected":       {emulator.Fault{Status: http.StatusUnauthorized}, provider.ClassForbidden},
		"rejected, 403":  {emulator.Fault{Status: http.StatusForbidden}, provider.ClassForbidden},
		"unavailable":    {emulator.Fault{Status: http.StatusServiceUnavailable}, provider.ClassUnavailable},
		"lost":           {emulator.Fault{DropAfter: true}, provider.ClassUnavailable},
		"a proxy's page": {emulator.Fault{Body: new("<html></html>")}, provider.ClassUnavailable},
		"another key":    {emulator.Fault{Body: new(`{"ID":99}`)}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			test.fault.Route, test.fault.Skip = "describeCurrentApiKey", 1
			m.InjectFault(test.fault)
			_, err := m.open(m.rootFields()).RotateRoot(t.Context(), nextMarker, nil)
			assert.Equal(t, test.class, provider.ClassOf(err), "%v", err)
			m.EndFaults()
			m.requireRootOnly()
		})
	}
}

func TestRotateRoot_UnusableKeyNotDeleted_IsAmbiguous(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Status: http.StatusUnauthorized, Skip: 1, Times: 1})
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", DropBefore: true})
	_, err := m.open(m.rootFields()).RotateRoot(t.Context(), nextMarker, nil)
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class)
	assert.Contains(t, failure.Remedy, nextMarker)
	assert.Equal(t, 1, m.liveNamed(nextMarker))
}

func TestRotateRoot_Undo_DeletesTheNewKey(t *testing.T) {
	m := newManager(t)
	rotated := m.rotate(m.open(m.rootFields()))
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", DropBefore: true, Times: 1})
	require.Error(t, rotated.Undo(t.Context()))
	require.NoError(t, rotated.Undo(t.Context()))
	require.NoError(t, rotated.Undo(t.Context()), "Undo is idempotent")
	m.requireRootOnly()
}

func TestRotateRoot_CurrentKeyUnreadable_CreatesNothing(t *testing.T) {
	for answer, class := range map[string]provider.Class{
		`{"ID":0,"keyName":"x","roleID":3}`:                     provider.ClassUnavailable,
		`{"ID":-1,"keyName":"x","roleID":3}`:                    provider.ClassUnavailable,
		`{"ID":1,"keyName":"x"}`:                                provider.ClassUnavailable,
		`{"ID":1,"keyName":"","roleID":3}`:                      provider.ClassInvalid,
		`{"ID":1,"keyName":"` + nextMarker + `","roleID":3}`:    provider.ClassInvalid,
		`<html><body>Log in here</body></html>`:                 provider.ClassUnavailable,
		`{"ID":1,"keyName":"x","roleID":3,"expiryDate":"soon"}`: provider.ClassUnavailable,
	} {
		m := newManager(t)
		m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Body: &answer, Times: 1})
		_, err := m.open(m.rootFields()).RotateRoot(t.Context(), nextMarker, nil)
		assert.Equal(t, class, provider.ClassOf(err), "%s: %v", answer, err)
		assert.Zero(t, m.Requested("createApiKey"))
		m.requireRootOnly()
	}
}

func TestRotateRoot_CurrentKeyRejected_BacksOff(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	m.Act("lock_key")
	for range 2 {
		_, err := conn.RotateRoot(t.Context(), nextMarker, nil)
		assert.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err), "%v", err)
	}
	assert.Len(t, m.operations(), 1, "no request was sent")
}

func TestRotateRoot_BeforeBootstrap_IsInvalid(t *testing.T) {
	m := newManager(t)
	pending := m.open(m.bootstrapFields(nil))
	proposed, err := pending.ProposeRoot(nil)
	require.NoError(t, err)
	assert.Nil(t, proposed, "the manager generates the secret")
	_, err = pending.RotateRoot(t.Context(), nextMarker, nil)
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
	assert.Empty(t, m.operations())
}

func TestRotateRoot_BootstrappedKey_IsReplaced(t *testing.T) {
	m := newManager(t)
	bootstrapped, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
	require.NoError(t, err)
	rotated := m.rotate(m.open(bootstrapped.Fields))
	require.NoError(t, m.open(rotated.Fields).Revoke(t.Context(), rotated.Previous))
	assert.Zero(t, m.liveNamed(rootMarker))
	assert.Equal(t, 1, m.liveNamed(nextMarker))
}

// The manager's response to a request with the new key can contain both secrets.
func TestRotateRoot_EchoedSecrets_AreRedacted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch key := r.Header.Get("api-secret-key"); {
		case r.Method == http.MethodPost && r.URL.Path == "/api/apikeys":
			_, _ = w.Write([]byte(`{"ID":2,"keyName":"` + nextMarker + `","secretKey":"2:new-hush-hush"}`))
		case key == "1:old-hush-hush" && r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"ID":1,"keyName":"x","roleID":3}`))
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"message":"` + key + ` is not 1:old-hush-hush"}`))
		}
	}))
	defer server.Close()
	conn, err := trend.New().Open(provider.Config{
		Address: server.URL, AllowAddresses: providertest.Loopback(),
		Fields: &framework.FieldData{Raw: fields{"api_key": "1:old-hush-hush"}, Schema: trend.New().ConfigFields()},
	})
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.(provider.RootRotator).RotateRoot(t.Context(), nextMarker, nil)
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class, "the new key could not be deleted either")
	assert.NotContains(t, failure.Error(), "hush")
}
