package vendorfacts_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

func TestAll_EveryEmulatedVendor_HasAnEntry(t *testing.T) {
	var emulated []string
	for _, vendor := range all.Vendors() {
		emulated = append(emulated, vendor.Name)
	}
	require.ElementsMatch(t, emulated, vendorfacts.Names())
}

func TestAll_Entries_AgreeWithTheEmulators(t *testing.T) {
	for _, vendor := range all.Vendors() {
		t.Run(vendor.Name, func(t *testing.T) {
			facts := vendorfacts.Named(vendor.Name)
			server := emulatortest.Start(t, vendor)
			root := server.Root()
			assert.Len(t, root, len(facts.Root))
			for _, field := range facts.Root {
				assert.NotEmpty(t, root[field], field)
				assert.Equal(t, field == facts.Secret, vendorfacts.SecretField(field), field)
			}
			assert.Contains(t, facts.Root, facts.Secret)
			if facts.Bootstrap != nil {
				assert.NotEmpty(t, server.Login(), "the root credential is created from a login")
			}
			if facts.EndAction != nil {
				var actions []any
				for _, action := range server.Send("GET", server.ControlURL()+"/actions", nil).Body["actions"].([]any) {
					actions = append(actions, action.(map[string]any)["name"])
				}
				assert.Contains(t, actions, facts.EndAction.Name)
			}
			assert.Equal(t, facts.Revokes, facts.Operations.Revoke != "")
			assert.Equal(t, facts.Renewable(), facts.Operations.Renew != "")
		})
	}
}

// unknownCredential is a credential that no vendor has issued. The versioned part of FTD's address comes from the
// device.
func unknownCredential(server *emulatortest.Server) map[string]any {
	address := server.Address()
	if server.State().Vendors["ftd"].URL != "" {
		address += "/api/fdm/v6"
	}
	return map[string]any{"address": address, "token": "1:unknown", "token_type": "Bearer"}
}

func TestUse_UnknownCredential_IsRefused(t *testing.T) {
	for _, vendor := range all.Vendors() {
		t.Run(vendor.Name, func(t *testing.T) {
			facts, server := vendorfacts.Named(vendor.Name), emulatortest.Start(t, vendor)
			credential := unknownCredential(server)
			verdict, err := facts.Use(t.Context(), server.Client, credential)
			require.NoError(t, err)
			require.Equal(t, vendorfacts.Refused, verdict)
			for _, member := range []string{"address", "token"} {
				incomplete := map[string]any{"address": server.Address(), "token": "x"}
				delete(incomplete, member)
				_, err := facts.Use(t.Context(), server.Client, incomplete)
				require.ErrorContains(t, err, member)
			}
		})
	}
}

func TestUse_VendorFails_IsUnclear(t *testing.T) {
	for _, vendor := range all.Vendors() {
		t.Run(vendor.Name, func(t *testing.T) {
			facts, server := vendorfacts.Named(vendor.Name), emulatortest.Start(t, vendor)
			credential := unknownCredential(server)
			for _, fault := range []emulator.Fault{
				{Route: emulator.AnyRoute, Status: http.StatusServiceUnavailable},
				{Route: emulator.AnyRoute, Status: http.StatusFound, Body: new("<html>Log in here</html>")},
			} {
				server.InjectFault(fault)
				verdict, err := facts.Use(t.Context(), server.Client, credential)
				require.NoError(t, err)
				require.Equal(t, vendorfacts.Unclear, verdict)
				server.EndFaults()
			}
		})
	}
}

func TestJudge_RPCCode_DecidesInsteadOfTheStatus(t *testing.T) {
	judge := vendorfacts.Named("fortianalyzer").Judge
	for body, want := range map[string]vendorfacts.Verdict{
		`{"result":[{"status":{"code":0}}]}`:   vendorfacts.Accepted,
		`{"result":[{"status":{"code":-11}}]}`: vendorfacts.Refused,
		`{"result":[{"status":{"code":-3}}]}`:  vendorfacts.Unclear,
		`{"result":[{"status":{}}]}`:           vendorfacts.Unclear,
		`{"result":[]}`:                        vendorfacts.Unclear,
		`<html></html>`:                        vendorfacts.Unclear,
	} {
		assert.Equal(t, want, judge(http.StatusOK, []byte(body)), body)
	}
	assert.Equal(t, vendorfacts.Unclear, judge(http.StatusBadGateway, []byte(`{"result":[{"status":{"code":0}}]}`)))
}

func TestRequest_VendorsOwnMembers_AreUsed(t *testing.T) {
	for _, test := range []struct {
		vendor     string
		credential map[string]any
		url        string
		header     map[string]string
	}{
		{"fortianalyzer", map[string]any{"url": "https://other/jsonrpc"}, "https://other/jsonrpc", nil},
		{"fortianalyzer", nil, "https://product/jsonrpc", nil},
		{"trend", map[string]any{"api_version": "v9"}, "https://product/apikeys/current", map[string]string{"api-version": "v9"}},
		{"trend", nil, "https://product/apikeys/current", map[string]string{"api-version": "v1", "T": "t"}},
		{"lacework", map[string]any{"account_name": "emea"}, "https://product/api/v2/UserProfile", map[string]string{"Account-Name": "emea"}},
		{"ftd", nil, "https://product/object/networks", map[string]string{"Authorization": "T t"}},
	} {
		credential := map[string]any{"address": "https://product", "token": "t", "token_type": "T"}
		for member, value := range test.credential {
			credential[member] = value
		}
		request, err := vendorfacts.Named(test.vendor).Request(t.Context(), credential)
		require.NoError(t, err)
		assert.Equal(t, test.url, request.URL.String())
		for name, value := range test.header {
			assert.Equal(t, value, request.Header.Get(name), "%s: %s", test.vendor, name)
		}
	}
}

func TestMissing_HintsOfTheVendor_AreReported(t *testing.T) {
	trend := vendorfacts.Named("trend")
	assert.Equal(t, []string{"api_version", "api_key_id"}, trend.Missing(map[string]any{}))
	assert.Equal(t, []string{"api_key_id"}, trend.Missing(map[string]any{"api_version": "v1"}))
	assert.Empty(t, trend.Missing(map[string]any{"api_version": "v1", "api_key_id": 7}))
	assert.Equal(t, map[string]string{"id": "7"}, trend.EndAction.Arguments(map[string]any{"token": "7:secret"}))
}

func TestNamed_UnknownVendor_Panics(t *testing.T) {
	require.PanicsWithValue(t, "vendorfacts: no vendor acme", func() { vendorfacts.Named("acme") })
}

func TestComparableObservation_Lives_IgnoreTheRequest(t *testing.T) {
	for observed, expected := range map[string]string{
		"accepted": "accepted", "": "", "48m59s": "49m0s", "49m0s": "49m0s", "2m1s": "2m0s", "5s": "less than 30s", "7s": "less than 30s",
	} {
		require.Equal(t, expected, vendorfacts.ComparableObservation(observed), observed)
	}
}
