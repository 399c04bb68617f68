package ftd_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestSessionStore_AfterRestart_LoginIsReused(t *testing.T) {
	d := newDevice(t)
	first := d.open()
	issue(t, first, "va-1")
	first.Close()
	issue(t, d.open(), "va-2")
	assert.Equal(t, 1, d.Requested("password"))

	var stored map[string]any
	require.NoError(t, json.Unmarshal(d.sessions.Saved(), &stored))
	assert.NotContains(t, string(d.sessions.Saved()), d.fields["password"])
	assert.EqualValues(t, 1, stored["v"])
}

func TestSessionStore_ForeignSession_IsNotUsed(t *testing.T) {
	for name, change := range map[string]func(stored map[string]any){
		"device":   func(stored map[string]any) { stored["address"] = "https://other.example" },
		"user":     func(stored map[string]any) { stored["username"] = "other" },
		"version":  func(stored map[string]any) { stored["v"] = 2 },
		"no token": func(stored map[string]any) { delete(stored, "access_token") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			issue(t, d.open(), "va-1")
			var stored map[string]any
			require.NoError(t, json.Unmarshal(d.sessions.Saved(), &stored))
			change(stored)
			content, err := json.Marshal(stored)
			require.NoError(t, err)
			d.sessions.Put(content)
			issue(t, d.open(), "va-2")
			assert.Equal(t, 2, d.Requested("password"))
		})
	}
	t.Run("garbage", func(t *testing.T) {
		d := newDevice(t)
		d.sessions.Put([]byte("garbage"))
		issue(t, d.open(), "va-1")
	})
}

func TestSessionStore_ReadFails_MakesNoLogin(t *testing.T) {
	d := newDevice(t)
	d.sessions.Fail(errors.New("storage is sealed"))
	_, err := d.open().Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnavailable, err)
	assert.Zero(t, d.Requested("password"))
}

func TestSessionStore_WriteFails_IssueSucceeds(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	require.NotContains(t, d.log.String(), "could not be stored")
	d.clock.Advance(time.Hour)
	d.sessions.Fail(errors.New("storage is read-only"))
	issue(t, c, "va-2")
	assert.Contains(t, d.log.String(), "could not be stored")
}

func TestSessionStore_ListingNotStored_IsLogged(t *testing.T) {
	const warning = "whether the device lists custom tokens could not be stored"
	d := newDevice(t)
	issue(t, d.open(), "va-1")
	assert.NotContains(t, d.log.String(), warning)
	d = newDevice(t)
	issue(t, d.openWithStore(unwritableStore{d.sessions}), "va-1")
	assert.Contains(t, d.log.String(), warning)
}
