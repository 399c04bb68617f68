package providertest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// closedPort returns an address without a listener.
func closedPort(t *testing.T) string {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return "https://" + listener.Addr().String()
}

// rateLimitedRequests is how often the driver sends a create that the vendor refuses for its rate.
func (e *env) rateLimitedRequests() int {
	if e.suite.RepeatsRateLimited {
		return 2
	}
	return 1
}

// issueTests prove the statements about Issue.
var issueTests = []test{
	{name: "Issue_Credential_IsComplete", run: func(t *testing.T, e *env) {
		connection := e.open()
		request := e.request()
		credential, err := e.tryIssue(connection, request)
		require.NoError(t, err)
		assert.True(t, e.works(credential))
		assert.NotEmpty(t, credential.TokenType)
		assert.NotEmpty(t, credential.Address)
		var handle struct {
			Version int `json:"v"`
		}
		require.NoError(t, json.Unmarshal(credential.Handle, &handle))
		assert.Positive(t, handle.Version, "the handle has a version")
		for name, schema := range e.provider.ConfigFields() {
			secret := e.Root()[name] // empty if the suite's config does not have that secret
			if schema.DisplayAttrs != nil && schema.DisplayAttrs.Sensitive && secret != "" {
				assert.NotContains(t, string(credential.Handle), secret, "the handle does not hold the root credential")
			}
		}
		for name, value := range credential.Data {
			for field, secret := range e.Root() {
				if schema := e.provider.ConfigFields()[field]; schema.DisplayAttrs != nil && schema.DisplayAttrs.Sensitive && secret != "" {
					assert.NotEqual(t, secret, value, "Data %s may hold the token, and no other secret", name)
				}
			}
		}
		if e.provider.Capabilities().Marker != "" {
			assert.Equal(t, request.Marker, e.LastIssued(emulator.KindLeased).Marker, "the credential carries the marker")
		}
	}},
	{name: "Issue_Expiry_IsNeverLate", run: func(t *testing.T, e *env) {
		for _, skew := range []string{"0s", "1h", "-1h", "9000h"} {
			t.Run("skew "+skew, func(t *testing.T) {
				e.Set(emulator.SwitchClockSkew, skew)
				for _, fraction := range []time.Duration{0, time.Millisecond, 999 * time.Millisecond} {
					e.Clock.Set(e.Clock.Now().Truncate(time.Second).Add(fraction))
					before := e.Clock.Now()
					connection := e.open(func(config *provider.Config) { config.Sessions = &Sessions{} })
					credential, err := e.tryIssue(connection, e.request())
					require.NoError(t, err)
					require.NotNil(t, e.LastIssued(emulator.KindLeased).ExpiresAt)
					assert.False(t, credential.ExpiresAt.After(*e.LastIssued(emulator.KindLeased).ExpiresAt),
						"the driver's %s is not after the vendor's %s", credential.ExpiresAt, e.LastIssued(emulator.KindLeased).ExpiresAt)
					assert.False(t, credential.ExpiresAt.After(before.Add(lifetime)), "not longer than requested")
					assert.Greater(t, credential.ExpiresAt.Sub(before), lifetime-2*time.Second, "at most two seconds shorter than requested")
					e.cleanup(connection, credential)
				}
			})
		}
	}},
	{name: "Issue_LifetimeOutOfRange_IsInvalidWithoutCall", once: true, run: func(t *testing.T, e *env) {
		connection := e.open()
		lives := []time.Duration{0, -time.Second}
		if limit := connection.MaxLifetime(); limit > 0 {
			lives = append(lives, limit+time.Second)
		}
		for _, life := range lives {
			request := e.request()
			request.Lifetime = life
			_, err := e.tryIssue(connection, request)
			assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%s: %v", life, err)
		}
		assert.Zero(t, e.Requested(e.suite.Create))
	}},
	{name: "Issue_LongestLifetime_IsGranted", run: func(t *testing.T, e *env) {
		connection := e.open()
		if connection.MaxLifetime() == 0 {
			t.Skip("no limit is known")
		}
		request := e.request()
		request.Lifetime = connection.MaxLifetime()
		credential, err := e.tryIssue(connection, request)
		require.NoError(t, err)
		assert.False(t, credential.ExpiresAt.After(*e.LastIssued(emulator.KindLeased).ExpiresAt))
	}},
	{name: "Issue_CanceledBefore_IsDefinite", run: func(t *testing.T, e *env) {
		_, err := e.open().Issue(canceled(t), e.request())
		require.ErrorIs(t, e.checkErr(err), context.Canceled)
		assert.True(t, provider.ClassOf(err).Definite(), "no credential was created: %v", err)
		assert.Zero(t, e.Requested(e.suite.Create))
	}},
	{name: "Issue_CanceledWhileWaiting_IsAmbiguous", run: func(t *testing.T, e *env) {
		connection := e.open()
		e.InjectFault(emulator.Fault{Route: e.suite.Create, Delay: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := connection.Issue(ctx, e.request())
			done <- err
		}()
		require.Eventually(t, func() bool { return e.Requested(e.suite.Create) > 0 }, 5*time.Second, time.Millisecond)
		cancel()
		select {
		case err := <-done:
			require.ErrorIs(t, e.checkErr(err), context.Canceled)
			assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
		case <-time.After(5 * time.Second):
			t.Fatal("Issue does not obey its context")
		}
	}},
	{name: "Issue_Unreachable_IsUnavailable", once: true, run: func(t *testing.T, e *env) {
		_, err := e.tryIssue(e.open(func(config *provider.Config) { config.Address = closedPort(t) }), e.request())
		assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err), "%v", err)
	}},
	{name: "Issue_UntrustedCertificate_IsInvalid", once: true, run: func(t *testing.T, e *env) {
		_, err := e.tryIssue(e.open(func(config *provider.Config) { config.CACert = "" }), e.request())
		assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err), "%v", err)
		assert.ErrorContains(t, err, "ca_cert")
	}},
	{name: "Issue_WrongRoot_IsSentOnce", run: func(t *testing.T, e *env) {
		connection := e.openWrong()
		_, err := e.tryIssue(connection, e.request())
		assert.Equal(t, e.refusedRoot(), provider.ClassOf(err), "%v", err)
		assert.Equal(t, 1, e.rootRequests())
		assert.Zero(t, e.Live(emulator.KindLeased))
	}},
	{name: "Issue_Concurrently_ReturnsDistinctTokens", run: func(t *testing.T, e *env) {
		for name, value := range e.suite.Unlimited {
			e.Set(name, value)
		}
		connection := e.open()
		const callers = 50
		tokens := make([]string, callers)
		var refused atomic.Int64
		var group errgroup.Group
		for i := range callers {
			group.Go(func() error {
				credential, err := e.tryIssue(connection, e.request())
				if e.variant.SeesLimit && provider.ClassOf(err) == provider.ClassCapacity {
					refused.Add(1)
					return nil
				}
				if err == nil {
					tokens[i] = credential.Token
				}
				return err
			})
		}
		require.NoError(t, group.Wait())
		distinct := map[string]bool{}
		for _, token := range tokens {
			if token != "" {
				distinct[token] = true
			}
		}
		assert.Len(t, distinct, callers-int(refused.Load()))
		assert.NotEmpty(t, distinct)
		if e.suite.Login != "" {
			assert.Equal(t, 1, e.Requested(e.suite.Login), "the callers share one login")
		}
	}},
}

// answerTests prove the statements about bad answers to a create.
var answerTests = []test{
	{name: "Issue_LostAnswer_IsAmbiguous", run: func(t *testing.T, e *env) {
		for name, fault := range map[string]emulator.Fault{
			"dropped after acting":  {DropAfter: true},
			"dropped before acting": {DropBefore: true},
			"truncated":             {Truncate: true},
			"endless":               {BodyBytes: 1 << 40},
			"HTML":                  {Body: new("<html><body>Log in here</body></html>"), Header: map[string]string{"Content-Type": "text/html"}},
			"empty":                 {Body: new("")},
			"not JSON":              {Body: new("OK")},
			"null":                  {Body: new("null")},
			"no token":              {Body: new("{}")},
			"wrong type":            {Body: new("[]")},
			"token of wrong type":   {Body: new(`{"access_token":{},"token":{},"secretKey":{}}`)},
			"deeply nested":         {Body: new(repeat("[", 100_000))},
			"empty 204":             {Status: http.StatusNoContent, Body: new("")},
		} {
			t.Run(name, func(t *testing.T) {
				// The config allows retries, but a create must not be retried.
				connection := e.open(func(config *provider.Config) { config.MaxRetries = 3 })
				before := e.Requested(e.suite.Create)
				fault.Route = e.suite.Create
				e.InjectFault(fault)
				request := e.request()
				_, err := e.tryIssue(connection, request)
				e.EndFaults()
				assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
				assert.Equal(t, before+1, e.Requested(e.suite.Create), "a create is sent once")
				if revoker, ok := connection.(provider.MarkerRevoker); ok {
					_, err := revoker.RevokeMarker(t.Context(), request.Marker)
					require.NoError(t, e.checkErr(err))
					assert.Zero(t, e.Live(emulator.KindLeased), "the created credential was revoked by its marker")
				}
			})
		}
	}},
	{name: "Issue_StalledAnswer_IsAmbiguous", once: true, run: func(t *testing.T, e *env) {
		connection := e.open(func(config *provider.Config) { config.RequestTimeout = 2 * time.Second })
		e.InjectFault(emulator.Fault{Route: e.suite.Create, Stall: true})
		_, err := e.tryIssue(connection, e.request())
		assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
	}},
	{name: "Issue_ErrorStatus_HasItsClass", once: true, run: func(t *testing.T, e *env) {
		for status, want := range map[int]provider.Class{
			302: provider.ClassInvalid,
			403: provider.ClassForbidden,
			422: provider.ClassInvalid,
			429: provider.ClassRateLimited,
			500: provider.ClassAmbiguous,
			502: provider.ClassAmbiguous,
			503: provider.ClassUnavailable,
			504: provider.ClassAmbiguous,
		} {
			t.Run(strconv.Itoa(status), func(t *testing.T) {
				connection := e.open(func(config *provider.Config) { config.MaxRetries = 3 })
				before := e.Requested(e.suite.Create)
				e.InjectFault(emulator.Fault{Route: e.suite.Create, Status: status, Header: map[string]string{"Location": "https://elsewhere.example/login"}})
				_, err := e.tryIssue(connection, e.request())
				e.EndFaults()
				assert.Equal(t, want, provider.ClassOf(err), "%v", err)
				sent := 1
				if want == provider.ClassRateLimited {
					sent = e.rateLimitedRequests()
				}
				assert.Equal(t, before+sent, e.Requested(e.suite.Create), "a create is sent once, whatever the answer is")
			})
		}
	}},
	{name: "Issue_ProxyAnswersAfterCreate_IsAmbiguous", once: true, run: func(t *testing.T, e *env) {
		for name, fault := range proxyAnswers() {
			t.Run(name, func(t *testing.T) {
				e := e.again(t)
				connection := e.open(func(config *provider.Config) { config.MaxRetries = 3 })
				fault.Route = e.suite.Create
				e.InjectFault(fault)
				request := e.request()
				_, err := e.tryIssue(connection, request)
				e.EndFaults()
				assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err), "%v", err)
				assert.Equal(t, 1, e.Requested(e.suite.Create), "a create is sent once")
				assert.Equal(t, 1, e.Live(emulator.KindLeased), "the vendor has created a credential")
				if revoker, ok := connection.(provider.MarkerRevoker); ok {
					found, err := revoker.RevokeMarker(t.Context(), request.Marker)
					require.NoError(t, e.checkErr(err))
					assert.True(t, found)
					assert.Zero(t, e.Live(emulator.KindLeased), "the created credential was revoked by its marker")
				}
			})
		}
	}},
	{name: "Issue_RateLimited_HasRetryAfter", once: true, run: func(t *testing.T, e *env) {
		connection := e.open()
		e.InjectFault(emulator.Fault{Route: e.suite.Create, Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "7"}, Times: e.rateLimitedRequests()})
		_, err := e.tryIssue(connection, e.request())
		assert.Equal(t, provider.ClassRateLimited, provider.ClassOf(err), "%v", err)
		assert.Equal(t, 7*time.Second, provider.RetryAfterOf(err))
		e.InjectFault(emulator.Fault{Route: e.suite.Create, Status: http.StatusTooManyRequests, Times: e.rateLimitedRequests()})
		_, err = e.tryIssue(connection, e.request())
		assert.Equal(t, provider.ClassRateLimited, provider.ClassOf(err), "%v", err)
		assert.Equal(t, e.suite.RateLimitPause, provider.RetryAfterOf(err))
	}},
	{name: "Issue_WrongContentType_IsAccepted", once: true, run: func(t *testing.T, e *env) {
		connection := e.open()
		e.InjectFault(emulator.Fault{Route: e.suite.Create, Header: map[string]string{"Content-Type": "text/html"}})
		e.issue(connection)
	}},
	{name: "Errors_EchoedSecret_IsRedacted", once: true, run: func(t *testing.T, e *env) {
		for _, status := range []int{400, 401, 403, 404, 409, 422, 500, 503} {
			for name, value := range e.Root() {
				schema := e.provider.ConfigFields()[name]
				if schema == nil || schema.DisplayAttrs == nil || !schema.DisplayAttrs.Sensitive {
					continue
				}
				e.InjectFault(emulator.Fault{Route: "*", Status: status, Body: new(`{"message":"` + value + ` is wrong, ` + value + `"}`)})
				connection := e.open()
				_, err := e.tryIssue(connection, e.request())
				require.Error(t, err)
				_, err = connection.Check(t.Context())
				require.Error(t, e.checkErr(err)) // the end of the test searches for the secret
				e.EndFaults()
			}
		}
	}},
}

// repeat returns count copies of text.
func repeat(text string, count int) string {
	content := make([]byte, 0, len(text)*count)
	for range count {
		content = append(content, text...)
	}
	return string(content)
}
