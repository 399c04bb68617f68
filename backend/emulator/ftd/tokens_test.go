package ftd_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

func TestPasswordGrant_AnswersFiveMembersAndVendorsClaims(t *testing.T) {
	d := newDevice(t)
	login := d.login()
	require.Equal(t, 200, login.status)
	require.Len(t, login.body, 5)
	require.Equal(t, 1800.0, login.body["expires_in"])
	require.Equal(t, 2400.0, login.body["refresh_expires_in"])
	require.Equal(t, "Bearer", login.body["token_type"])

	now := float64(d.srv.Now().Unix())
	access, refresh := claims(t, login.access(t)), claims(t, login.body["refresh_token"].(string))
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
	issued := d.srv.Credentials("ftd")
	require.Len(t, issued, 1)
	require.Equal(t, emulator.KindLogin, issued[0].Kind)
	require.Equal(t, access["jti"], issued[0].ID)
	require.Equal(t, d.srv.Now().Add(2400*time.Second), *issued[0].ExpiresAt, "the refresh token lives longest")
}

func TestCustomToken_HasTheDesiredSubjectAndLife(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	leased := d.custom(login, "vault-a.b_1", object{"desired_expires_in": 31_536_000})
	require.Len(t, leased.body, 3, "no refresh members")
	require.Equal(t, 31_536_000.0, leased.body["expires_in"])
	decoded := claims(t, leased.access(t))
	require.Equal(t, "vault-a.b_1", decoded["sub"])
	require.Equal(t, "custom", decoded["origin"])
	require.Equal(t, 200, d.works(leased.access(t)))

	issued := d.srv.Credentials("ftd")[1]
	require.Equal(t, emulator.KindLeased, issued.Kind)
	require.Equal(t, "vault-a.b_1", issued.Marker)
	require.Equal(t, d.srv.Now().Add(31_536_000*time.Second), *issued.ExpiresAt)
	require.Equal(t, "custom_token", d.srv.Requests("ftd")[1].Operation)
}

func TestTokenEndpoint_RefusesWithTokenStatus(t *testing.T) {
	d := newDevice(t)
	login := d.login()
	access, refresh := login.access(t), login.body["refresh_token"].(string)
	leased := d.custom(access, "leased", nil).access(t)
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
			require.Equal(t, 400, refused.status, refused.text)
			require.Len(t, refused.body, 2)
			require.Equal(t, 400.0, refused.body["status_code"])
			require.NotEmpty(t, refused.body["message"])
			require.NotContains(t, refused.text, d.password)
		})
	}
	require.Equal(t, []string{"", ""}, d.endings(), "nothing was issued or ended")
}

func TestTokenEndpoint_IgnoresAuthorization(t *testing.T) {
	d := newDevice(t)
	for _, authorization := range []string{"", "Bearer", "Bearer stale", "Basic eDp5"} {
		login := d.do(http.MethodPost, "/api/fdm/v6/fdm/token", authorization,
			object{"grant_type": "password", "username": "admin", "password": d.password})
		require.Equal(t, 200, login.status, authorization)
	}
}

func TestRefresh_KeepsTheSessionAndCountsDown(t *testing.T) {
	d := newDevice(t)
	first := d.custom(d.login().access(t), "s", refreshable())
	id := claims(t, first.access(t))["jti"]
	current := first
	for left := 3; left > 0; left-- {
		require.Equal(t, float64(left), claims(t, current.body["refresh_token"].(string))["refreshCount"])
		d.advance(500 * time.Second)
		next := d.grant("refresh_token", object{"refresh_token": current.body["refresh_token"]})
		require.Equal(t, id, claims(t, next.access(t))["jti"])
		require.Equal(t, 600.0, next.body["expires_in"], "the lifetimes of the original request")
		require.NotEqual(t, current.access(t), next.access(t))
		require.Equal(t, 400, d.grant("refresh_token", object{"refresh_token": current.body["refresh_token"]}).status, "used")
		current = next
	}
	require.NotContains(t, current.body, "refresh_token", "no refresh is left")
	require.Len(t, d.srv.Credentials("ftd"), 2)
	require.Equal(t, 200, d.works(current.access(t)))
	require.Equal(t, d.srv.Now().Add(600*time.Second), *d.srv.Credentials("ftd")[1].ExpiresAt)
	d.advance(600 * time.Second)
	require.Equal(t, "expired", d.endings()[1])
}

func TestRefresh_OfALoginHasNoLimit(t *testing.T) {
	d := newDevice(t)
	current := d.login()
	for range 5 {
		d.advance(2000 * time.Second) // the access token is expired by then
		require.Equal(t, 401, d.works(current.access(t)))
		current = d.grant("refresh_token", object{"refresh_token": current.body["refresh_token"]})
		require.Equal(t, 200, d.works(current.access(t)))
		require.Equal(t, -1.0, claims(t, current.body["refresh_token"].(string))["refreshCount"])
	}
	require.Equal(t, []string{""}, d.endings())
	d.advance(2400 * time.Second)
	require.Equal(t, 400, d.grant("refresh_token", object{"refresh_token": current.body["refresh_token"]}).status)
	require.Equal(t, []string{"expired"}, d.endings())
}

func TestRevoke_ByTokenRefreshTokenSubjectOrID(t *testing.T) {
	for _, member := range []string{"token_to_revoke", "refresh", "custom_token_subject_to_revoke", "custom_token_id_to_revoke"} {
		t.Run(member, func(t *testing.T) {
			d := newDevice(t)
			login := d.login().access(t)
			leased := d.custom(login, "s", refreshable())
			other := d.custom(login, "other", nil).access(t)
			value := map[string]string{
				"token_to_revoke":                leased.access(t),
				"refresh":                        leased.body["refresh_token"].(string),
				"custom_token_subject_to_revoke": "s",
				"custom_token_id_to_revoke":      claims(t, leased.access(t))["jti"].(string),
			}[member]
			name := strings.Replace(member, "refresh", "token_to_revoke", 1)
			revoked := d.revoke(login, name, value)
			require.Equal(t, 200, revoked.status)
			require.Equal(t, object{"message": "OK", "status_code": 200.0}, revoked.body)
			require.Equal(t, 401, d.works(leased.access(t)))
			require.Equal(t, 400, d.grant("refresh_token", object{"refresh_token": leased.body["refresh_token"]}).status)
			require.Equal(t, 200, d.works(other))
			require.Equal(t, []string{"", "revoked", ""}, d.endings())
			require.Equal(t, 400, d.revoke(login, name, value).status, "gone already")
		})
	}
}

func TestRevoke_OfTheLoginItselfLeavesItsCustomTokens(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	leased := d.custom(login, "s", nil).access(t)
	require.Equal(t, 200, d.revoke(login, "token_to_revoke", login).status)
	require.Equal(t, 401, d.works(login))
	require.Equal(t, 200, d.works(leased))
}

func TestCustomToken_OutlivesTheLoginThatMadeIt(t *testing.T) {
	d := newDevice(t)
	leased := d.custom(d.login().access(t), "s", object{"desired_expires_in": 7200}).access(t)
	d.advance(time.Hour)
	require.Equal(t, 200, d.works(leased))
	require.Equal(t, []string{"expired", ""}, d.endings())
}

func TestCustomToken_SixthSession_EvictsTheOldestSilently(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	var leased []string
	for i := range 5 {
		d.advance(time.Second)
		leased = append(leased, d.custom(login, fmt.Sprint("s", i), nil).access(t))
	}
	require.Equal(t, []string{"evicted", "", "", "", "", ""}, d.endings(), "the engine's own login was the oldest")
	require.Equal(t, 401, d.works(login))
	require.Equal(t, 200, d.works(leased[0]))

	d.act("ui_login", nil)
	require.Equal(t, 401, d.works(leased[0]), "a human's login evicts too")
	require.Equal(t, []string{"evicted", "evicted", "", "", "", "", ""}, d.endings())
	require.Equal(t, "ui", d.srv.Credentials("ftd")[6].Marker)
}

func TestSessions_EndedOnesGiveTheirPlaceBack(t *testing.T) {
	d := newDevice(t)
	login := d.login().access(t)
	for i := range 4 {
		require.Equal(t, 200, d.custom(login, fmt.Sprint("s", i), nil).status)
	}
	require.Equal(t, 200, d.revoke(login, "custom_token_subject_to_revoke", "s0").status)
	ui := d.act("ui_login", nil)
	d.act("ui_logout", ui)
	require.Equal(t, 200, d.custom(login, "s4", nil).status)
	require.Equal(t, []string{"", "revoked", "", "", "", "logged_out", ""}, d.endings())
	d.advance(601 * time.Second)
	for i := range 4 {
		require.Equal(t, 200, d.custom(login, fmt.Sprint("t", i), nil).status)
	}
	require.NotContains(t, d.endings(), "evicted", "expired tokens do not count")
}

func TestEndedTokens_AreToldFromGarbage(t *testing.T) {
	d := newDevice(t)
	d.set("ended_token_status", "408")
	login := d.login().access(t)
	d.advance(1800 * time.Second)
	require.Equal(t, 408, d.works(login))
	require.Equal(t, 401, d.works("garbage"))
	require.Equal(t, 401, d.works(login+"x"))
	require.Equal(t, 401, d.do(http.MethodGet, "/api/fdm/latest/object/networks", "", nil).status)
	d.srv.Reset()
	require.Equal(t, 401, d.works(login), "forgotten, and the switch is back")
}
