package trend_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// A manager allows a limited number of calls a minute, so the number of calls is tested too.
func TestLease_WholeLife_CostsFourCalls(t *testing.T) {
	for name, role := range map[string]fields{"role_id": nil, "role_name": {"role_id": nil, "role_name": "Auditor"}} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			conn := m.open(m.rootFields())
			first, err := conn.Issue(t.Context(), hourRequest(role))
			require.NoError(t, err)
			require.NoError(t, conn.Revoke(t.Context(), first.Handle))
			before := len(m.operations())

			credential, err := conn.Issue(t.Context(), hourRequest(role))
			require.NoError(t, err)
			_, err = conn.Renew(t.Context(), credential.Handle, 2*time.Hour)
			require.NoError(t, err)
			require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
			assert.Equal(t, []string{"createApiKey 200", "modifyApiKey 200", "deleteApiKey 204", "searchApiKeys 200"}, m.operations()[before:])
		})
	}
}

func TestRevoke_AfterRestart_AddsOneHandshake(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	first, second := issueNamed(t, conn, "vault-1"), issueNamed(t, conn, "vault-2")
	before := len(m.operations())
	restarted := m.open(m.rootFields())
	require.NoError(t, restarted.Revoke(t.Context(), first.Handle))
	require.NoError(t, restarted.Revoke(t.Context(), second.Handle))
	assert.Equal(t, []string{
		"describeCurrentApiKey 200", "deleteApiKey 204", "searchApiKeys 200", "deleteApiKey 204", "searchApiKeys 200",
	}, m.operations()[before:])
}

// changedHandle returns a handle with other members. Nil removes a member.
func changedHandle(t *testing.T, handle json.RawMessage, changes fields) json.RawMessage {
	t.Helper()
	var members fields
	require.NoError(t, json.Unmarshal(handle, &members))
	for name, value := range changes {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	changed, err := json.Marshal(members)
	require.NoError(t, err)
	return changed
}

// The ID in a handle is that of another key if the management key belongs to another tenant now.
func TestHandle_OfAnotherTenant_IsCheckedBeforeUse(t *testing.T) {
	for name, tenant := range map[string]any{"another tenant": "guid:6F9619FF-8B86-D011-B42D-00CF4FC964FF", "not known": nil} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			conn := m.open(m.rootFields())
			unrelated := m.issue(conn)
			before := len(m.operations())

			foreign := changedHandle(t, unrelated.Handle, fields{"tenant": tenant, "name": "vault-ours"})
			_, err := conn.Renew(t.Context(), foreign, 2*time.Hour)
			assert.Contains(t, providerError(t, err).Message, "is not the leased key")
			assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
			err = conn.Revoke(t.Context(), foreign)
			assert.Equal(t, provider.ClassInvalid, providerError(t, err).Class)
			for _, operation := range m.operations()[before:] {
				assert.NotContains(t, operation, "modifyApiKey")
				assert.NotContains(t, operation, "deleteApiKey")
			}
			assert.Equal(t, 1, m.Live(emulator.KindLeased))

			own := changedHandle(t, unrelated.Handle, fields{"tenant": tenant})
			_, err = conn.Renew(t.Context(), own, 2*time.Hour)
			require.NoError(t, err)
			require.NoError(t, conn.Revoke(t.Context(), own))
			assert.Zero(t, m.Live(emulator.KindLeased))
			require.NoError(t, conn.Revoke(t.Context(), own), "it is already gone")
			_, err = conn.Renew(t.Context(), own, 2*time.Hour)
			assert.Equal(t, provider.ClassNotFound, providerError(t, err).Class)
		})
	}
}

// Without a GUID of the tenant, the management key itself identifies it.
func TestHandle_WithoutTenantGUID_IsOwnUnderSameKey(t *testing.T) {
	m := newManager(t)
	current := `{"ID":1,"roleID":3,"keyName":"management","created":1767300000000}`
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Body: &current})
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	before := len(m.operations())
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	assert.Equal(t, []string{"deleteApiKey 204", "searchApiKeys 200"}, m.operations()[before:])

	credential = m.issue(conn)
	m.EndFaults()
	before = len(m.operations())
	require.NoError(t, m.open(m.rootFields()).Revoke(t.Context(), credential.Handle))
	assert.Equal(t, []string{
		"describeCurrentApiKey 200", "searchApiKeys 200", "deleteApiKey 204", "searchApiKeys 200",
	}, m.operations()[before:])
}

// A key that nothing identifies can belong to any tenant, so each handle is checked before use.
func TestHandle_ManagerIdentifiesNothing_IsChecked(t *testing.T) {
	m := newManager(t)
	current := `{"ID":1,"roleID":3,"keyName":"management"}`
	m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Body: &current})
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	before := len(m.operations())
	require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	assert.Equal(t, []string{"searchApiKeys 200", "deleteApiKey 204", "searchApiKeys 200"}, m.operations()[before:])
}

// A response to the modification that does not show the key proves nothing about it.
func TestRenew_ResponseWithoutKey_ReadsTheKey(t *testing.T) {
	for name, body := range map[string]string{
		"no name": `{"ID":2,"expiryDate":1767330000000}`, "empty object": `{}`, "no ID": `{"keyName":"vault-test-reader-1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			conn := m.open(m.rootFields())
			credential := m.issue(conn)
			m.InjectFault(emulator.Fault{Route: "modifyApiKey", Body: &body})
			end, err := conn.Renew(t.Context(), credential.Handle, 2*time.Hour)
			require.NoError(t, err)
			assert.Equal(t, m.Clock.Now().Add(time.Hour), end, "the fault has modified nothing")
			assert.Equal(t, "describeApiKey 200", m.operations()[len(m.operations())-1])
		})
	}
	for _, body := range []string{`{"ID":2,"keyName":"other"}`, `{"ID":3,"keyName":"vault-test-reader-1"}`} {
		m := newManager(t)
		conn := m.open(m.rootFields())
		credential := m.issue(conn)
		m.InjectFault(emulator.Fault{Route: "modifyApiKey", Body: &body})
		_, err := conn.Renew(t.Context(), credential.Handle, 2*time.Hour)
		assert.Contains(t, providerError(t, err).Message, "is not the leased key")
	}
}

// A response to the search that proves nothing is replaced by reading the key.
func TestRevoke_SearchProvesNothing_ReadsTheKey(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"no list":              {Body: new("{}")},
		"other keys":           {Body: new(`{"apiKeys":[{"ID":1,"keyName":"management"}]}`)},
		"condition not known":  {Status: http.StatusBadRequest},
		"condition not served": {Status: http.StatusUnprocessableEntity},
	} {
		for _, deleted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, deleted %t", name, deleted), func(t *testing.T) {
				m := newManager(t)
				conn := m.open(m.rootFields())
				credential := m.issue(conn)
				fault.Route = search
				m.InjectFault(fault)
				if !deleted {
					m.InjectFault(emulator.Fault{Route: "deleteApiKey", Status: http.StatusNoContent})
				}
				err := conn.Revoke(t.Context(), credential.Handle)
				assert.Equal(t, deleted, err == nil, "%v", err)
				assert.True(t, slices.ContainsFunc(m.operations(), func(operation string) bool {
					return operation == "describeApiKey 200" || operation == "describeApiKey 404"
				}))
			})
		}
	}
}

func TestRoleName_ID_IsRememberedForAWhile(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	searches := func() int { return m.Requested("searchAdministratorRoles") }
	named := func(name string) provider.IssueRequest {
		request := hourRequest(fields{"role_id": nil, "role_name": "Auditor"})
		request.Marker = name
		return request
	}
	for i := range 3 {
		_, err := conn.Issue(t.Context(), named(fmt.Sprintf("vault-%d", i)))
		require.NoError(t, err)
	}
	assert.Equal(t, 1, searches())
	m.Clock.Advance(10 * time.Minute)
	_, err := conn.Issue(t.Context(), named("vault-later"))
	require.NoError(t, err)
	assert.Equal(t, 2, searches(), "another role may have the name now")
	m.InjectFault(emulator.Fault{Route: "createApiKey", Status: http.StatusBadRequest, Times: 1})
	_, err = conn.Issue(t.Context(), named("vault-rejected"))
	require.Error(t, err)
	_, err = conn.Issue(t.Context(), named("vault-again"))
	require.NoError(t, err)
	assert.Equal(t, 3, searches(), "the manager may have rejected the role")
}
