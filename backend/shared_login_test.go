package backend

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
)

// FortiAnalyzer is the vendor whose configs share a login: an OAuth access token for each API user.
const (
	sharedLoginVendor = "fortianalyzer"
	opPasswordGrant   = "oauth_token"
	opRefreshGrant    = "oauth_token_refresh"
)

// shareLogin configures the vendor without limits.
func (m *mount) shareLogin() {
	m.t.Helper()
	m.setSwitch(sharedLoginVendor, "login_max", "0")
	m.writeConfig(sharedLoginVendor, map[string]any{"max_credentials": 0})
	m.must(logical.UpdateOperation, "roles/"+sharedLoginVendor, map[string]any{"config": sharedLoginVendor, "ttl": "10m", "max_ttl": "8h"})
}

// writeConfigOf writes another config of the vendor.
func (m *mount) writeConfigOf(name string, changes map[string]any) {
	m.t.Helper()
	m.must(logical.UpdateOperation, "config/"+name, m.configData(sharedLoginVendor, changes))
}

// actAtLogin performs an action of the vendor's emulator.
func (m *mount) actAtLogin(action string) {
	m.t.Helper()
	_, err := m.vendors.Do(sharedLoginVendor, action, nil)
	require.NoError(m.t, err)
}

// passwordGrants is how many times the password was sent.
func (m *mount) passwordGrants() int { return m.operations(sharedLoginVendor)[opPasswordGrant] }

func TestSharedLogin_HundredOfEachOperation_SendOnePassword(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	leases := make([]*vaultLease, 100)
	var readers errgroup.Group
	readers.SetLimit(20)
	for i := range leases {
		readers.Go(func() (err error) {
			leases[i], err = m.tryRead(sharedLoginVendor)
			return err
		})
	}
	require.NoError(t, readers.Wait())
	m.actAtLogin("end_sessions")
	var others errgroup.Group
	others.SetLimit(20)
	for _, leased := range leases {
		others.Go(func() error { return m.revoke(leased) })
		others.Go(func() error {
			_, _, err := m.request(logical.UpdateOperation, "config/fortianalyzer/check", nil)
			return err
		})
	}
	require.NoError(t, others.Wait())
	require.Empty(t, m.ledgerOf(sharedLoginVendor))
	m.restart()
	m.read(sharedLoginVendor)
	require.Equal(t, 1, m.passwordGrants())
	require.Zero(t, m.operations(sharedLoginVendor)[opRefreshGrant])
}

func TestSharedLogin_AccountLockedOut_SendsNoPassword(t *testing.T) {
	m := newMount(t)
	m.setSwitch(sharedLoginVendor, "lockout_duration", "15m")
	m.shareLogin()
	m.writeConfigOf("other", map[string]any{"idle_timeout": 600})
	m.must(logical.UpdateOperation, "roles/other", map[string]any{"config": "other", "ttl": "10m"})
	m.clock.Advance(2 * time.Hour) // the access token has expired
	m.actAtLogin("lock_account")
	before := m.passwordGrants()
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/fortianalyzer", nil)
	text := m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/fortianalyzer/check", nil)
	require.Contains(t, text, "locked the account out")
	for range 29 {
		for _, name := range []string{"fortianalyzer", "other"} {
			m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/"+name, nil)
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/"+name+"/check", nil)
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/"+name, map[string]any{"idle_timeout": 700})
		}
		m.clock.Advance(time.Minute)
	}
	require.Equal(t, before+1, m.passwordGrants())
	m.clock.Advance(time.Minute)
	m.read("other")
	require.Equal(t, before+2, m.passwordGrants())
}

// A lockout that lasts for 30 minutes without an attempt, which is the longest time that is known.
func TestSharedLogin_LockedOutForLonger_RecoversAlone(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	m.clock.Advance(2 * time.Hour)
	m.actAtLogin("lock_account")
	before := m.passwordGrants()
	var err error
	for range 60 {
		if _, _, err = m.request(logical.ReadOperation, "creds/fortianalyzer", nil); err == nil {
			break
		}
		m.clock.Advance(time.Minute)
	}
	require.NoError(t, err)
	require.Equal(t, before+2, m.passwordGrants(), "at 0 and 30 minutes")
}

func TestSharedLogin_PasswordChanged_RenewsAndRevokes(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	renewed, revoked, dead := m.read("fortianalyzer"), m.read("fortianalyzer"), m.read("fortianalyzer")
	due := []*vaultLease{m.read("fortianalyzer"), m.read("fortianalyzer"), m.read("fortianalyzer"), m.read("fortianalyzer")}
	callSession(m, dead, "exec", "/sys/logout")
	m.actAtLogin("download_credentials") // the documented way to change a password
	m.clock.Advance(6 * time.Minute)
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/fortianalyzer", nil)
	require.Equal(t, 2, m.passwordGrants(), "the password was rejected")
	require.Error(t, m.revoke(dead), "confirming that needs an access token")
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/fortianalyzer", nil)

	m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: "exec /sys/logout", DropBefore: true})
	for _, leased := range due {
		require.Error(t, m.revoke(leased), "the background work repeats it")
	}
	m.vendors.ClearFaults("fortianalyzer")
	_, err := m.renew(renewed, 0)
	require.NoError(t, err, "renewing needs the session only")
	require.NoError(t, m.revoke(revoked), "revoking needs the session only")
	m.clock.Advance(3 * time.Minute)
	m.runPeriodic()
	require.Len(t, m.leased("fortianalyzer"), 1, "the dead session does not stop the entries behind it")
	require.Equal(t, 2, m.passwordGrants())
}

func TestSharedLogin_OAuthServerDown_RenewsAndRevokes(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.setSwitch("fortianalyzer", "token_expires_in", "60")
	m.shareLogin()
	renewed, revoked := m.read("fortianalyzer"), m.read("fortianalyzer")
	dead := []*vaultLease{m.read("fortianalyzer"), m.read("fortianalyzer"), m.read("fortianalyzer"), m.read("fortianalyzer")}
	for _, leased := range dead {
		callSession(m, leased, "exec", "/sys/logout")
	}
	m.clock.Advance(2 * time.Minute)
	for _, route := range []string{opPasswordGrant, opRefreshGrant} {
		m.fault(emulator.Fault{Vendor: "fortianalyzer", Route: route, DropBefore: true})
	}
	for range 4 {
		m.rejected(http.StatusServiceUnavailable, logical.ReadOperation, "creds/fortianalyzer", nil)
	}
	for _, leased := range dead {
		require.Error(t, m.revoke(leased))
	}
	_, err := m.renew(renewed, 0)
	require.NoError(t, err, "the instance is well")
	require.NoError(t, m.revoke(revoked), "the instance is well")
}

func TestSharedLogin_TenChecksAfterChange_SendOnePassword(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	m.actAtLogin("download_credentials")
	for _, wait := range []time.Duration{0, 10 * time.Minute, time.Second} {
		m.clock.Advance(wait)
		before := m.passwordGrants()
		for range 10 {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/fortianalyzer/check", nil)
		}
		require.LessOrEqual(t, m.passwordGrants()-before, 1)
	}
	require.Equal(t, 2, m.passwordGrants())
}

// One of two instances of an API user accepts connections and never answers.
func TestSharedLogin_SilentInstance_DelaysNoOther(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Close()) }()
	m.writeConfigOf("silent", map[string]any{
		"address": "https://" + silent.Addr().String(), "verify_connection": false, "request_timeout": 20, "max_retries": 0,
	})
	m.must(logical.UpdateOperation, "roles/silent", map[string]any{"config": "silent", "ttl": "10m"})
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := silent.Accept(); err == nil {
			accepted <- conn
		}
	}()
	waiting := make(chan error, 1)
	go func() {
		_, err := m.tryRead("silent")
		waiting <- err
	}()
	conn := <-accepted
	for range 5 {
		m.must(logical.UpdateOperation, "config/fortianalyzer/check", nil)
		require.NoError(t, m.revoke(m.read("fortianalyzer")))
	}
	require.Empty(t, waiting, "the silent instance has not answered yet")
	require.NoError(t, conn.Close())
	require.Error(t, <-waiting)
	require.Equal(t, 1, m.passwordGrants())
}

func TestSharedLogin_LastConfigDeleted_IsRevoked(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	m.writeConfigOf("other", nil)
	require.Len(t, m.logins("fortianalyzer"), 1)
	m.restart() // the connection of the other config is not open
	m.must(logical.DeleteOperation, "config/fortianalyzer", nil)
	require.Len(t, m.logins("fortianalyzer"), 1)
	m.must(logical.UpdateOperation, "config/other", map[string]any{"idle_timeout": 600})
	require.Len(t, m.logins("fortianalyzer"), 1, "the config goes on with other settings")
	keys, err := m.storage.List(t.Context(), pool.SharedSessionPrefix)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NotContains(t, strings.ToLower(keys[0]), strings.ToLower(m.config("other").Fields["username"].(string)), "keys are not encrypted")
	m.must(logical.DeleteOperation, "config/other", nil)
	require.Empty(t, m.logins("fortianalyzer"))
	require.Equal(t, 1, m.passwordGrants())
	m.requireNoKeys(pool.SharedSessionPrefix, "session/")
}

// Six config writes with a wrong password, each with another setting, must not lock a healthy config's account.
func TestSharedLogin_WrongConfigWrites_AreLimited(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	for i := range 6 {
		_, _, err := m.request(logical.UpdateOperation, "config/wrong", m.configData("fortianalyzer", map[string]any{
			"password": strings.Repeat("x", i+1), "idle_timeout": 600 + i,
		}))
		require.Error(t, err)
	}
	require.Equal(t, 4, m.passwordGrants(), "one was right")
	m.read("fortianalyzer")
	require.Equal(t, 4, m.passwordGrants())
}

// The token belongs to the password: the user's name is no secret.
func TestSharedLogin_WrongPassword_OpensNoSession(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	m.writeConfigOf("thief", map[string]any{"password": "guessed", "verify_connection": false})
	m.must(logical.UpdateOperation, "roles/thief", map[string]any{"config": "thief", "ttl": "10m"})
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/thief", nil)
	require.Empty(t, m.leased("fortianalyzer"))
}

func TestInvalidate_SharedLoginReplaced_IsReadAgain(t *testing.T) {
	m := newMount(t)
	m.shareLogin()
	m.read("fortianalyzer")
	here := m.backend
	m.start()
	m.clock.Advance(2 * time.Hour)
	m.read("fortianalyzer")
	require.Equal(t, 1, m.operations("fortianalyzer")[opRefreshGrant])
	m.backend.Clean(t.Context())
	m.backend = here
	keys, err := m.storage.List(t.Context(), pool.SharedSessionPrefix)
	require.NoError(t, err)
	m.backend.Invalidate(t.Context(), pool.SharedSessionPrefix+keys[0])
	m.read("fortianalyzer")
	require.Equal(t, 1, m.operations("fortianalyzer")[opRefreshGrant])
	require.Equal(t, 1, m.passwordGrants())
}
