package ftd_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// readSystem is the route of the device's model and version.
const readSystem = "GET */operational/systeminfo/default"

// openProbed returns a connection with the methods that a probe needs.
func (d *device) openProbed() interface {
	connection
	provider.User
	provider.Inspector
} {
	d.T.Helper()
	return d.open().(interface {
		connection
		provider.User
		provider.Inspector
	})
}

func TestUse_AnyAnswer_ReportsIfTokenIsAccepted(t *testing.T) {
	for name, test := range map[string]struct {
		status   int // 0 for the emulator's own answer
		accepted bool
		class    provider.Class // of the error; 0 means none
	}{
		"accepted":      {0, true, 0},
		"unauthorized":  {http.StatusUnauthorized, false, 0},
		"token expired": {http.StatusRequestTimeout, false, 0},
		"role too weak": {http.StatusForbidden, true, 0},
		"starting":      {http.StatusServiceUnavailable, false, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			c := d.openProbed()
			credential := issue(t, c, "va-1")
			if test.status != 0 {
				d.InjectFault(emulator.Fault{Route: readUsers, Status: test.status})
			}
			accepted, err := c.Use(t.Context(), credential)
			assert.Equal(t, test.accepted, accepted)
			if test.class == 0 {
				require.NoError(t, err)
				return
			}
			requireClass(t, test.class, err)
		})
	}
}

func TestUse_RevokedToken_IsNotAccepted(t *testing.T) {
	for _, status := range []string{"401", "408"} {
		d := newDevice(t)
		d.Set("ended_token_status", status)
		c := d.openProbed()
		credential := issue(t, c, "va-1")
		require.NoError(t, c.Revoke(t.Context(), credential.Handle))
		accepted, err := c.Use(t.Context(), credential)
		require.NoError(t, err)
		assert.False(t, accepted)
	}
}

// product is what the emulated device reports about itself.
const product = "Cisco Firepower Threat Defense for VMware 7.4.2-172"

func TestInspect_ListedToken_IsFoundByIDOrSubject(t *testing.T) {
	for name, test := range map[string]struct {
		switches []string
		listed   string
		shown    string // the fact custom_token_session_name; "" means that it is absent
	}{
		"by id, with the user's name":  {nil, "by jti", "user"},
		"by id, with the subject":      {[]string{"custom_token_session_name", "subject"}, "by jti", "subject"},
		"by the subject only":          {[]string{"custom_token_session_name", "subject", "session_id_is_jti", "no"}, "by subject", "subject"},
		"neither id nor subject shown": {[]string{"session_id_is_jti", "no"}, "not listed", ""},
		"custom tokens are not listed": {[]string{"custom_tokens_in_sessions", "no"}, "not listed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.Set(test.switches...)
			c := d.openProbed()
			issue(t, c, "va-1")
			credential := issue(t, c, "va-2")
			facts, err := c.Inspect(t.Context(), credential)
			require.NoError(t, err)
			want := map[string]string{provider.InspectedProduct: product, "custom_tokens_in_sessions": test.listed}
			if test.shown != "" {
				want["custom_token_session_name"] = test.shown
			}
			assert.Equal(t, want, facts)
		})
	}
}

// A token that is no JWT has no id. A listed session without an id is not this token.
func TestInspect_OpaqueToken_IsNotFoundByID(t *testing.T) {
	d := newDevice(t)
	c := d.openProbed()
	credential := issue(t, c, "va-1")
	credential.Token = "opaque"
	d.InjectFault(emulator.Fault{Route: listing, Body: new(`{"items":[{"userName":"admin"},{"id":"1","userName":"va-2"}],"paging":{"count":2}}`)})
	facts, err := c.Inspect(t.Context(), credential)
	require.NoError(t, err)
	assert.Equal(t, "not listed", facts["custom_tokens_in_sessions"])
}

func TestInspect_SessionsNotListed_ReportsProductOnly(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		d := newDevice(t)
		c := d.openProbed()
		credential := issue(t, c, "va-1")
		d.InjectFault(emulator.Fault{Route: listing, Status: status})
		facts, err := c.Inspect(t.Context(), credential)
		require.NoError(t, err)
		assert.Equal(t, map[string]string{provider.InspectedProduct: product}, facts)
	}
}

func TestInspect_ListingFails_IsAnError(t *testing.T) {
	d := newDevice(t)
	c := d.openProbed()
	credential := issue(t, c, "va-1")
	d.InjectFault(emulator.Fault{Route: listing, Status: http.StatusServiceUnavailable})
	facts, err := c.Inspect(t.Context(), credential)
	requireClass(t, provider.ClassUnavailable, err)
	assert.Equal(t, map[string]string{provider.InspectedProduct: product}, facts, "it was read before")
}

func TestInspect_SystemInformation_IsReadIfPossible(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		want  string
	}{
		"not permitted": {emulator.Fault{Status: http.StatusForbidden}, ""},
		"with a body":   {emulator.Fault{Status: http.StatusNotFound, Body: new(`{"softwareVersion":"7.4"}`)}, ""},
		"lost":          {emulator.Fault{DropAfter: true}, ""},
		"a page":        {emulator.Fault{Body: new("<html>Log in here</html>")}, ""},
		"another shape": {emulator.Fault{Body: new(`{"softwareVersion":{},"platformModel":"FTDv"}`)}, ""},
		"version only":  {emulator.Fault{Body: new(`{"softwareVersion":"7.4"}`)}, "7.4"},
		"model only":    {emulator.Fault{Body: new(`{"platformModel":"FTDv"}`)}, "FTDv"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			c := d.openProbed()
			credential := issue(t, c, "va-1")
			test.fault.Route = readSystem
			d.InjectFault(test.fault)
			facts, err := c.Inspect(t.Context(), credential)
			require.NoError(t, err)
			assert.Equal(t, test.want, facts[provider.InspectedProduct])
			assert.Equal(t, "by jti", facts["custom_tokens_in_sessions"], "the inspection continues")
		})
	}
}
