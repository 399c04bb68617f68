package ftd_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// fullDevice returns a device with five sessions: the engine's login, the given number of tokens, and users.
func fullDevice(t *testing.T, lists string, tokens int) (*device, connection) {
	t.Helper()
	d := newDevice(t)
	d.Set("custom_tokens_in_sessions", lists)
	d.active = new(0)
	c := d.open()
	for active := range tokens {
		_, err := c.Issue(t.Context(), requestWithActive(active))
		require.NoError(t, err)
		*d.active++
	}
	for range 4 - tokens {
		d.Act("ui_login")
	}
	return d, c
}

func TestCheck_FullDevice_EvictsNoSession(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		for tokens := 1; tokens <= 4; tokens++ {
			d, c := fullDevice(t, lists, tokens)
			for range 2 {
				_, err := c.Check(t.Context())
				require.NoError(t, err)
			}
			assert.Zero(t, d.evicted(), "lists %s, %d tokens", lists, tokens)
			assert.Equal(t, tokens, d.Live(emulator.KindLeased))
		}
	}
}

// A password that was changed at the device must not end the login that can still revoke tokens.
func TestCheck_WrongPasswordWithRoom_KeepsLogin(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		d := newDevice(t)
		d.Set("custom_tokens_in_sessions", lists)
		d.Set("password_change_ends", "own_session")
		d.active = new(1)
		c := d.open()
		credential := issue(t, c, "va-1")
		d.Act("change_password")
		_, err := c.Check(t.Context())
		requireClass(t, provider.ClassUnauthenticated, err)
		_, err = c.Renew(t.Context(), credential.Handle, time.Hour)
		require.NoError(t, err)
		require.NoError(t, c.Revoke(t.Context(), credential.Handle))
		require.NoError(t, c.Logout(t.Context()))
		assert.Equal(t, 2, d.Requested("password"), "lists %s", lists)
	}
}

// While it is not known how many tokens live, the existing login ends first.
func TestCheck_CountNotKnown_EndsLoginFirst(t *testing.T) {
	for name, count := range map[string]func(context.Context) (int, error){
		"no count": nil,
		"an error": func(context.Context) (int, error) { return 0, errors.New("sealed") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.Set("custom_tokens_in_sessions", "no") // so the count is needed
			c := d.openCounting(count)
			issue(t, c, "va-1")
			_, err := c.Check(t.Context())
			require.NoError(t, err)
			requests := d.Requests("ftd")
			logins, revoked := 0, false
			for _, request := range requests {
				switch request.Operation {
				case "revoke_token":
					revoked = true
				case "password":
					if logins++; logins == 2 {
						assert.True(t, revoked)
					}
				}
			}
			assert.Equal(t, 2, logins)
		})
	}
}

// A config write opens a connection next to the present one, and checks it.
func TestSuccessor_FullDevice_EvictsNoSession(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		d, present := fullDevice(t, lists, 3)
		next, store := d.openNext()
		_, err := next.Check(t.Context())
		require.NoError(t, err)
		assert.Empty(t, d.sessions.Saved(), "the present login has ended")
		require.NoError(t, present.Logout(t.Context()))
		assert.Zero(t, d.evicted())
		assert.Equal(t, 3, d.Live(emulator.KindLeased))
		assert.NotEmpty(t, store.Saved())
		require.NoError(t, next.Logout(t.Context()))
		assert.Equal(t, 2, d.Requested("password"))
	}
}

func TestSuccessor_WrongPasswordWithRoom_KeepsBothUsable(t *testing.T) {
	d := newDevice(t)
	d.active = new(1)
	present := d.open()
	credential := issue(t, present, "va-1")
	right := d.fields["password"]
	d.fields["password"] = "wrong"
	next, _ := d.openNext()
	_, err := next.Check(t.Context())
	requireClass(t, provider.ClassUnauthenticated, err)
	require.NoError(t, next.Logout(t.Context()), "it has no login of its own")
	require.NoError(t, present.Revoke(t.Context(), credential.Handle))
	assert.Equal(t, 2, d.Requested("password"))
	d.fields["password"] = right
}

func TestSuccessor_WithRoom_LeavesPresentLogin(t *testing.T) {
	d := newDevice(t)
	d.active = new(1)
	present := d.open()
	credential := issue(t, present, "va-1")
	next, _ := d.openNext()
	_, err := next.Check(t.Context())
	require.NoError(t, err)
	require.NoError(t, present.Revoke(t.Context(), credential.Handle), "the present connection is still used")
	require.NoError(t, present.Logout(t.Context()))
	issue(t, next, "va-2")
	assert.Equal(t, 2, d.Requested("password"))
	assert.Equal(t, 1, d.Live(emulator.KindLogin))
}

// A config write with verify_connection=false makes no login.
func TestSuccessor_NotChecked_UsesPresentLogin(t *testing.T) {
	d := newDevice(t)
	present := d.open()
	issue(t, present, "va-1")
	next, store := d.openNext()
	issue(t, next, "va-2")
	assert.Equal(t, 1, d.Requested("password"))
	assert.NotEmpty(t, store.Saved())
	// The present connection is closed after its last user has left, and ends the login.
	require.NoError(t, present.Logout(t.Context()))
	issue(t, next, "va-3")
	assert.Equal(t, 2, d.Requested("password"))
	assert.Equal(t, 1, d.Live(emulator.KindLogin))
}

func TestSuccessor_OtherUser_MakesItsOwnLogin(t *testing.T) {
	d := newDevice(t)
	issue(t, d.open(), "va-1")
	root := d.Act("add_external_user", "name", "other", "role", "admin")
	d.fields["username"], d.fields["password"] = root["username"], root["password"]
	next, _ := d.openNext()
	issue(t, next, "va-2")
	assert.Equal(t, 2, d.Requested("password"))
	assert.Equal(t, 2, d.Live(emulator.KindLogin))
}

func TestLogout_RefusedPassword_UsesStoredLogin(t *testing.T) {
	d := newDevice(t)
	issue(t, d.open(), "va-1")
	d.fields["password"] = "wrong"
	require.NoError(t, d.open().Logout(t.Context()))
	assert.Zero(t, d.Live(emulator.KindLogin))
	assert.Equal(t, 1, d.Requested("password"))
}

func TestCheck_WithRoom_EndsPreviousLoginAfterwards(t *testing.T) {
	for _, fails := range []bool{false, true} {
		d := newDevice(t)
		d.active = new(1)
		c := d.open()
		issue(t, c, "va-1")
		if fails {
			d.InjectFault(emulator.Fault{Route: "revoke_token", Status: http.StatusInternalServerError})
		}
		_, err := c.Check(t.Context())
		require.NoError(t, err)
		var sent []string
		for _, request := range d.Requests("ftd") {
			if request.Operation == "password" || request.Operation == "revoke_token" {
				sent = append(sent, request.Operation)
			}
		}
		assert.Equal(t, []string{"password", "password", "revoke_token"}, sent)
		if fails {
			assert.Contains(t, d.log.String(), "the previous login could not be ended")
			continue
		}
		assert.NotContains(t, d.log.String(), "could not be ended")
		assert.Equal(t, 1, d.Live(emulator.KindLogin))
	}
}

// unwritableStore is a session store whose Save fails.
type unwritableStore struct{ *providertest.Sessions }

// Save implements [provider.SessionStore].
func (unwritableStore) Save(context.Context, []byte) error { return errors.New("storage is read-only") }

// The predecessor would use a login that has ended, so the next one is not made while the store cannot say so.
func TestSuccessor_PredecessorNotWritable_MakesNoLogin(t *testing.T) {
	d, _ := fullDevice(t, "yes", 3)
	next := d.openAfter(&providertest.Sessions{}, unwritableStore{d.sessions})
	_, err := next.Check(t.Context())
	requireClass(t, provider.ClassUnavailable, err)
	assert.Equal(t, 1, d.Requested("password"))
}
