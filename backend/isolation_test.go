package backend

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// envoyText is the body of a proxy's 503 when the connection to the vendor breaks after the request.
const envoyText = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"

// Vault's client repeats a 503. After a create that a proxy answered, that would make one more credential each time.
func TestIsolation_ProxyAnswersCreate_OrphansNothing(t *testing.T) {
	for vendor, operation := range map[string]string{"trend": "createApiKey", "ftd": "custom_token"} {
		t.Run(vendor, func(t *testing.T) {
			role := map[string]any(nil)
			if vendor == "trend" {
				role = auditorRole
			}
			m := newConfiguredMount(t, vendor, role)
			for _, status := range []int{http.StatusRequestTimeout, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
				m.fault(emulator.Fault{Vendor: vendor, Route: operation, Status: status, Body: new(envoyText), ActBefore: true, Times: 1})
				before := m.operations(vendor)[operation]
				m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/"+vendor, nil)
				require.Equal(t, before+1, m.operations(vendor)[operation], "sent once")
				require.Len(t, m.leased(vendor), 1, "the vendor has created it")
				for range 3 {
					m.runPeriodicAfter(10 * time.Minute)
				}
				m.requireNoneLeft(vendor)
			}
		})
	}
}

// A renewal at FTD asks with the leased token itself, so that a changed password does not stop it.
func TestIsolation_PasswordChanged_TokensStillRenew(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.setSwitch("ftd", "password_change_ends", "logins")
	_, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	for range 5 {
		_, status, err := m.request(logical.ReadOperation, "creds/ftd", nil)
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, status, "%v", err)
		_, err = m.renew(leased, 0)
		require.NoError(t, err, "the token works")
	}
	require.Equal(t, 1, m.wrongPasswords(), "the password is sent once")
}

// A maintenance page asks one create to come back in a day.
func TestIsolation_LongRetryAfter_SilencesNoOtherOperation(t *testing.T) {
	m := newConfiguredMount(t, "trend", map[string]any{"role_name": "Auditor", "ttl": "30m", "max_ttl": "40h"})
	mine, other := m.read("trend"), m.read("trend")
	m.fault(emulator.Fault{
		Vendor: "trend", Route: "createApiKey", Status: http.StatusServiceUnavailable, Times: 1,
		Header: map[string]string{"Retry-After": "86400"},
	})
	m.rejected(http.StatusServiceUnavailable, logical.ReadOperation, "creds/trend", nil)
	before := m.operations("trend")["createApiKey"]
	m.rejected(http.StatusServiceUnavailable, logical.ReadOperation, "creds/trend", nil)
	require.Equal(t, before, m.operations("trend")["createApiKey"], "the next read does not ask")
	_, err := m.renew(mine, 0)
	require.NoError(t, err)
	require.NoError(t, m.revoke(other))

	m.clock.Advance(11 * time.Minute)
	m.read("trend") // the pause is capped
}

func TestIsolation_LongRetryAfter_CheckLiftsIt(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.fault(emulator.Fault{
		Vendor: "trend", Route: "createApiKey", Status: http.StatusServiceUnavailable, Times: 1,
		Header: map[string]string{"Retry-After": "86400"},
	})
	m.rejected(http.StatusServiceUnavailable, logical.ReadOperation, "creds/trend", nil)
	m.must(logical.UpdateOperation, "config/trend/check", nil)
	m.read("trend")
}

// A maintenance page answers a revocation: the next one is tried after a minute, not after a day.
func TestIsolation_LongRetryAfter_IsCappedForRevocations(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	first, second := m.read("trend"), m.read("trend")
	m.fault(emulator.Fault{
		Vendor: "trend", Route: "deleteApiKey", Status: http.StatusServiceUnavailable, Times: defaultMaxRetries + 1,
		Header: map[string]string{"Retry-After": "86400"},
	})
	require.Error(t, m.revoke(first))
	m.vendors.ClearFaults("trend")
	m.clock.Advance(time.Minute + time.Second)
	require.NoError(t, m.revoke(second))
	m.runPeriodicAfter(10 * time.Minute)
	m.requireNoneLeft("trend")
}

func TestIsolation_BreakerOpen_ReadsWriteNothing(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.writeConfig("ftd", map[string]any{"max_retries": 0})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "10m"})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	for range 6 {
		_, _, err := m.request(logical.ReadOperation, "creds/ftd", nil)
		require.Error(t, err)
		m.clock.Advance(11 * time.Minute)
	}
	var failing atomic.Bool
	failing.Store(true)
	readOnly := storagetest.FailWhile(m.storage, &failing, storagetest.Writes...)
	for range 100 {
		_, status, err := m.requestOn(readOnly, logical.ReadOperation, "creds/ftd", nil)
		require.ErrorContains(t, err, "circuit breaker open")
		require.Equal(t, http.StatusServiceUnavailable, status, "a write would have failed with 500")
	}
}

func TestIsolation_RejectedPassword_IsSentRarely(t *testing.T) {
	for name, test := range map[string]struct{ vendor, action, operation string }{
		"FortiAnalyzer": {"fortianalyzer", "download_credentials", "oauth_token"},
		"FTD":           {"ftd", "change_password", "password"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, test.vendor, nil)
			_, err := m.vendors.Do(test.vendor, test.action, nil)
			require.NoError(t, err)
			m.restart() // without a login of its own
			start := m.operations(test.vendor)[test.operation]
			sent := func() int { return m.operations(test.vendor)[test.operation] - start }
			ask := func() {
				_, _, err := m.request(logical.UpdateOperation, "config/"+test.vendor+"/check", nil)
				require.Error(t, err)
				_, _, err = m.request(logical.ReadOperation, "creds/"+test.vendor, nil)
				require.Error(t, err)
				_, _, err = m.request(logical.UpdateOperation, "config/"+test.vendor, m.configData(test.vendor, map[string]any{
					"password": m.config(test.vendor).Fields["password"],
				}))
				_ = err // the same values: the write may be accepted without another login
			}
			for range 10 {
				ask()
				m.clock.Advance(10 * time.Second)
			}
			require.LessOrEqual(t, sent(), 1, "within two minutes")
			for range 60 {
				ask()
				m.clock.Advance(time.Minute)
			}
			require.GreaterOrEqual(t, sent(), 2, "a password that was corrected at the vendor is noticed")
			require.LessOrEqual(t, sent(), 6, "within an hour")
		})
	}
}

// Six config writes with wrong passwords name the account that a healthy config uses. The device locks an account after
// several wrong passwords.
func TestIsolation_WrongConfigWrites_DoNotLockTheAccount(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	before := m.wrongPasswords()
	for _, password := range []string{"Wrong-1", "Wrong-2", "Wrong-3", "Wrong-4", "Wrong-5", "Wrong-6"} {
		_, status, err := m.request(logical.UpdateOperation, "config/other", m.configData("ftd", map[string]any{"password": password}))
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, status, "%v", err)
	}
	require.LessOrEqual(t, m.wrongPasswords()-before, 3)
	require.Nil(t, m.config("other"))
	m.must(logical.UpdateOperation, "config/ftd/check", nil)
	_, err := m.renew(leased, 0)
	require.NoError(t, err)
	require.NoError(t, m.readAndRevoke("ftd"))

	m.clock.Advance(time.Hour + time.Second)
	m.must(logical.UpdateOperation, "config/other", m.configData("ftd", nil))
}

// A vendor counts the requests of a root credential, whatever config they are for.
func TestIsolation_SharedRoot_SmallestLimitCountsAfterStart(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", nil)
	m.must(logical.CreateOperation, "config/limited", m.configData("lacework", map[string]any{"requests_per_minute": 10}))
	m.must(logical.UpdateOperation, "config/lacework", map[string]any{"requests_per_minute": 0})
	m.restart()
	m.runPeriodic() // no request has opened the limited config since the start
	ctx, cancel := context.WithCancel(t.Context())
	reading := inBackground(func() error {
		for {
			if _, _, err := m.handle(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/lacework", Storage: m.storage}); err != nil {
				return err
			}
		}
	})
	entry := m.config("lacework")
	require.Eventually(t, func() bool { return m.backend.pool.Waiting(entry) == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	require.Error(t, <-reading)
}
