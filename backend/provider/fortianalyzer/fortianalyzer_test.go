package fortianalyzer

import (
	"context"
	"encoding/json"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestOpen_RefusesByField(t *testing.T) {
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
	require.Empty(t, c.Operations(), "opening makes no call")
}

func TestOpen_DefaultsAreFortiCloudAndTheDocumentedIdleTimeout(t *testing.T) {
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

func TestOpen_IdleTimeoutAsItComesBackFromStorage(t *testing.T) {
	c := newCloud(t)
	for _, value := range []any{120, float64(120), json.Number("120"), "2m", "120"} {
		require.Equal(t, 2*time.Minute, c.open(fieldIdleTimeout, value).MaxLifetime(), "%T", value)
	}
}

func TestIssue_LeasesTheSessionAndRevokesItsAccessToken(t *testing.T) {
	c := newCloud(t)
	credential := c.issue(c.open())
	require.Equal(t, []string{askToken, logIn, revokeToken, readStatus}, c.Operations())
	require.Equal(t, 1, c.sessions())
	require.Zero(t, c.Live(emulator.KindLogin), "the access token is revoked")

	require.Equal(t, "session", credential.TokenType)
	require.Equal(t, c.Address(), credential.Address)
	require.Equal(t, map[string]any{
		"session": credential.Token, "url": c.Address() + "/jsonrpc",
	}, credential.Data)
	require.Equal(t, c.Clock.Now().Add(15*time.Minute), credential.ExpiresAt)
	require.Equal(t, map[string]any{"v": 1.0, "session": credential.Token}, decode(t, credential.Handle))
	require.Empty(t, credential.Warnings)
}

func TestIssue_FortiManagerIsAnotherClientID(t *testing.T) {
	c := newCloud(t, "product", "FortiManager")
	require.NotEmpty(t, c.issue(c.open(fieldClientID, "FortiManager")).Token)
	_, err := c.open().Issue(t.Context(), asked)
	require.Contains(t, requireClass(t, provider.ClassUnauthenticated, err).Remedy, "client_id")
}

func TestIssue_AnAccessTokenThatCannotBeRevokedIsAWarning(t *testing.T) {
	for _, status := range []int{400, 401, 500} {
		c := newCloud(t)
		c.InjectFault(emulator.Fault{Route: revokeToken, Status: status})
		credential := c.issue(c.open())
		require.Len(t, credential.Warnings, 1)
		require.Contains(t, credential.Warnings[0], "access token")
	}
}

func TestIssue_ASessionThatMayDoNothingIsLoggedOutAgain(t *testing.T) {
	c := newCloud(t)
	c.Act("set_permission", "permission", "no")
	_, err := c.open().Issue(t.Context(), asked)
	require.Equal(t, remedyProfile, requireClass(t, provider.ClassForbidden, err).Remedy)
	require.Equal(t, []string{askToken, logIn, revokeToken, readStatus, logOut}, c.Operations())
	require.Zero(t, c.sessions())
}

func TestIssue_ASessionThatCannotBeVerifiedIsLoggedOutAgain(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"lost":        {DropAfter: true},
		"500":         {Status: 500},
		"404":         {Status: 404},
		"other code":  {Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)},
		"no result":   {Body: body(`{"result":[]}`)},
		"no status":   {Body: body(`{"result":[{"data":{}}]}`)},
		"not an RPC":  {Body: body(`{"error":{"code":-1,"message":"x"}}`)},
		"not an JSON": {Body: body(`nonsense`)},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			fault.Route = readStatus
			c.InjectFault(fault)
			_, err := c.open().Issue(t.Context(), asked)
			require.True(t, provider.ClassOf(err).Definite(), err)
			require.Zero(t, c.sessions())
			require.Equal(t, 1, c.Requested(logOut))
		})
	}
}

func TestIssue_AUselessSessionThatCannotBeLoggedOutIsAmbiguous(t *testing.T) {
	t.Run("answers lost", func(t *testing.T) {
		c := newCloud(t)
		c.InjectFault(emulator.Fault{Route: "/jsonrpc", DropBefore: true})
		_, err := c.open().Issue(t.Context(), asked)
		requireClass(t, provider.ClassAmbiguous, err)
		require.Equal(t, 1, c.sessions())
	})
	t.Run("not permitted", func(t *testing.T) {
		c := newCloud(t, "logout_needs_permission", "yes")
		c.Act("set_permission", "permission", "no")
		_, err := c.open().Issue(t.Context(), asked)
		require.Equal(t, remedyProfile, requireClass(t, provider.ClassAmbiguous, err).Remedy)
		require.Equal(t, 1, c.sessions())
	})
	t.Run("other code", func(t *testing.T) {
		c := newCloud(t)
		c.InjectFault(emulator.Fault{Route: "/jsonrpc", Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)})
		_, err := c.open().Issue(t.Context(), asked)
		requireClass(t, provider.ClassAmbiguous, err)
	})
}

func TestIssue_ACallerWhoGivesUpLeavesNothingThatIsKnown(t *testing.T) {
	for name, test := range map[string]struct {
		route string
		class provider.Class
	}{
		"while the token is asked for": {askToken, provider.ClassUnavailable},
		"while logging in":             {logIn, provider.ClassAmbiguous},
		"while verifying":              {readStatus, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.InjectFault(emulator.Fault{Route: test.route, Delay: time.Hour})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The requests of this issue, in order; the caller leaves once the delayed one is written.
			steps := []string{askToken, logIn, revokeToken, readStatus, logOut}
			written := 0
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
				if steps[written] == test.route {
					cancel()
				}
				written++
			}})
			_, err := c.open().Issue(ctx, asked)
			requireClass(t, test.class, err)
			require.ErrorIs(t, err, context.Canceled)
			require.Zero(t, c.sessions())
			require.Zero(t, c.Live(emulator.KindLogin))
		})
	}
}

func TestIssue_LifetimeIsAtMostTheIdleTimeout(t *testing.T) {
	c := newCloud(t)
	conn := c.open(fieldIdleTimeout, "10m")
	for _, lifetime := range []time.Duration{0, time.Millisecond, 10*time.Minute + time.Second} {
		_, err := conn.Issue(t.Context(), provider.IssueRequest{Lifetime: lifetime})
		require.Equal(t, "ttl", requireClass(t, provider.ClassInvalid, err).Field)
	}
	require.Empty(t, c.Operations())
	credential := c.issue(conn)
	require.Equal(t, c.Clock.Now().Add(10*time.Minute), credential.ExpiresAt, "even if less was asked for")
}

func TestRenew_IsAUseThatStartsTheIdleTimeAnew(t *testing.T) {
	c := newCloud(t)
	conn := c.open()
	credential := c.issue(conn)
	for range 5 {
		c.Clock.Advance(14 * time.Minute)
		end, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
		require.NoError(t, err)
		require.Equal(t, c.Clock.Now().Add(15*time.Minute), end)
	}
	require.Equal(t, 1, c.Requested(logIn))
	c.Clock.Advance(15 * time.Minute)
	_, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
	requireClass(t, provider.ClassNotFound, err)
}

func TestRenew_AnAbsoluteEndThatNobodyDocumentsIsFoundOut(t *testing.T) {
	c := newCloud(t, "absolute_life", "20m")
	conn := c.open()
	credential := c.issue(conn)
	c.Clock.Advance(14 * time.Minute)
	_, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
	require.NoError(t, err)
	c.Clock.Advance(6 * time.Minute)
	_, err = conn.Renew(t.Context(), credential.Handle, time.Minute)
	requireClass(t, provider.ClassNotFound, err)
}

func TestRenew_OnlyTheDocumentedCodeEndsALease(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"other code": {Body: body(`{"result":[{"status":{"code":-3,"message":"x"}}]}`)},
		"lost":       {DropAfter: true},
		"500":        {Status: 500},
		"503":        {Status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			conn := c.open()
			credential := c.issue(conn)
			fault.Route, fault.Times = readStatus, 1
			c.InjectFault(fault)
			_, err := conn.Renew(t.Context(), credential.Handle, time.Minute)
			requireClass(t, provider.ClassUnavailable, err)
			_, err = conn.Renew(t.Context(), credential.Handle, time.Minute)
			require.NoError(t, err)
		})
	}
}

func TestHandle_ThatCannotBeUnderstoodIsAnError(t *testing.T) {
	conn := newCloud(t).open()
	for _, content := range []string{"", "{}", `{"v":1}`, `{"v":2,"session":"x"}`, `[]`} {
		_, err := conn.Renew(t.Context(), json.RawMessage(content), time.Minute)
		requireClass(t, provider.ClassUnknown, err)
		requireClass(t, provider.ClassUnknown, conn.Revoke(t.Context(), json.RawMessage(content)))
	}
}
