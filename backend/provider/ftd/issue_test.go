package ftd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestIssue_Success_ReturnsSubjectAndVersionedAddress(t *testing.T) {
	d := newDevice(t)
	d.fields["api_version"] = "v6"
	credential := issue(t, d.open(), "va-edge-reader-1")
	assert.Equal(t, map[string]any{"subject": "va-edge-reader-1"}, credential.Data)
	assert.Equal(t, d.Address()+"/api/fdm/v6", credential.Address)
	assert.Equal(t, d.clock.Now().Add(time.Hour), credential.ExpiresAt)
}

func TestIssue_RefreshTokenInAnswer_IsNotReturned(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "custom_token", Body: new(
		`{"access_token":"acc","expires_in":3600,"token_type":"Bearer","refresh_token":"hunter2","refresh_expires_in":7200}`)})
	credential := issue(t, d.open(), "va-1")
	assert.NotContains(t, string(credential.Handle), "hunter2")
	assert.NotContains(t, credential.Data, "refresh_token")
}

func TestIssue_AnswerWithoutLifetime_RevokesToken(t *testing.T) {
	for name, body := range map[string]string{
		"absent": `{"access_token":"acc","token_type":"Bearer"}`,
		"null":   `{"access_token":"acc","expires_in":null}`,
		"zero":   `{"access_token":"acc","expires_in":0}`,
		"past":   `{"access_token":"acc","expires_in":-5}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.Set("revoke_unknown_token", "ok")
			d.InjectFault(emulator.Fault{Route: "custom_token", Body: &body})
			_, err := d.open().Issue(t.Context(), request("va-1"))
			failure := requireClass(t, provider.ClassAmbiguous, err)
			assert.Contains(t, failure.Message, "has revoked it")
			assert.Equal(t, 1, d.Requested("revoke_token"))
		})
		t.Run(name+", and revocation fails", func(t *testing.T) {
			d := newDevice(t)
			d.InjectFault(emulator.Fault{Route: "custom_token", Body: &body})
			d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 500})
			_, err := d.open().Issue(t.Context(), request("va-1"))
			requireClass(t, provider.ClassAmbiguous, err)
		})
	}
}

func TestIssue_DeviceState_DeterminesError(t *testing.T) {
	t.Run("booting", func(t *testing.T) {
		d := newDevice(t)
		d.Set("device_state", "booting")
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Contains(t, requireClass(t, provider.ClassUnavailable, err).Message, "starting")
	})
	t.Run("locked", func(t *testing.T) {
		d := newDevice(t)
		d.InjectFault(emulator.Fault{Route: "custom_token", Status: 423})
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Equal(t, 10*time.Second, requireClass(t, provider.ClassUnavailable, err).RetryAfter)
	})
	t.Run("locked, with Retry-After", func(t *testing.T) {
		d := newDevice(t)
		d.InjectFault(emulator.Fault{Route: "custom_token", Status: 423, Header: map[string]string{"Retry-After": "3"}})
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Equal(t, 3*time.Second, requireClass(t, provider.ClassUnavailable, err).RetryAfter)
	})
	t.Run("setup wizard", func(t *testing.T) {
		d := newDevice(t)
		d.InjectFault(emulator.Fault{Route: "custom_token", Status: 403})
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Contains(t, requireClass(t, provider.ClassForbidden, err).Remedy, "setup wizard")
	})
	t.Run("role too weak", func(t *testing.T) {
		d := newDevice(t)
		root := d.Act("add_external_user", "name", "reader", "role", "ro")
		d.fields["username"], d.fields["password"] = root["username"], root["password"]
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Contains(t, requireClass(t, provider.ClassInvalid, err).Detail, "permission")
		assert.Equal(t, 1, d.Requested("password"), "the login works, so there is no second login")
	})
}

func TestIssue_LifetimeAboveMaximum_IsLimited(t *testing.T) {
	for _, life := range []string{"31536001", "9223372036854775807"} {
		d := newDevice(t)
		d.InjectFault(emulator.Fault{Route: "custom_token", Body: new(`{"access_token":"acc","expires_in":` + life + `}`)})
		credential := issue(t, d.open(), "va-1")
		assert.Equal(t, d.clock.Now().Add(31_535_999*time.Second), credential.ExpiresAt)
	}
}

func TestIssue_TokenUnfitForHeader_IsRefused(t *testing.T) {
	for name, operation := range map[string]string{"login": "password", "leased token": "custom_token"} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.InjectFault(emulator.Fault{Route: operation, Times: 1, Body: new(`{"access_token":"a\r\nb","expires_in":3600}`)})
			_, err := d.open().Issue(t.Context(), request("va-1"))
			want := provider.ClassAmbiguous
			if operation == "password" {
				want = provider.ClassUnavailable // the token was not requested yet
			}
			requireClass(t, want, err)
			assert.NotContains(t, string(d.sessions.Saved()), `a\r\nb`)
		})
	}
}

func TestIssue_Lifetime_HasDocumentedRange(t *testing.T) {
	const longest = 31_536_000 * time.Second
	for lifetime, ok := range map[time.Duration]bool{
		time.Second: true, longest: true, time.Second - 1: false, longest + 1: false, 0: false, -time.Hour: false,
	} {
		d := newDevice(t)
		c := d.open()
		require.Equal(t, longest, c.MaxLifetime())
		credential, err := c.Issue(t.Context(), provider.IssueRequest{Marker: "va-1", Lifetime: lifetime})
		if !ok {
			assert.Equal(t, "max_ttl", requireClass(t, provider.ClassInvalid, err).Field, lifetime)
			assert.Zero(t, d.Requested())
			continue
		}
		require.NoError(t, err, lifetime)
		assert.WithinDuration(t, d.clock.Now().Add(lifetime), credential.ExpiresAt, time.Second)
	}
}
