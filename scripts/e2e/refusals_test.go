package e2e

import (
	"errors"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// statusOf returns the HTTP status and the text of Vault's refusal.
func statusOf(t *testing.T, err error) (int, string) {
	t.Helper()
	refusal, ok := errors.AsType[*api.ResponseError](err)
	require.True(t, ok, "%v", err)
	return refusal.StatusCode, refusal.Error()
}

func TestConfig_InvalidInput_Is400AndStoresNothing(t *testing.T) {
	client, mountPath := reset(t)
	for name, test := range map[string]struct {
		vendor  string
		changes map[string]any
		message string
	}{
		"unknown vendor":         {"ftd", map[string]any{"vendor": "acme"}, `"vendor"`},
		"another vendor's field": {"lacework", map[string]any{"password": "x"}, `"password"`},
		"empty secret":           {"ftd", map[string]any{"password": ""}, `"password"`},
		"malformed address":      {"ftd", map[string]any{"address": "https://fire wall"}, `"address"`},
		"http beyond loopback":   {"ftd", map[string]any{"address": "http://192.0.2.1"}, `"address"`},
		"malformed CA":           {"ftd", map[string]any{"ca_cert": "nonsense"}, `"ca_cert"`},
		"wrong credential":       {"lacework", map[string]any{"secret_key": "wrong"}, `secret_key`},
		"TLS not trusted":        {"ftd", map[string]any{"ca_cert": ""}, `ca_cert`},
	} {
		t.Run(name, func(t *testing.T) {
			fields := configFields(t, test.vendor)
			for field, value := range test.changes {
				fields[field] = value
			}
			_, err := client.Logical().WriteWithContext(t.Context(), mountPath+"/config/bad", fields)
			status, text := statusOf(t, err)
			require.Equal(t, http.StatusBadRequest, status, text)
			require.Contains(t, text, test.message)
			stored, err := client.Logical().ReadWithContext(t.Context(), mountPath+"/config/bad")
			require.NoError(t, err)
			require.Nil(t, stored)
		})
	}
}

// Vault's client retries 5xx answers. A definite refusal must not cause a second login at the vendor.
func TestRead_VendorRefuses_SendsOneLogin(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main"})
	_, err := server.Control().Act(t.Context(), "ftd", "change_password", map[string]string{"password": "Changed-by-4-person"})
	require.NoError(t, err)
	before := operations(t, "ftd", "password")
	_, err = client.Logical().ReadWithContext(t.Context(), mountPath+"/creds/app")
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusBadRequest, status, text)
	require.Contains(t, text, "config/main")
	require.Equal(t, before+1, operations(t, "ftd", "password"))
}

func TestRead_AnswerLost_IsNotRepeated(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main"})
	require.NoError(t, server.Control().AddFault(t.Context(), devserver.Fault{
		Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1,
	}))
	_, err := client.Logical().ReadWithContext(t.Context(), mountPath+"/creds/app")
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusFailedDependency, status, text)
	require.Equal(t, 1, operations(t, "ftd", "custom_token"))
}

func TestRead_AtTheLimit_Is409WithUsedAndLimit(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main"})
	for range 3 {
		read(t, client, mountPath+"/creds/app")
	}
	_, err := client.Logical().ReadWithContext(t.Context(), mountPath+"/creds/app")
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusConflict, status, text)
	require.Contains(t, text, "3 of 3")
	require.Equal(t, 3, live(t, "ftd", "leased"))
}
