package trend_test

import (
	"fmt"
	"maps"
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

// rootMarker is the marker of the management keys that a bootstrap creates.
const rootMarker = "vault-test-config-1"

func TestBootstrap_Login_CreatesAWorkingKey(t *testing.T) {
	for name, test := range map[string]struct {
		switches []string
		changes  fields
	}{
		"defaults":         {nil, nil},
		"create 201":       {[]string{"create_status", "201"}, nil},
		"MFA":              {[]string{"mfa_required", "yes"}, fields{"mfa_code": "492039"}},
		"tenant":           {[]string{"tenant_name_required", "yes"}, fields{"tenant_name": "acme"}},
		"strict sessions":  {[]string{"lenient_sessions", "no"}, nil},
		"tenant's secrets": {[]string{"secret_form", "tenant"}, nil},
		// The config had another key before.
		"replaces a key": {nil, fields{"api_key": "", "api_key_id": 9}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, test.switches...)
			pending := m.open(m.bootstrapFields(test.changes))
			require.True(t, pending.NeedsBootstrap())
			bootstrapped, err := pending.Bootstrap(t.Context(), rootMarker)
			require.NoError(t, err)
			assert.ElementsMatch(t, []string{"api_key", "api_key_id"}, keysOf(bootstrapped.Fields))
			assert.Equal(t, 2, bootstrapped.Fields["api_key_id"])
			require.Len(t, bootstrapped.Warnings, 1)
			assert.Contains(t, bootstrapped.Warnings[0], rootMarker)
			line := m.Issued()[1]
			assert.Equal(t, emulator.KindLogin, line.Kind)
			assert.Equal(t, rootMarker, line.Marker)
			assert.Nil(t, line.ExpiresAt)

			conn := m.open(bootstrapped.Fields)
			assert.False(t, conn.NeedsBootstrap())
			checked, err := conn.Check(t.Context())
			require.NoError(t, err)
			assert.Equal(t, rootMarker, checked.Identity)
			assert.Empty(t, checked.Warnings)
			credential := m.issue(conn)
			require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
			assert.Equal(t, []string{"createSession 200", "describeCurrentApiKey 200"}, []string{m.operations()[0], m.operations()[2]})
		})
	}
}

func keysOf(raw fields) []string {
	var keys []string
	for key := range maps.Keys(raw) {
		keys = append(keys, key)
	}
	return keys
}

func TestBootstrap_Undo_DeletesTheKey(t *testing.T) {
	m := newManager(t)
	bootstrapped, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
	require.NoError(t, err)
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", DropBefore: true, Times: 1})
	require.Error(t, bootstrapped.Undo(t.Context()))
	require.NoError(t, bootstrapped.Undo(t.Context()))
	require.NoError(t, bootstrapped.Undo(t.Context()), "Undo is idempotent")
	assert.Equal(t, 1, m.Live(emulator.KindLogin))
}

func TestBootstrap_RejectedLogin_IsUnauthenticated(t *testing.T) {
	for _, status := range []string{"400", "401", "403"} {
		m := newManager(t, "bad_login_status", status)
		_, err := m.open(m.bootstrapFields(fields{"password": "hunter2hunter2"})).Bootstrap(t.Context(), rootMarker)
		failure := providerError(t, err)
		assert.Equal(t, provider.ClassUnauthenticated, failure.Class)
		assert.Contains(t, failure.Remedy, "mfa_code")
		assert.NotContains(t, failure.Error(), "hunter2")
		assert.Len(t, m.operations(), 1, "sent once")
	}
}

// A user is locked after wrong passwords, also those of other clients.
func TestBootstrap_UserLocked_NamesTheUnlockCommand(t *testing.T) {
	m := newManager(t, "failed_logins_until_lockout", "1")
	_, err := m.open(m.bootstrapFields(fields{"password": "wrong"})).Bootstrap(t.Context(), rootMarker)
	require.Error(t, err)
	_, err = m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassUnauthenticated, failure.Class)
	assert.Contains(t, failure.Remedy, "dsm_c -action unlockout -username USERNAME")
	m.Act("unlock_user")
	_, err = m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
	require.NoError(t, err)
}

func TestBootstrap_EchoedSecrets_AreRedacted(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: "createSession", Status: http.StatusBadRequest, Body: new(`{"message":"hunter2hunter2 and 112233 are wrong"}`)})
	_, err := m.open(m.bootstrapFields(fields{"password": "hunter2hunter2", "mfa_code": "112233"})).Bootstrap(t.Context(), rootMarker)
	assert.NotContains(t, err.Error(), "hunter2")
	assert.NotContains(t, err.Error(), "112233")
}

func TestBootstrap_EchoedSession_IsRedacted(t *testing.T) {
	var headers http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/sessions" {
			http.SetCookie(w, &http.Cookie{Name: "AWSALB", Value: "balancer-secret"})
			http.SetCookie(w, &http.Cookie{Name: "sID", Value: "session-secret"})
			_, _ = w.Write([]byte(`{"RID":"request-secret"}`))
			return
		}
		headers = r.Header
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"message":"balancer-secret, session-secret, request-secret"}`))
	}))
	defer server.Close()
	conn, err := trend.New().Open(provider.Config{
		Address: server.URL, AllowAddresses: providertest.Loopback(),
		Fields: &framework.FieldData{
			Raw: fields{"username": "u", "password": "p", "bootstrap_role_id": 1}, Schema: trend.New().ConfigFields(),
		},
	})
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.(provider.Bootstrapper).Bootstrap(t.Context(), rootMarker)
	assert.NotContains(t, providerError(t, err).Error(), "secret")
	assert.Equal(t, "AWSALB=balancer-secret; sID=session-secret", headers.Get("Cookie"), "a load balancer's cookie is sent back too")
	assert.Equal(t, "request-secret", headers.Get("rID"))
	assert.Equal(t, "v1", headers.Get("api-version"))
	assert.Empty(t, headers.Get("api-secret-key"))
}

func TestBootstrap_LostLogin_IsUnavailable(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"dropped":     {DropAfter: true},
		"no cookie":   {Body: new(`{"RID":"x"}`)},
		"no RID":      {Body: new(`{}`), Header: map[string]string{"Set-Cookie": "sID=x"}},
		"no JSON":     {Body: new(`<html>`)},
		"unavailable": {Status: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			fault.Route = "createSession"
			m.InjectFault(fault)
			_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
			assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
			assert.Len(t, m.operations(), 1, "sent once")
		})
	}
}

func TestBootstrap_WrongAddress_NamesTheField(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: "createSession", Status: http.StatusNotFound})
	_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassInvalid, failure.Class)
	assert.Equal(t, "address", failure.Field)
}

func TestBootstrap_LostCreate_DeletesTheKey(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"dropped after acting":  {DropAfter: true},
		"dropped before acting": {DropBefore: true},
		"an empty object":       {Body: new(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			fault.Route = "createApiKey"
			m.InjectFault(fault)
			_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassAmbiguous, failure.Class)
			assert.Contains(t, failure.Message, "no new key is left")
			assert.Equal(t, 1, m.Live(emulator.KindLogin), "only the management key is left")
		})
	}
}

// A proxy answers although the manager has created the key, or may still do so.
func TestBootstrap_ProxyAnswersCreate_IsAmbiguous(t *testing.T) {
	for _, status := range []int{408, 502, 503, 504} {
		for name, body := range map[string]string{
			"text": "upstream connect error", "page": "<html><body>Bad gateway</body></html>", "gateway's JSON": `{"message":"no route","request_id":"1"}`,
		} {
			t.Run(fmt.Sprintf("%d %s", status, name), func(t *testing.T) {
				m := newManager(t)
				m.InjectFault(emulator.Fault{Route: "createApiKey", Status: status, Body: new(body), ActBefore: true})
				_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
				failure := providerError(t, err)
				assert.Equal(t, provider.ClassAmbiguous, failure.Class)
				assert.Contains(t, failure.Message, "no new key is left")
				assert.Equal(t, 1, m.Live(emulator.KindLogin), "what the manager has created is deleted")
				assert.Equal(t, 1, m.Requested("createApiKey"), "sent once")
			})
		}
	}
}

func TestBootstrap_LostCreateAndSearch_NamesTheKey(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: "createApiKey", DropAfter: true})
	m.InjectFault(emulator.Fault{Route: "searchApiKeys", DropBefore: true})
	_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class)
	assert.Contains(t, failure.Remedy, rootMarker)
}

func TestBootstrap_RejectedCreate_HasItsClass(t *testing.T) {
	for status, class := range map[int]provider.Class{
		http.StatusBadRequest:         provider.ClassInvalid,
		http.StatusForbidden:          provider.ClassForbidden,
		http.StatusTooManyRequests:    provider.ClassRateLimited,
		http.StatusServiceUnavailable: provider.ClassUnavailable,
	} {
		m := newManager(t)
		m.InjectFault(emulator.Fault{Route: "createApiKey", Status: status})
		_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
		assert.Equal(t, class, provider.ClassOf(err), "%v", err)
	}
	m := newManager(t)
	_, err := m.open(m.bootstrapFields(fields{"bootstrap_role_id": 99})).Bootstrap(t.Context(), rootMarker)
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
}

func TestBootstrap_UnusableKey_IsDeleted(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		class provider.Class
	}{
		"rejected":    {emulator.Fault{Status: http.StatusUnauthorized}, provider.ClassForbidden},
		"unavailable": {emulator.Fault{Status: http.StatusServiceUnavailable}, provider.ClassUnavailable},
		"another key": {emulator.Fault{Body: new(`{"ID":99}`)}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			test.fault.Route = "describeCurrentApiKey"
			m.InjectFault(test.fault)
			_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
			assert.Equal(t, test.class, provider.ClassOf(err), "%v", err)
			assert.Equal(t, 1, m.Live(emulator.KindLogin))
		})
	}
}

func TestBootstrap_UnusableKeyNotDeleted_IsAmbiguous(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Status: http.StatusUnauthorized})
	m.InjectFault(emulator.Fault{Route: "deleteApiKey", DropBefore: true})
	_, err := m.open(m.bootstrapFields(nil)).Bootstrap(t.Context(), rootMarker)
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class)
	assert.Contains(t, failure.Remedy, rootMarker)
}

func TestBootstrap_Pending_OtherMethodsAreInvalid(t *testing.T) {
	m := newManager(t)
	pending := m.open(m.bootstrapFields(nil))
	handle := []byte(`{"v":1,"id":2,"name":"x"}`)
	_, issued := pending.Issue(t.Context(), hourRequest(nil))
	_, renewed := pending.Renew(t.Context(), handle, time.Hour)
	_, checked := pending.Check(t.Context())
	for _, err := range []error{issued, renewed, checked, pending.Revoke(t.Context(), handle), errOf(pending.RevokeMarker(t.Context(), marker))} {
		assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
	}
	assert.Empty(t, m.operations())
}

func TestBootstrap_ConfigWithAKey_IsInvalid(t *testing.T) {
	m := newManager(t)
	_, err := m.open(m.rootFields()).Bootstrap(t.Context(), rootMarker)
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
	assert.Empty(t, m.operations())
}
