package ftd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// connection is everything that an FTD connection can do.
type connection interface {
	provider.Connection
	provider.Renewer
	provider.Revoker
	provider.MarkerRevoker
	provider.Lister
	provider.RootRotator
}

// device is an emulated device, and what a connection to it is opened with.
type device struct {
	*emulatortest.Server
	address  string
	clock    *providertest.Clock
	sessions *providertest.Sessions
	fields   map[string]any
	random   io.Reader
	log      bytes.Buffer
	timeout  time.Duration
}

func newDevice(t testing.TB) *device {
	t.Helper()
	clock := providertest.NewClock()
	d := &device{
		Server: emulatortest.StartWith(t, emulator.Config{Seed: 1, Now: clock.Now, PlainHTTP: true}, twin.New()),
		clock:  clock, sessions: &providertest.Sessions{}, fields: map[string]any{}, random: rand.Reader, timeout: 10 * time.Second,
	}
	d.address = d.Address()
	for name, value := range d.Root() {
		d.fields[name] = value
	}
	return d
}

// open returns a new connection over the device's one session store.
func (d *device) open() connection {
	d.T.Helper()
	driver := ftd.NewWithRandom(d.random)
	opened, err := driver.Open(provider.Config{
		Name: "edge", Address: d.address, RequestTimeout: d.timeout,
		Fields:   &framework.FieldData{Raw: d.fields, Schema: driver.ConfigFields()},
		Sessions: d.sessions, Clock: d.clock,
		Logger: hclog.New(&hclog.LoggerOptions{Output: &d.log, Level: hclog.Trace}),
	})
	require.NoError(d.T, err)
	d.T.Cleanup(opened.Close)
	return opened.(connection)
}

// evictLogin makes five people log in to the web interface, which ends every session of ours. Three of them
// leave again.
func (d *device) evictLogin() {
	for i := range 5 {
		answer := d.Act("ui_login")
		if i > 1 {
			defer d.Act("ui_logout", "id", answer["id"])
		}
	}
}

var requireClass = providertest.RequireClass

func request(marker string) provider.IssueRequest {
	return provider.IssueRequest{Marker: marker, Lifetime: time.Hour}
}

func issue(t *testing.T, from provider.Connection, marker string) *provider.Credential {
	t.Helper()
	credential, err := from.Issue(t.Context(), request(marker))
	require.NoError(t, err)
	return credential
}

func TestOpen_APIVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"latest": true, "v1": true, "v6": true, "v12": true, "": true,
		"6": false, "v": false, "V6": false, "v6/../x": false, "v6\n": false,
	} {
		driver := ftd.New()
		raw := map[string]any{"username": "admin", "password": "p", "api_version": version}
		_, err := driver.Open(provider.Config{Address: "ftd.example", Fields: &framework.FieldData{Raw: raw, Schema: driver.ConfigFields()}})
		if ok {
			assert.NoError(t, err, "%q", version)
			continue
		}
		assert.Equal(t, "api_version", requireClass(t, provider.ClassInvalid, err).Field, "%q", version)
	}
}

func TestIssue_TellsTheSubjectAndTheVersionedAddress(t *testing.T) {
	d := newDevice(t)
	d.fields["api_version"] = "v6"
	credential := issue(t, d.open(), "va-edge-reader-1")
	assert.Equal(t, map[string]any{"subject": "va-edge-reader-1"}, credential.Data)
	assert.Equal(t, d.Address()+"/api/fdm/v6", credential.Address)
	assert.Equal(t, d.clock.Now().Add(time.Hour), credential.ExpiresAt)
}

func TestIssue_RefreshTokenIsNeverHandedOut(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "custom_token", Body: new(
		`{"access_token":"acc","expires_in":3600,"token_type":"Bearer","refresh_token":"hunter2","refresh_expires_in":7200}`)})
	credential := issue(t, d.open(), "va-1")
	assert.NotContains(t, string(credential.Handle), "hunter2")
	assert.NotContains(t, credential.Data, "refresh_token")
}

func TestIssue_WithoutALifetimeTheTokenIsEndedAgain(t *testing.T) {
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
			requireClass(t, provider.ClassInvalid, err)
			assert.Equal(t, 1, d.Requested("revoke_token"))
		})
		t.Run(name+", and cannot be ended", func(t *testing.T) {
			d := newDevice(t)
			d.InjectFault(emulator.Fault{Route: "custom_token", Body: &body})
			d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 500})
			_, err := d.open().Issue(t.Context(), request("va-1"))
			requireClass(t, provider.ClassAmbiguous, err)
		})
	}
}

func TestIssue_DeviceStates(t *testing.T) {
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
	t.Run("locked, and says for how long", func(t *testing.T) {
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
	t.Run("user too weak", func(t *testing.T) {
		d := newDevice(t)
		root := d.Act("add_external_user", "name", "reader", "role", "ro")
		d.fields["username"], d.fields["password"] = root["username"], root["password"]
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Contains(t, requireClass(t, provider.ClassInvalid, err).Message, "permission")
		assert.Equal(t, 1, d.Requested("password"), "our login is alive, so there is no other")
	})
}

func TestUnknownAPIVersion(t *testing.T) {
	t.Run("Issue_SaysSo", func(t *testing.T) {
		d := newDevice(t)
		d.fields["api_version"] = "v99"
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Contains(t, requireClass(t, provider.ClassUnauthenticated, err).Remedy, "API version v99")
	})
	// The device answers 401 to whatever is asked under a version that it does not know, also about tokens
	// that work.
	t.Run("LiveTokenIsNotTakenForGone", func(t *testing.T) {
		d := newDevice(t)
		credential := issue(t, d.open(), "va-1")
		d.fields["api_version"] = "v99"
		misled := d.open()
		_, err := misled.Renew(t.Context(), credential.Handle, time.Hour)
		requireClass(t, provider.ClassUnauthenticated, err)
		requireClass(t, provider.ClassUnauthenticated, misled.Revoke(t.Context(), credential.Handle))
		requireClass(t, provider.ClassUnauthenticated, misled.RevokeMarker(t.Context(), "va-1"))
		assert.Equal(t, 1, d.Live(emulator.KindLeased))
	})
}

func TestCheck_TellsRoleAndVersions(t *testing.T) {
	d := newDevice(t)
	result, err := d.open().Check(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "admin", result.Identity)
	assert.Equal(t, "ROLE_ADMIN", result.Details["user_role"])
	assert.Contains(t, result.Details["supported_versions"], "v6")
	assert.Empty(t, result.Warnings)
}

func TestCheck_ExternalUserHasAWarning(t *testing.T) {
	d := newDevice(t)
	root := d.Act("add_external_user", "name", "reader", "role", "ro")
	d.fields["username"], d.fields["password"] = root["username"], root["password"]
	result, err := d.open().Check(t.Context())
	require.NoError(t, err)
	require.Len(t, result.Warnings, 1)
	assert.Contains(t, result.Warnings[0], "not a local user")
}

func TestCheck_ToleratesWhatOldReleasesLack(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "/api/versions", Status: 404})
	d.InjectFault(emulator.Fault{Route: "object/users", Status: 403})
	result, err := d.open().Check(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, result.Details, "supported_versions")
	assert.Len(t, result.Warnings, 1)
}

func TestCheck_WithARememberedRefusalEndsNothing(t *testing.T) {
	d := newDevice(t)
	holder := d.open()
	issue(t, holder, "va-1")
	d.fields["password"] = "wrong"
	asking := d.open()
	_, err := asking.Check(t.Context())
	requireClass(t, provider.ClassUnauthenticated, err)
	_, err = d.open().Check(t.Context())
	requireClass(t, provider.ClassUnauthenticated, err)
	logins := d.Requested("password")
	revocations := d.Requested("revoke_token")
	_, err = asking.Check(t.Context())
	failure := requireClass(t, provider.ClassUnauthenticated, err)
	assert.Positive(t, failure.RetryAfter)
	assert.Equal(t, logins, d.Requested("password"))
	assert.Equal(t, revocations, d.Requested("revoke_token"))
}

func TestRenew_EvictedTokenIsNotFound(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.evictLogin()
	_, err := c.Renew(t.Context(), credential.Handle, time.Hour)
	requireClass(t, provider.ClassNotFound, err)
}

func TestRenew_BusyDeviceIsUnavailable(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.Set("device_state", "busy")
	_, err := c.Renew(t.Context(), credential.Handle, time.Hour)
	assert.Equal(t, 10*time.Second, requireClass(t, provider.ClassUnavailable, err).RetryAfter)
}

func TestRenew_ForbiddenIsAlive(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.InjectFault(emulator.Fault{Route: "object/users", Status: 403})
	end, err := c.Renew(t.Context(), credential.Handle, time.Hour)
	require.NoError(t, err)
	assert.True(t, end.Equal(credential.ExpiresAt))
}

// A call that is refused for lack of a login made nothing, so it may be repeated: once.
func TestEvictedLogin_IsReplacedOnce(t *testing.T) {
	for name, call := range map[string]func(c connection, credential *provider.Credential) error{
		"Issue": func(c connection, _ *provider.Credential) error {
			_, err := c.Issue(context.Background(), request("va-2"))
			return err
		},
		"Revoke": func(c connection, credential *provider.Credential) error {
			return c.Revoke(context.Background(), credential.Handle)
		},
		"RevokeMarker": func(c connection, _ *provider.Credential) error {
			return c.RevokeMarker(context.Background(), "va-1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			c := d.open()
			credential := issue(t, c, "va-1")
			d.evictLogin()
			require.NoError(t, call(c, credential))
			assert.Equal(t, 2, d.Requested("password"))
		})
	}
}

func TestEvictedLogin_RefusedAgainIsTheAnswer(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.evictLogin()
	d.InjectFault(emulator.Fault{Route: listing, Status: 403}) // or the listing would notice
	d.InjectFault(emulator.Fault{Route: "custom_token", Status: 400})
	_, err := c.Issue(t.Context(), request("va-2"))
	requireClass(t, provider.ClassInvalid, err)
	assert.Equal(t, 2, d.Requested("password"))
	assert.Equal(t, 3, d.Requested("custom_token"), "one that worked, two that were refused")
}

func TestLoginThatDiesAtOnce_IsNotReplacedForEver(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "custom_token", Status: 401})
	d.InjectFault(emulator.Fault{Route: "object/users", Status: 401})
	d.InjectFault(emulator.Fault{Route: listing, Status: 401})
	_, err := d.open().Issue(t.Context(), request("va-1"))
	assert.Contains(t, requireClass(t, provider.ClassUnavailable, err).Message, "right after it was made")
	assert.Equal(t, 1, d.Requested("password"))
}

func TestRefusalWithALoginThatLives_IsNotAboutTheRootCredential(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "custom_token", Status: 401})
	_, err := d.open().Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassForbidden, err)
	assert.Equal(t, 1, d.Requested("custom_token"))
}
