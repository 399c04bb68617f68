package ftd_test

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
)

// brokenStore is a session store with a programming error.
type brokenStore struct{ loads bool }

// Load implements provider.SessionStore.
func (s brokenStore) Load(context.Context) ([]byte, error) {
	if s.loads {
		return nil, nil
	}
	panic("index out of range")
}

// Save implements provider.SessionStore.
func (brokenStore) Save(context.Context, []byte) error { panic("index out of range") }

// The login is made in a goroutine, where a panic would end the process.
func TestPanicWhileLoggingIn_IsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		store  brokenStore
		logins int
	}{
		"before": {brokenStore{}, 0},
		"after":  {brokenStore{loads: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			driver := ftd.New()
			opened, err := driver.Open(provider.Config{
				Name: "edge", Address: d.Address(), Sessions: c.store, Clock: d.clock,
				Fields: &framework.FieldData{Raw: d.fields, Schema: driver.ConfigFields()},
			})
			require.NoError(t, err)
			t.Cleanup(opened.Close)
			_, err = opened.Issue(t.Context(), request("va-1"))
			failure := requireClass(t, provider.ClassAmbiguous, err)
			assert.NotContains(t, failure.Error(), "index out of range")
			var reason *provider.PanicError
			require.ErrorAs(t, err, &reason)
			assert.Equal(t, "index out of range", reason.Reason)
			assert.Equal(t, c.logins, d.Live(emulator.KindLogin))
			if c.logins == 0 {
				_, err = opened.Check(t.Context())
				requireClass(t, provider.ClassAmbiguous, err)
			}
		})
	}
}
