package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestBreaker_VendorDoesNotAnswer_CostsAFewTimeoutsAndNotAThousand(t *testing.T) {
	m := newMountOn(t, emulator.Config{Seed: 1})
	m.breakerPause = time.Hour
	m.restart()
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	var leases []*testLease
	for range 20 {
		leases = append(leases, m.read("trend"))
	}
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", DropBefore: true})
	before := m.operations("trend")["deleteApiKey"]
	for _, leased := range leases {
		require.Error(t, m.revoke(leased))
	}
	perCall := defaultMaxRetries + 1
	require.Equal(t, 3*perCall, m.operations("trend")["deleteApiKey"]-before)
	require.Len(t, m.ledgerOf("trend"), 20, "each is kept to be tried again")
	require.ErrorContains(t, m.revoke(leases[0]), "circuit breaker open")
	m.read("trend") // the operation fails, and the vendor answers all others
}

func TestBreaker_VendorRefuses_IsAnAnswer(t *testing.T) {
	m := newMountOn(t, emulator.Config{Seed: 1})
	m.breakerPause = time.Hour
	m.restart()
	m.configure("lacework", nil)
	m.fault(emulator.Fault{Vendor: "lacework", Route: "POST /api/v2/access/tokens", Status: http.StatusForbidden, Times: 5})
	for range 5 {
		status, _ := m.refused(logical.ReadOperation, "creds/lacework", nil)
		require.Equal(t, http.StatusBadRequest, status)
	}
	m.read("lacework")
}

// Retries with a root credential that the vendor refuses can lock the account.
func TestPeriodic_RootCredentialRefused_RestsTheConfig(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.read("ftd")
	m.read("ftd")
	_, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	require.NoError(t, m.vendors.SetSwitch("ftd", "password_change_ends", "logins"))
	m.clock.advance(15*time.Minute + lease.LostLeaseGrace + time.Minute)
	before := m.operations("ftd")["password"]
	for range 60 {
		m.runPeriodic()
		m.clock.advance(time.Minute)
	}
	require.LessOrEqual(t, m.operations("ftd")["password"]-before, 5, "within an hour")
}

// A leader that has stalled finds its leases long over, and does not know yet that its successor has renewed them.
// All that it can tell by is that it cannot write.
func TestPeriodic_LeaderThatHasBeenSucceeded_EndsNothing(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newMount(t)
			m.configure("trend", map[string]any{"role_name": "Auditor", "ttl": "90m", "sharing": sharing})
			m.read("trend")
			m.clock.advance(90*time.Minute + lease.LostLeaseGrace + time.Second)
			calls := len(m.vendors.Requests("trend"))
			m.storage.Underlying().FailPut(true)
			m.storage.Underlying().FailDelete(true)
			m.runPeriodic()
			require.Len(t, m.vendors.Requests("trend"), calls)

			m.storage.Underlying().FailPut(false)
			m.storage.Underlying().FailDelete(false)
			m.runPeriodic()
			require.Empty(t, m.leased("trend"))
			require.Empty(t, m.ledgerOf("trend"))
		})
	}
}

func TestTidy_TriesOutstandingRevocationsAtOnce(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("ftd")

	report := m.must(logical.UpdateOperation, "config/ftd/tidy", map[string]any{"dry_run": true}).Data
	require.Len(t, report["pending"], 1)
	require.Equal(t, 0, report["revoked"])
	require.Len(t, m.leased("ftd"), 1)

	report = m.must(logical.UpdateOperation, "config/ftd/tidy", nil).Data
	require.Equal(t, 1, report["revoked"])
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestTidy_LeavesLiveLeasesAlone(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	m.read("ftd")
	m.read("trend")
	for _, config := range []string{"ftd", "trend"} {
		report := m.must(logical.UpdateOperation, "config/"+config+"/tidy", nil).Data
		require.Empty(t, report["pending"])
		require.Empty(t, report["orphans"])
		require.Len(t, m.leased(config), 1)
	}
}

// The books were lost, as after a restore of an old snapshot: the vendor still knows what this mount made.
func TestTidy_CredentialThatIsNotInTheBooks_IsEndedAndOthersAreNot(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "Auditor"})
	lost := m.read("trend")
	kept := m.read("trend")
	require.NoError(t, m.backend.ledger.Remove(t.Context(), m.storage, "trend", lost.secret.InternalData["id"].(string)))
	_, err := m.vendors.Do("trend", "create_key", map[string]string{"name": "vault-somebody-elses"})
	require.NoError(t, err)
	m.restart()

	report := m.must(logical.UpdateOperation, "config/trend/tidy", map[string]any{"dry_run": true}).Data
	require.Equal(t, true, report["reconciled"])
	require.Equal(t, []string{lost.data["key_name"].(string)}, report["orphans"])
	require.Len(t, m.leased("trend"), 2)

	report = m.must(logical.UpdateOperation, "config/trend/tidy", nil).Data
	require.Equal(t, 1, report["orphans_revoked"])
	left := m.leased("trend")
	require.Len(t, left, 1)
	require.Equal(t, kept.data["key_name"], left[0].Marker)
	require.Len(t, m.bootstrapped(), 1, "the engine's own management key is not a stranger")
	var names []string
	for _, credential := range m.vendors.Credentials("trend") {
		if credential.Live {
			names = append(names, credential.Marker)
		}
	}
	require.Contains(t, names, "vault-somebody-elses")
}

func TestPeriodic_LooksForOwnerlessEveryHourAndEndsNone(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor", "ttl": "90m"})
	lost := m.read("trend")
	require.NoError(t, m.backend.ledger.Remove(t.Context(), m.storage, "trend", lost.secret.InternalData["id"].(string)))
	sent := m.watchEvents()
	m.runPeriodic()
	m.clock.advance(firstReconcile / 2)
	m.runPeriodic()
	require.Empty(t, sent.kinds, "other work is more urgent after a start")
	m.clock.advance(firstReconcile / 2)
	m.runPeriodic()
	require.Equal(t, []string{lease.EventOrphansFound}, sent.kinds)
	m.clock.advance(reconcileInterval / 2)
	m.runPeriodic()
	require.Len(t, sent.kinds, 1, "not at each run")
	m.clock.advance(reconcileInterval / 2)
	m.runPeriodic()
	require.Len(t, sent.kinds, 2)
	require.Len(t, m.leased("trend"), 1, "this Vault may be a copy whose original has issued it")
}

func TestMetrics_CountWhatHappened(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.read("ftd")
	m.read("ftd")
	m.refused(logical.ReadOperation, "creds/ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	response := m.must(logical.ReadOperation, "metrics", nil)
	text := string(response.Data[logical.HTTPRawBody].([]byte))
	for _, line := range []string{
		`vendorauth_vendor_calls_total{operation="issue",outcome="ok",vendor="ftd"} 3`,
		`vendorauth_vendor_calls_total{operation="revoke",outcome="unavailable",vendor="ftd"} 1`,
		`vendorauth_rejections_total{class="capacity",operation="issue",vendor="ftd"} 1`,
		`vendorauth_credentials{config="ftd",state="live",vendor="ftd"} 2`,
		`vendorauth_credentials{config="ftd",state="revoking",vendor="ftd"} 1`,
		`vendorauth_credentials_limit{config="ftd",vendor="ftd"} 3`,
		`vendorauth_failed_revocations{config="ftd",vendor="ftd"} 1`,
		`vendorauth_vendor_request_duration_seconds_count{operation="issue",vendor="ftd"} 3`,
	} {
		require.Contains(t, text, line)
	}
	require.NotContains(t, text, leased.data["token"])
}

// events keeps what the engine sends.
type events struct{ kinds []string }

func (e *events) SendEvent(_ context.Context, kind logical.EventType, _ *logical.EventData) error {
	e.kinds = append(e.kinds, string(kind))
	return nil
}

// watchEvents keeps the events of the mount from now on.
func (m *mount) watchEvents() *events {
	m.t.Helper()
	sent := &events{}
	require.NoError(m.t, m.backend.Setup(m.t.Context(), &logical.BackendConfig{
		Logger: hclog.NewNullLogger(), System: m.backend.System(), EventsSender: sent,
	}))
	return sent
}

func TestEvents_TellOfRevocationsThatFailAndSettle(t *testing.T) {
	m := newMount(t)
	sent := m.watchEvents()
	m.configure("ftd", nil)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("ftd")
	require.NoError(t, m.revoke(leased))
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, []string{lease.EventRevokeFail, lease.EventRevoke, lease.EventCreateUnknown}, sent.kinds)
}

// panicking is a vendor whose driver has a fault.
type panicking struct{ provider.Provider }

func (p panicking) Name() string { return "panicking" }

func (p panicking) ConfigFields() map[string]*framework.FieldSchema { return nil }

func (p panicking) RoleFields() map[string]*framework.FieldSchema { return nil }

func (p panicking) ValidateRole(*framework.FieldData) error { return nil }

func (p panicking) Open(provider.Config) (provider.Connection, error) {
	return panickingConnection{}, nil
}

type panickingConnection struct{ provider.Connection }

func (panickingConnection) MaxLifetime() time.Duration { return 0 }

func (panickingConnection) Close() {}

func (panickingConnection) Logout(context.Context) error { return nil }

func (panickingConnection) Issue(context.Context, provider.IssueRequest) (*provider.Credential, error) {
	panic("a fault")
}

func (panickingConnection) RevokeMarker(context.Context, string) error {
	panic("another fault")
}

func TestDriverPanics_IsAnErrorOfThatRequest(t *testing.T) {
	m := newMount(t)
	m.backend.providers["panicking"] = panicking{m.backend.providers["ftd"]}
	m.must(logical.UpdateOperation, "config/broken", map[string]any{"vendor": "panicking", "address": "https://x.example", "verify_connection": false})
	for _, sharing := range []string{"exclusive", "shared"} {
		m.must(logical.UpdateOperation, "roles/broken", map[string]any{"config": "broken", "sharing": sharing})
		status, text := m.refused(logical.ReadOperation, "creds/broken", nil)
		require.Equal(t, http.StatusFailedDependency, status)
		require.NotContains(t, text, "a fault\n")
	}
	m.runPeriodic()
	require.Len(t, m.ledgerOf("broken"), 2, "still to be revoked")
	m.configure("ftd", nil)
	m.read("ftd")
}

// Whatever write or read of storage fails, nothing is alive at the vendor that the books do not know, and
// everything can be ended afterwards.
func TestStorageFailsAtTheNthOperation_NothingIsLost(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		for n := 1; ; n++ {
			done := false
			t.Run(fmt.Sprintf("%s/%d", sharing, n), func(t *testing.T) { done = storageFailsAt(t, sharing, n) })
			if done || t.Failed() {
				require.Greater(t, n, 5, "a run without a failure that came too early")
				break
			}
		}
	}
}

// storageFailsAt plays a short life with storage that fails at its n-th operation, once, and reports whether
// the life was over before that.
func storageFailsAt(t *testing.T, sharing string, n int) (over bool) {
	m := newMountOn(t, emulator.Config{Seed: 1, PlainHTTP: true})
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"ca_cert": nil}))
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "15m", "max_ttl": "2h", "sharing": sharing})
	m.restart() // actionNone is cached
	broken := &nthFails{Storage: m.storage, left: n}
	var leased *testLease
	response, _, err := m.send(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/ftd", Storage: broken, MountPoint: "vendorauth/",
	})
	if err == nil {
		leased = m.leaseOf(response)
		_, _, _ = m.send(t.Context(), &logical.Request{Operation: logical.RenewOperation, Secret: leased.secret, Storage: broken})
		_, _, err = m.send(t.Context(), &logical.Request{Operation: logical.RevokeOperation, Secret: leased.secret, Storage: broken})
		if err != nil {
			require.NoError(t, m.revoke(leased), "Vault tries again")
		}
	}
	m.requireBooked()
	m.clock.advance(3 * time.Hour)
	m.runPeriodic()
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
	left, err := m.storage.List(t.Context(), ledger.HolderPrefix)
	require.NoError(t, err)
	require.Empty(t, left)
	return broken.left > 0
}

// requireBooked demands that everything alive at FTD stands in stored books.
func (m *mount) requireBooked() {
	m.t.Helper()
	booked := map[string]bool{}
	for _, id := range m.ledgerOf("ftd") {
		stored, err := m.storage.Get(m.t.Context(), "ledger/ftd/"+id)
		require.NoError(m.t, err)
		var entry ledger.Entry
		require.NoError(m.t, json.Unmarshal(stored.Value, &entry))
		booked[entry.Marker] = true
	}
	for _, credential := range m.leased("ftd") {
		require.True(m.t, booked[credential.Marker], "%s is alive and nobody knows of it", credential.Marker)
	}
}

// nthFails is a storage whose n-th operation fails.
type nthFails struct {
	logical.Storage
	left int
}

func (s *nthFails) fails() bool {
	s.left--
	return s.left == 0
}

func (s *nthFails) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if s.fails() {
		return nil, errStorage
	}
	return s.Storage.Get(ctx, key)
}

func (s *nthFails) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if s.fails() {
		return errStorage
	}
	return s.Storage.Put(ctx, entry)
}

func (s *nthFails) Delete(ctx context.Context, key string) error {
	if s.fails() {
		return errStorage
	}
	return s.Storage.Delete(ctx, key)
}

func (s *nthFails) List(ctx context.Context, prefix string) ([]string, error) {
	if s.fails() {
		return nil, errStorage
	}
	return s.Storage.List(ctx, prefix)
}
