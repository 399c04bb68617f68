package fortianalyzer

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestOpen_InvalidField_NamesField(t *testing.T) {
	c := newCloud(t)
	for name, test := range map[string]struct {
		changes []any
		field   string
	}{
		"no username":                {[]any{fieldUsername, ""}, fieldUsername},
		"no password":                {[]any{fieldPassword, ""}, fieldPassword},
		"empty client_id":            {[]any{fieldClientID, ""}, fieldClientID},
		"empty auth_address":         {[]any{fieldAuthAddress, ""}, fieldAuthAddress},
		"auth_address over http":     {[]any{fieldAuthAddress, "http://customerapiauth.fortinet.com"}, fieldAuthAddress},
		"auth_address with a query":  {[]any{fieldAuthAddress, "https://customerapiauth.fortinet.com?x"}, fieldAuthAddress},
		"idle_timeout of zero":       {[]any{fieldIdleTimeout, 0}, fieldIdleTimeout},
		"negative idle_timeout":      {[]any{fieldIdleTimeout, -1}, fieldIdleTimeout},
		"idle_timeout above maximum": {[]any{fieldIdleTimeout, 28801}, fieldIdleTimeout},
		"idle_timeout as a word":     {[]any{fieldIdleTimeout, "soon"}, fieldIdleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New().Open(c.config(test.changes...))
			require.Equal(t, test.field, requireClass(t, provider.ClassInvalid, err).Field)
		})
	}
	config := c.config()
	config.Address = "http://1234567.us-west-1.fortianalyzer.forticloud.com"
	_, err := New().Open(config)
	require.Equal(t, "address", requireClass(t, provider.ClassInvalid, err).Field)
	require.Empty(t, c.Operations(), "Open makes no network call")
}

func TestOpen_FieldsAbsent_UsesDocumentedDefaults(t *testing.T) {
	c := newCloud(t)
	config := c.config()
	for _, field := range []string{fieldAuthAddress, fieldClientID, fieldIdleTimeout} {
		delete(config.Fields.Raw, field)
	}
	opened, err := New().Open(config)
	require.NoError(t, err)
	defer opened.Close()
	conn := opened.(*connection)
	require.Equal(t, "https://customerapiauth.fortinet.com", conn.api.oauth.BaseURL())
	require.Equal(t, "FortiAnalyzer", conn.api.clientID)
	require.Equal(t, 15*time.Minute, conn.MaxLifetime())
}

func TestOpen_StoredIdleTimeout_AcceptsEveryJSONForm(t *testing.T) {
	c := newCloud(t)
	for _, value := range []any{120, float64(120), json.Number("120"), "2m", "120"} {
		require.Equal(t, 2*time.Minute, c.open(fieldIdleTimeout, value).MaxLifetime(), "%T", value)
	}
	for _, seconds := range []int{1, 28800} {
		require.Equal(t, time.Duration(seconds)*time.Second, c.open(fieldIdleTimeout, seconds).MaxLifetime())
	}
}
