package ftd_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestLogin_UnknownAPIVersion_ProvesNothing(t *testing.T) {
	t.Run("Issue_NamesTheVersion", func(t *testing.T) {
		d := newDevice(t)
		d.fields["api_version"] = "v99"
		_, err := d.open().Issue(t.Context(), request("va-1"))
		assert.Contains(t, requireClass(t, provider.ClassUnauthenticated, err).Remedy, "API version v99")
	})
	// Under a version that it does not know, the device answers every request with 401, also for tokens that work.
	t.Run("LiveToken_IsNotReportedAsEnded", func(t *testing.T) {
		d := newDevice(t)
		credential := issue(t, d.open(), "va-1")
		d.fields["api_version"] = "v99"
		wrongVersion := d.open()
		_, err := wrongVersion.Renew(t.Context(), credential.Handle, time.Hour)
		requireClass(t, provider.ClassUnauthenticated, err)
		requireClass(t, provider.ClassUnauthenticated, wrongVersion.Revoke(t.Context(), credential.Handle))
		requireClass(t, provider.ClassUnauthenticated, errOf(wrongVersion.RevokeMarker(t.Context(), "va-1")))
		assert.Equal(t, 1, d.Live(emulator.KindLeased))
	})
}

// A call that the device refuses because the login has ended did nothing, so it is repeated once.
func TestLogin_Evicted_IsReplacedOnce(t *testing.T) {
	for name, call := range map[string]func(c connection, credential *provider.Credential) error{
		"Issue": func(c connection, _ *provider.Credential) error {
			_, err := c.Issue(context.Background(), request("va-2"))
			return err
		},
		"Revoke": func(c connection, credential *provider.Credential) error {
			return c.Revoke(context.Background(), credential.Handle)
		},
		"RevokeMarker": func(c connection, _ *provider.Credential) error {
			return errOf(c.RevokeMarker(context.Background(), "va-1"))
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

func TestLogin_EvictedThenCallRefused_ReturnsRefusal(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.evictLogin()
	d.InjectFault(emulator.Fault{Route: listing, Status: 403}) // otherwise the list of sessions would show that the login has ended
	d.InjectFault(emulator.Fault{Route: "custom_token", Status: 400})
	_, err := c.Issue(t.Context(), request("va-2"))
	requireClass(t, provider.ClassInvalid, err)
	assert.Equal(t, 2, d.Requested("password"))
	assert.Equal(t, 3, d.Requested("custom_token"), "one succeeded and two were refused")
}

func TestLogin_EndedAtOnce_IsNotReplaced(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "custom_token", Status: 401})
	d.InjectFault(emulator.Fault{Route: "object/users", Status: 401})
	d.InjectFault(emulator.Fault{Route: listing, Status: 401})
	_, err := d.open().Issue(t.Context(), request("va-1"))
	assert.Contains(t, requireClass(t, provider.ClassUnavailable, err).Message, "right after it was made")
	assert.Equal(t, 1, d.Requested("password"))
}

func TestLogin_LiveAndCallRefused_IsForbidden(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "custom_token", Status: 401})
	_, err := d.open().Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassForbidden, err)
	assert.Equal(t, 1, d.Requested("custom_token"))
}

// A grant with the status 408 may have been served, so it is not repeated. But an ended login is not used again.
func TestLogin_GrantAnswered408_IsDroppedIfEnded(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(d *device)
		logins  int // with the login of the next issue
	}{
		"ended":               {func(d *device) { d.evictLogin() }, 2},
		"live":                {func(*device) {}, 1},
		"and the check fails": {func(d *device) { d.InjectFault(emulator.Fault{Route: readUsers, Status: 503}) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			timeouts := false
			d.useProxy(nil, func(answer *http.Response) error {
				if timeouts && strings.HasSuffix(answer.Request.URL.Path, "/fdm/token") {
					answer.StatusCode, answer.ContentLength, answer.Body = http.StatusRequestTimeout, 0, http.NoBody
					answer.Header.Del("Content-Length")
				}
				return nil
			})
			c := d.open()
			issue(t, c, "va-1")
			d.InjectFault(emulator.Fault{Route: listing, Status: http.StatusForbidden}) // otherwise the list of sessions would show that the login has ended
			test.prepare(d)
			timeouts = true
			_, err := c.Issue(t.Context(), request("va-2"))
			requireClass(t, provider.ClassAmbiguous, err)
			assert.Equal(t, 2, d.Requested("custom_token"), "it is not repeated")
			assert.Equal(t, 1, d.Requested("password"))
			timeouts = false
			issue(t, c, "va-3")
			assert.Equal(t, test.logins, d.Requested("password"))
			assert.Equal(t, 3, d.Requested("custom_token"), "the ended login is not used again")
		})
	}
}
