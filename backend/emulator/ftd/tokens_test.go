package ftd_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
)

// wholeSecond is the time of the device's clock in whole seconds, as in its tokens.
var wholeSecond = emulatortest.Now.Truncate(time.Second)

func TestPasswordGrant_Valid_AnswersFiveMembersAndClaims(t *testing.T) {
	d := newDevice(t)
	login := d.login()
	require.Equal(t, 200, login.Status)
	require.Len(t, login.Body, 5)
	require.Equal(t, 1800.0, login.Body["expires_in"])
	require.Equal(t, 2400.0, login.Body["refresh_expires_in"])
	require.Equal(t, "Bearer", login.Body["token_type"])

	now := float64(wholeSecond.Unix())
	access, refresh := claims(t, d.access(login)), claims(t, login.Member("refresh_token"))
	require.Equal(t, access["jti"], refresh["jti"])
	for name, want := range map[string]any{
		"iat": now, "nbf": now, "exp": now + 1800, "sub": "admin", "origin": "password",
		"tokenType": "JWT_Access", "refreshTokenExpiresAt": (now + 2400) * 1000,
	} {
		require.Equal(t, want, access[name], name)
	}
	for name, want := range map[string]any{
		"exp": now + 2400, "tokenType": "JWT_Refresh", "accessTokenExpiresAt": (now + 1800) * 1000, "refreshCount": -1.0,
	} {
		require.Equal(t, want, refresh[name], name)
	}
	issued := d.RequireIssued(emulator.KindLogin, "", wholeSecond.Add(2400*time.Second)) // the refresh token expires last
	require.Len(t, d.Issued(), 1)
	require.Equal(t, access["jti"], issued.ID)
}

func TestCustomToken_Valid_HasTheDesiredSubjectAndLifetime(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	leased := d.custom(login, "vault-a.b_1", object{"desired_expires_in": 31_536_000})
	require.Len(t, leased.Body, 3, "no refresh members")
	require.Equal(t, 31_536_000.0, leased.Body["expires_in"])
	decoded := claims(t, d.access(leased))
	require.Equal(t, "vault-a.b_1", decoded["sub"])
	require.Equal(t, "custom", decoded["origin"])
	require.Equal(t, 200, d.works(d.access(leased)))

	d.RequireIssued(emulator.KindLeased, "vault-a.b_1", wholeSecond.Add(31_536_000*time.Second))
	require.Equal(t, "custom_token", d.Operations()[1])
}

func TestTokenEndpoint_InvalidRequest_AnswersTokenStatus(t *testing.T) {
	d := newDevice(t)
	login := d.login()
	access, refresh := d.access(login), login.Member("refresh_token")
	leased := d.access(d.custom(access, "leased", nil))
	custom := func(changes object) func() answer {
		return func() answer { return d.custom(access, "other", changes) }
	}
	revoke := func(members object) func() answer {
		return func() answer { return d.grant("revoke_token", members) }
	}
	for name, request := range map[string]func() answer{
		"wrong password":         func() answer { return d.grant("password", object{"username": "admin", "password": "x"}) },
		"unknown user":           func() answer { return d.grant("password", object{"username": "x", "password": d.password}) },
		"no grant type":          func() answer { return d.grant("", nil) },
		"unknown grant type":     func() answer { return d.grant("client_credentials", nil) },
		"malformed member":       func() answer { return d.grant("custom_token", object{"desired_expires_in": "600"}) },
		"no parent":              custom(object{"access_token": nil}),
		"refresh as parent":      custom(object{"access_token": refresh}),
		"custom token as parent": custom(object{"access_token": leased}),
		"over the maximum":       custom(object{"desired_expires_in": 31_536_001}),
		"refresh over maximum":   custom(object{"desired_refresh_count": 1, "desired_refresh_expires_in": 34_128_001}),
		"no life":                custom(object{"desired_expires_in": 0}),
		"negative count":         custom(object{"desired_refresh_count": -1}),
		"count without life":     custom(object{"desired_refresh_count": 1}),
		"revoke nothing":         revoke(object{"access_token": access}),
		"revoke two things": revoke(object{
			"access_token": access, "token_to_revoke": leased, "custom_token_subject_to_revoke": "leased",
		}),
		"custom token revokes itself": revoke(object{"access_token": leased, "token_to_revoke": leased}),
		"access token as refresh":     func() answer { return d.grant("refresh_token", object{"refresh_token": access}) },
	} {
		t.Run(name, func(t *testing.T) {
			refused := request()
			require.Equal(t, 400, refused.Status, refused.Text)
			require.Len(t, refused.Body, 2)
			require.Equal(t, 400.0, refused.Body["status_code"])
			require.NotEmpty(t, refused.Body["message"])
			require.NotContains(t, refused.Text, d.password)
		})
	}
	require.Equal(t, []string{"", ""}, d.EndReasons(), "nothing was issued or ended")
}

func TestTokenEndpoint_AuthorizationHeader_IsIgnored(t *testing.T) {
	d := newDevice(t)
	for _, authorization := range []string{"", "Bearer", "Bearer stale", "Basic eDp5"} {
		login := d.do(http.MethodPost, "/api/fdm/v6/fdm/token", authorization,
			object{"grant_type": "password", "username": "admin", "password": d.password})
		require.Equal(t, 200, login.Status, authorization)
	}
}

func TestRefresh_CustomToken_KeepsTheSessionAndCountsDown(t *testing.T) {
	d := newDevice(t)
	first := d.custom(d.access(d.login()), "s", refreshable())
	id := claims(t, d.access(first))["jti"]
	current := first
	for left := 3; left > 0; left-- {
		require.Equal(t, float64(left), claims(t, current.Member("refresh_token"))["refreshCount"])
		d.MoveClock(500 * time.Second)
		next := d.refresh(current)
		require.Equal(t, id, claims(t, d.access(next))["jti"])
		require.Equal(t, 600.0, next.Body["expires_in"], "the lifetimes of the original request")
		require.NotEqual(t, d.access(current), d.access(next))
		require.Equal(t, 400, d.refresh(current).Status, "used")
		current = next
	}
	require.NotContains(t, current.Body, "refresh_token", "no refresh remains")
	require.Len(t, d.Issued(), 2)
	require.Equal(t, 200, d.works(d.access(current)))
	d.RequireIssued(emulator.KindLeased, "s", d.Now().Truncate(time.Second).Add(600*time.Second))
	d.MoveClock(600 * time.Second)
	require.Equal(t, "expired", d.EndReasons()[1])
}

func TestRefresh_Login_HasNoLimit(t *testing.T) {
	d := newDevice(t)
	current := d.login()
	for range 5 {
		d.MoveClock(2000 * time.Second) // the access token has expired
		require.Equal(t, 401, d.works(d.access(current)))
		current = d.refresh(current)
		require.Equal(t, 200, d.works(d.access(current)))
		require.Equal(t, -1.0, claims(t, current.Member("refresh_token"))["refreshCount"])
	}
	require.Equal(t, []string{""}, d.EndReasons())
	d.MoveClock(2400 * time.Second)
	require.Equal(t, 400, d.refresh(current).Status)
	require.Equal(t, []string{"expired"}, d.EndReasons())
}

func TestRevoke_TokenRefreshTokenSubjectOrID_EndsThePair(t *testing.T) {
	for _, member := range []string{"token_to_revoke", "refresh", "custom_token_subject_to_revoke", "custom_token_id_to_revoke"} {
		t.Run(member, func(t *testing.T) {
			d := newDevice(t)
			login := d.access(d.login())
			leased := d.custom(login, "s", refreshable())
			other := d.access(d.custom(login, "other", nil))
			value := map[string]string{
				"token_to_revoke":                d.access(leased),
				"refresh":                        leased.Member("refresh_token"),
				"custom_token_subject_to_revoke": "s",
				"custom_token_id_to_revoke":      claims(t, d.access(leased))["jti"].(string),
			}[member]
			name := strings.Replace(member, "refresh", "token_to_revoke", 1)
			revoked := d.revoke(login, name, value)
			require.Equal(t, 200, revoked.Status)
			require.Equal(t, object{"message": "OK", "status_code": 200.0}, revoked.Body)
			require.Equal(t, 401, d.works(d.access(leased)))
			require.Equal(t, 400, d.refresh(leased).Status)
			require.Equal(t, 200, d.works(other))
			require.Equal(t, []string{"", "revoked", ""}, d.EndReasons())
			require.Equal(t, 400, d.revoke(login, name, value).Status, "already revoked")
		})
	}
}

func TestRevoke_Login_KeepsItsCustomTokens(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	leased := d.access(d.custom(login, "s", nil))
	require.Equal(t, 200, d.revoke(login, "token_to_revoke", login).Status)
	require.Equal(t, 401, d.works(login))
	require.Equal(t, 200, d.works(leased))
}

func TestCustomToken_LoginExpired_StillWorks(t *testing.T) {
	d := newDevice(t)
	leased := d.access(d.custom(d.access(d.login()), "s", object{"desired_expires_in": 7200}))
	d.MoveClock(time.Hour)
	require.Equal(t, 200, d.works(leased))
	require.Equal(t, []string{"expired", ""}, d.EndReasons())
}

func TestCustomToken_SixthSession_EvictsTheOldest(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	var leased []string
	for i := range 5 {
		d.MoveClock(time.Second)
		leased = append(leased, d.access(d.custom(login, fmt.Sprint("s", i), nil)))
	}
	require.Equal(t, []string{"evicted", "", "", "", "", ""}, d.EndReasons(), "the engine's own login was the oldest")
	require.Equal(t, 401, d.works(login))
	require.Equal(t, 200, d.works(leased[0]))

	d.Act("ui_login")
	require.Equal(t, 401, d.works(leased[0]), "a login to the web interface also evicts")
	require.Equal(t, []string{"evicted", "evicted", "", "", "", "", ""}, d.EndReasons())
	require.Equal(t, "ui", d.Issued()[6].Marker)
}

func TestSessions_Ended_DoNotCount(t *testing.T) {
	d := newDevice(t)
	login := d.access(d.login())
	for i := range 4 {
		require.Equal(t, 200, d.custom(login, fmt.Sprint("s", i), nil).Status)
	}
	require.Equal(t, 200, d.revoke(login, "custom_token_subject_to_revoke", "s0").Status)
	ui := d.Act("ui_login")
	d.Act("ui_logout", "id", ui["id"])
	require.Equal(t, 200, d.custom(login, "s4", nil).Status)
	require.Equal(t, []string{"", "revoked", "", "", "", "logged_out", ""}, d.EndReasons())
	d.MoveClock(601 * time.Second)
	for i := range 4 {
		require.Equal(t, 200, d.custom(login, fmt.Sprint("t", i), nil).Status)
	}
	require.NotContains(t, d.EndReasons(), "evicted", "expired tokens do not count")
}

func TestToken_Ended_IsDistinguishedFromInvalid(t *testing.T) {
	d := newDevice(t)
	d.Set("ended_token_status", "408")
	login := d.access(d.login())
	d.MoveClock(1800 * time.Second)
	require.Equal(t, 408, d.works(login))
	require.Equal(t, 401, d.works("garbage"))
	require.Equal(t, 401, d.works(login+"x"))
	require.Equal(t, 401, d.do(http.MethodGet, "/api/fdm/latest/object/networks", "", nil).Status)
	d.Reset()
	require.Equal(t, 401, d.works(login), "the device has no such token, and the switch has its default")
}
