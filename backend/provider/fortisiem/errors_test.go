package fortisiem_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// message returns the body of a 400 of the token endpoint.
func message(text string) *string {
	body := `{"error":"BAD_REQUEST","message":"` + text + `"}`
	return &body
}

// refusalCases are the refusals of the token endpoint, and what the driver makes of them.
var refusalCases = map[string]struct {
	provoke func(a *appliance)
	class   provider.Class
	after   time.Duration
	remedy  string
}{
	"wrong credentials": {
		func(a *appliance) { a.Act("reset_secret") },
		provider.ClassUnauthenticated, 30 * time.Second, "check client_id and client_secret in config/edge",
	},
	"owner without the right": {
		func(a *appliance) { a.Act("deny_owner") },
		provider.ClassForbidden, 30 * time.Second, "the right to ask for tokens",
	},
	"expired secret": {
		func(a *appliance) { a.Act("expire_secret") },
		provider.ClassUnauthenticated, 30 * time.Second, "reset the secret",
	},
	"revoked client": {
		func(a *appliance) { a.Act("revoke_client") },
		provider.ClassUnauthenticated, 30 * time.Second, "create a new API token",
	},
	"blocked": {
		func(a *appliance) {
			a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 400, Body: message("FAILURE threshold exceeded.")})
		},
		provider.ClassRateLimited, 5 * time.Minute, "nothing is sent",
	},
	"one token only": {
		func(a *appliance) { a.Set("single_issue", "yes"); a.issue(a.open(nil)) },
		provider.ClassInvalid, 30 * time.Second, "sharing=shared",
	},
	"an unknown 400": {
		func(a *appliance) {
			a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 400, Body: message("Teapot")})
		},
		provider.ClassRateLimited, 30 * time.Second, "check token_path, client_id and client_secret",
	},
	"a 400 without a body": {
		func(a *appliance) {
			a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 400, Body: new("")})
		},
		provider.ClassRateLimited, 30 * time.Second, "check token_path, client_id and client_secret",
	},
	"an undocumented 401": {
		func(a *appliance) { a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 401}) },
		provider.ClassUnauthenticated, 30 * time.Second, "check client_id and client_secret in config/edge",
	},
	"an undocumented 429": {
		func(a *appliance) { a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 429}) },
		provider.ClassRateLimited, 5 * time.Second, "sharing=shared",
	},
	"a 429 with Retry-After": {
		func(a *appliance) {
			a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 429, Header: map[string]string{"Retry-After": "60"}})
		},
		provider.ClassRateLimited, time.Minute, "",
	},
	"unavailable": {
		func(a *appliance) { a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 503}) },
		provider.ClassUnavailable, 0, "",
	},
}

func TestIssue_Refusal_HasClassAndRemedyOfMessage(t *testing.T) {
	for name, c := range refusalCases {
		for _, shape := range []string{"json", "plain_as_json"} {
			t.Run(name+", "+shape, func(t *testing.T) {
				a := newAppliance(t, "error_shape", shape)
				c.provoke(a)
				failure := a.refused(a.open(nil))
				require.Equal(t, c.class, failure.Class, failure.Error())
				require.Equal(t, c.after, failure.RetryAfter)
				require.Contains(t, failure.Remedy, c.remedy)
				require.Equal(t, "fortisiem: oauth token", failure.Op)
			})
		}
	}
}

func TestIssue_MessageOfProduct_IsForOperators(t *testing.T) {
	for body, detail := range map[string]string{
		`{"error":"BAD_REQUEST","message":"Teapot"}`: "Teapot", `{"message":7}`: `{"message":7}`, `Teapot`: "Teapot",
	} {
		a := newAppliance(t)
		a.InjectFault(emulator.Fault{Route: "oauth_token", Status: http.StatusBadRequest, Body: &body})
		failure := a.refused(a.open(nil))
		require.Equal(t, detail, failure.Detail)
		require.NotContains(t, provider.ReaderText(failure), "Teapot")
	}
}

func TestIssue_RefusedCredentials_AreSentOnceInThePause(t *testing.T) {
	for name, action := range map[string]string{"wrong credentials": "reset_secret", "owner without the right": "deny_owner"} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			a.Act(action)
			connection := a.open(nil)
			first := a.refused(connection)
			for range 20 {
				again := a.refused(connection)
				require.Equal(t, first.Class, again.Class)
				require.Equal(t, first.Remedy, again.Remedy)
				require.Contains(t, again.Message, "remembered")
			}
			require.Len(t, a.statuses("oauth_token"), 1)
			a.Clock.Advance(30 * time.Second)
			require.NotContains(t, a.refused(connection).Message, "remembered")
			require.Len(t, a.statuses("oauth_token"), 2)
		})
	}
}

func TestIssue_Blocked_SendsNothingUntilBlockEnds(t *testing.T) {
	a := newAppliance(t, "failure_threshold", "1")
	a.Act("deny_owner")
	require.Equal(t, provider.ClassForbidden, a.refused(a.open(nil)).Class)
	a.Act("allow_owner")
	a.Clock.Advance(10 * time.Second)

	connection := a.open(nil)
	require.Equal(t, 5*time.Minute, a.refused(connection).RetryAfter)
	sent := len(a.statuses("oauth_token"))
	a.Clock.Advance(time.Minute)
	again := a.refused(connection)
	require.Equal(t, provider.ClassRateLimited, again.Class)
	require.Equal(t, 4*time.Minute, again.RetryAfter)
	_, err := connection.Check(t.Context())
	require.Equal(t, provider.ClassRateLimited, refusal(t, err).Class)
	require.Len(t, a.statuses("oauth_token"), sent)
	a.Clock.Advance(4 * time.Minute)
	a.issue(connection)
}

func TestIssue_OtherFailure_IsNotRemembered(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusNotFound} {
		a := newAppliance(t)
		a.InjectFault(emulator.Fault{Route: "oauth_token", Status: status, Times: 1})
		connection := a.open(nil)
		require.NotContains(t, a.refused(connection).Message, "remembered")
		a.issue(connection)
	}
}

func TestIssue_SeveralRequests_KeepTheInterval(t *testing.T) {
	a := newAppliance(t)
	connection := a.open(nil)
	for range 4 {
		a.issue(connection)
	}
	_, err := connection.Check(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{200, 200, 200, 200, 200}, a.statuses("oauth_token"))
	a.Clock.Advance(time.Hour)
	before := a.Clock.Now()
	a.issue(connection)
	require.Equal(t, before, a.Clock.Now(), "no wait after a pause")
}

func TestIssue_TooEarlyOnce_WaitsAndTriesAgain(t *testing.T) {
	for answer, status := range map[string]int{
		"400_documented": 400, "400_empty": 400, "400_unknown": 400, "429": 429, "429_retry_after": 429,
	} {
		for _, from := range []string{"any_request", "admitted_request"} {
			a := newAppliance(t, "token_interval_from", from, "early_answer", answer)
			a.issue(a.open(nil))
			before := a.Clock.Now()
			a.issue(a.open(nil)) // another config or node, with the same client id
			require.Equal(t, []int{200, status, 200}, a.statuses("oauth_token"))
			require.GreaterOrEqual(t, a.Clock.Now().Sub(before), 5*time.Second)
		}
	}
}

func TestIssue_TooEarlyTwice_IsRateLimitedNotRemembered(t *testing.T) {
	a := newAppliance(t)
	a.InjectFault(emulator.Fault{Route: "oauth_token", Status: 400, Body: message("Rate limit exceeded."), Times: 2})
	connection := a.open(nil)
	failure := a.refused(connection)
	require.Equal(t, provider.ClassRateLimited, failure.Class)
	require.Equal(t, 5*time.Second, failure.RetryAfter)
	require.Equal(t, []int{400, 400}, a.statuses("oauth_token"))
	a.issue(connection)
}

func TestIssue_TooEarlyWithoutTimeToWait_IsRateLimited(t *testing.T) {
	a := newAppliance(t)
	a.issue(a.open(nil))
	_, err := a.open(nil).Issue(within(t, 4*time.Second), request)
	require.Equal(t, provider.ClassRateLimited, refusal(t, err).Class)
	require.Equal(t, []int{200, 429}, a.statuses("oauth_token"), "the second request was not sent")
}
