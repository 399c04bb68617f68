package ftd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_LifeBeyondTheMaximum_EndsWithIt(t *testing.T) {
	for _, life := range []string{"31536001", "9223372036854775807"} {
		d := newDevice(t)
		d.InjectFault(emulator.Fault{Route: "custom_token", Body: new(`{"access_token":"acc","expires_in":` + life + `}`)})
		credential := issue(t, d.open(), "va-1")
		assert.Equal(t, d.clock.Now().Add(31_535_999*time.Second), credential.ExpiresAt)
	}
}

func TestIssue_TokenThatCannotStandInAHeader(t *testing.T) {
	for name, operation := range map[string]string{"the login's": "password", "the leased": "custom_token"} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.InjectFault(emulator.Fault{Route: operation, Times: 1, Body: new(`{"access_token":"a\r\nb","expires_in":3600}`)})
			_, err := d.open().Issue(t.Context(), request("va-1"))
			want := provider.ClassAmbiguous
			if operation == "password" {
				want = provider.ClassUnavailable // nothing was asked for yet
			}
			requireClass(t, want, err)
			assert.NotContains(t, string(d.sessions.Saved()), `a\r\nb`)
		})
	}
}
