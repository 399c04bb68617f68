package fortianalyzer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_SessionLost_IsAmbiguousAndNotRequestedTwice(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"after":      {DropAfter: true},
		"truncated":  {Truncate: true},
		"500":        {Status: 500},
		"504":        {Status: 504},
		"html":       {Body: body("<!DOCTYPE html><html></html>")},
		"empty":      {Body: body("")},
		"no reason":  {Body: body(`{}`)},
		"null":       {Body: body(`{"session":null}`)},
		"code 0":     {Body: body(`{"status":{"code":0,"message":""}}`)},
		"an array":   {Body: body(`[]`)},
		"two values": {Body: body(`{"session":"a"}{"session":"b"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			fault.Route = routeLogin
			c.InjectFault(fault)
			config := c.config()
			config.MaxRetries = 3
			conn, err := New().Open(config)
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.Issue(t.Context(), issueRequest)
			requireClass(t, provider.ClassAmbiguous, err)
			require.Equal(t, []string{routeToken, routeLogin}, c.Operations())
		})
	}
}
