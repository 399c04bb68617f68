package provider_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

type testHandle struct {
	Version int    `json:"v"`
	Token   string `json:"token"`
}

func TestParseHandle_KnownVersion_IsDecoded(t *testing.T) {
	hasToken := func(h testHandle) bool { return h.Token != "" }
	handle, err := provider.ParseHandle("acme", json.RawMessage(`{"v":2,"token":"x"}`), 2, hasToken)
	require.NoError(t, err)
	require.Equal(t, testHandle{Version: 2, Token: "x"}, handle)

	_, err = provider.ParseHandle[testHandle]("acme", json.RawMessage(`{"v":2}`), 2, nil)
	require.NoError(t, err)
}

func TestParseHandle_AnythingElse_IsAnErrorWithoutItsContent(t *testing.T) {
	hasToken := func(h testHandle) bool { return h.Token != "" }
	for _, raw := range []string{"", "null", "[]", "{}", `{"v":2}`, `{"v":1,"token":"hunter2"}`, `{"v":2,"token":["hunter2"]}`, `{"v":"2","token":"hunter2"}`} {
		handle, err := provider.ParseHandle("acme", json.RawMessage(raw), 2, hasToken)
		require.EqualError(t, err, "acme: the stored handle of the credential cannot be understood", raw)
		require.Equal(t, provider.ClassUnknown, provider.ClassOf(err))
		require.Zero(t, handle)
	}
}
