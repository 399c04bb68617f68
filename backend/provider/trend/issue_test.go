package trend_test

import (
	"encoding/json"
	"io"
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

func TestIssue_Credential_HasAllTerms(t *testing.T) {
	m := newManager(t)
	credential := m.issue(m.open(m.rootFields()))
	assert.Regexp(t, `^2:`, credential.Token)
	assert.Equal(t, "api-secret-key", credential.TokenType)
	assert.Equal(t, m.Address(), credential.Address)
	assert.Equal(t, map[string]any{"api_key_id": 2, "key_name": marker, "api_version": "v1"}, credential.Data)
	var handle map[string]any
	require.NoError(t, json.Unmarshal(credential.Handle, &handle))
	assert.Regexp(t, `^guid:[0-9A-F-]{36}$`, handle["tenant"])
	delete(handle, "tenant")
	assert.Equal(t, map[string]any{"v": 1.0, "id": 2.0, "name": "vault-test-reader-1"}, handle)
	assert.Equal(t, m.Clock.Now().Add(time.Hour), credential.ExpiresAt)
	assert.Empty(t, credential.Warnings)
}

func TestIssue_RoleSettings_AreSent(t *testing.T) {
	var sent map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/apikeys" {
			content, _ := io.ReadAll(r.Body)
			_ = json.Unmarshal(content, &sent)
		}
		_, _ = w.Write([]byte(`{"ID":7,"secretKey":"7:x","expiryDate":99999999999999}`))
	}))
	defer server.Close()
	conn, err := trend.New().Open(provider.Config{
		Address: server.URL, AllowAddresses: providertest.Loopback(), Fields: &framework.FieldData{Raw: fields{"api_key": "1:x"}, Schema: trend.New().ConfigFields()},
	})
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Issue(t.Context(), hourRequest(fields{"description": "billing", "locale": "ja-JP", "time_zone": "Asia/Tokyo"}))
	require.NoError(t, err)
	assert.NotZero(t, sent["expiryDate"])
	delete(sent, "expiryDate")
	assert.Equal(t, map[string]any{
		"keyName": marker, "description": "billing (by Vault)", "roleID": 4.0, "locale": "ja-JP", "timeZone": "Asia/Tokyo",
	}, sent)
}

func TestIssue_SecondKey_NeedsNoHandshake(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	m.issue(conn)
	require.NoError(t, errOf(conn.RevokeMarker(t.Context(), marker)))
	before := len(m.operations())
	m.issue(conn)
	assert.Equal(t, []string{"createApiKey 200"}, m.operations()[before:])
	assert.Equal(t, []string{"describeCurrentApiKey 200", "createApiKey 200"}, m.operations()[:2])
}

func TestIssue_NoDateHeader_UsesTheLocalClock(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: emulator.AnyRoute, Header: map[string]string{"Date": "none"}})
	credential := m.issue(m.open(m.rootFields()))
	assert.Equal(t, m.Clock.Now().Add(time.Hour), credential.ExpiresAt)
}

func TestIssue_RoleName_IsLookedUp(t *testing.T) {
	for name, test := range map[string]struct {
		roles    []string // additional roles
		roleName string
		failure  string
	}{
		"one":        {nil, "Deployment", ""},
		"none":       {nil, "Deploymen_", "no administrator role"},
		"case":       {nil, "deployment", "no administrator role"},
		"lookalikes": {[]string{"deployment", "DEPLOYMENT"}, "Deployment", ""},
		"several":    {[]string{"Deployment"}, "Deployment", "2 administrator roles"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			for _, other := range test.roles {
				m.Act("create_role", "name", other)
			}
			credential, err := m.open(m.rootFields()).Issue(t.Context(), hourRequest(fields{"role_id": nil, "role_name": test.roleName}))
			if test.failure == "" {
				require.NoError(t, err)
				assert.NotEmpty(t, credential.Token)
				return
			}
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassInvalid, failure.Class)
			assert.Equal(t, "role_name", failure.Field)
			assert.Contains(t, failure.Message, test.failure)
		})
	}
}

func TestIssue_Rejected_HasClassAndRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		switches []string
		prepare  func(m *manager)
		role     fields
		class    provider.Class
		remedy   string
	}{
		"unknown role, 400": {nil, nil, fields{"role_id": 99}, provider.ClassInvalid, "role"},
		"unknown role, 404": {[]string{"unknown_role_status", "404"}, nil, fields{"role_id": 99}, provider.ClassInvalid, "role"},
		"unknown role, 422": {[]string{"unknown_role_status", "422"}, nil, fields{"role_id": 99}, provider.ClassInvalid, "role"},
		"duplicate name": {nil, func(m *manager) { m.Act("create_key", "name", marker) },
			nil, provider.ClassInvalid, ""},
		"long name":         {[]string{"maximum_name_length", "5"}, nil, nil, provider.ClassInvalid, ""},
		"no right for keys": {nil, withoutRight("canCreateNewApiKeys"), nil, provider.ClassForbidden, "canCreateNewApiKeys"},
		"no right for users": {nil, withoutRight("canCreateNewAdministrators"), nil,
			provider.ClassForbidden, "the right to create users"},
		"no right for roles": {nil, withoutRight("canViewAdministratorRoles"), fields{"role_id": nil, "role_name": "Deployment"},
			provider.ClassForbidden, "or use role_id"},
		"rate limit": {[]string{"rate_limit", "1"}, nil, nil, provider.ClassRateLimited, "500 calls a minute"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, test.switches...)
			if test.prepare != nil {
				test.prepare(m)
			}
			_, err := m.open(m.rootFields()).Issue(t.Context(), hourRequest(test.role))
			failure := providerError(t, err)
			assert.Equal(t, test.class, failure.Class, failure.Error())
			assert.Contains(t, failure.Remedy, test.remedy)
			assert.Zero(t, m.Live(emulator.KindLeased))
		})
	}
}

// withoutRight removes a right from the management key.
func withoutRight(right string) func(*manager) {
	return func(m *manager) {
		id := m.Act("create_role", "name", "lesser", "lacks", right)["role_id"]
		m.Act("set_role", "role_id", id)
	}
}

func TestIssue_ResponseWithoutSecret_DeletesTheKey(t *testing.T) {
	for name, body := range map[string]string{
		"no secret": `{"ID":2,"keyName":"` + marker + `"}`,
		"no ID":     `{"secretKey":"2:x"}`,
		"no JSON":   `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			// The fault replaces the response, so no key is created. This key stands for the created one.
			m.Act("create_key", "name", marker)
			m.InjectFault(emulator.Fault{Route: "createApiKey", Body: new(body), Times: 1})
			_, err := m.open(m.rootFields()).Issue(t.Context(), hourRequest(nil))
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassAmbiguous, failure.Class)
			assert.Contains(t, failure.Message, "was deleted")
			assert.Equal(t, 1, m.Live(emulator.KindLogin), "only the management key is left")
		})
	}
}

func TestIssue_UnusableKeyNotDeleted_IsAmbiguous(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: "createApiKey", Body: new("{}"), Times: 1})
	m.InjectFault(emulator.Fault{Route: "searchApiKeys", DropBefore: true})
	_, err := m.open(m.rootFields()).Issue(t.Context(), hourRequest(nil))
	failure := providerError(t, err)
	assert.Equal(t, provider.ClassAmbiguous, failure.Class)
	assert.Contains(t, failure.Message, "could not be deleted")
}

func TestIssue_Lifetime_IsAtLeastOneSecond(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	request := hourRequest(nil)
	request.Lifetime = time.Second
	credential, err := conn.Issue(t.Context(), request)
	require.NoError(t, err)
	assert.Equal(t, m.Clock.Now().Add(time.Second), credential.ExpiresAt)
	before := len(m.operations())
	request.Lifetime--
	_, err = conn.Issue(t.Context(), request)
	assert.Equal(t, "ttl", providerError(t, err).Field)
	assert.Len(t, m.operations(), before, "no request was sent")
}
