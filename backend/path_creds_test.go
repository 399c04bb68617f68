package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

func TestCreds_EveryVendor_LeaseEndsBeforeTheCredential(t *testing.T) {
	for vendor, renewable := range map[string]bool{"fortianalyzer": true, "fortisiem": false, "ftd": true, "lacework": false, "trend": true} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			role := map[string]any{"ttl": "10m"}
			if vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			m.configure(vendor, role)
			leased := m.read(vendor)
			require.Equal(t, 10*time.Minute, leased.secret.TTL, "the lease gets the full TTL of the role")
			require.Equal(t, renewable, leased.secret.Renewable)
			for _, field := range []string{"token", "token_type", "address", "expires_at"} {
				require.NotEmpty(t, leased.data[field], field)
			}
			require.Equal(t, vendor, leased.data["vendor"])

			live := m.leased(vendor)
			require.NotEmpty(t, live)
			issued := live[len(live)-1]
			require.False(t, m.clock.Now().Add(leased.secret.TTL).After(*issued.ExpiresAt), "the vendor's end is not before the lease's")
			expires, err := time.Parse(time.RFC3339, leased.data["expires_at"].(string))
			require.NoError(t, err)
			require.False(t, expires.After(*issued.ExpiresAt), "expires_at is never late")
		})
	}
}

func TestCreds_CostsTwoWritesAndNoRead(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	require.NoError(t, m.revoke(m.read("ftd")))
	counted := &countingStorage{Storage: m.storage}
	_, _, err := m.send(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/ftd", Storage: counted, MountPoint: "vendorauth/",
	})
	require.NoError(t, err)
	require.Equal(t, countingStorage{Storage: m.storage, puts: 2}, *counted)
}

type countingStorage struct {
	logical.Storage
	gets, puts, lists, deletes int
}

func (s *countingStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	s.gets++
	return s.Storage.Get(ctx, key)
}

func (s *countingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.puts++
	return s.Storage.Put(ctx, entry)
}

func (s *countingStorage) List(ctx context.Context, prefix string) ([]string, error) {
	s.lists++
	return s.Storage.List(ctx, prefix)
}

func (s *countingStorage) Delete(ctx context.Context, key string) error {
	s.deletes++
	return s.Storage.Delete(ctx, key)
}

func TestCreds_VendorThatCannotRevoke_SaysSoInEachAnswer(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", nil)
	response := m.must(logical.ReadOperation, "creds/lacework", nil)
	require.NotEmpty(t, response.Warnings)
	require.Contains(t, response.Warnings[len(response.Warnings)-1], response.Data["expires_at"].(string))
}

func TestCreds_LeaseHoldsNoSecret(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	require.ElementsMatch(t, []string{"config", "role", "id", "version", "secret_type"}, keysOf(leased.secret.InternalData))
}

func keysOf(values map[string]any) []string {
	var keys []string
	for key := range values {
		keys = append(keys, key)
	}
	return keys
}

func TestCreds_AtTheLimit_RefusesWithUsedLimitAndNextExpiry(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	for range 3 {
		m.read("ftd")
	}
	status, text := m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, text, "3 of 3")
	require.Contains(t, text, "max_credentials")
	require.Len(t, m.leased("ftd"), 3, "nobody was evicted")
	require.Len(t, m.logins("ftd"), 1)
}

func TestCreds_DefiniteRefusal_LeavesNothingBehind(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Status: http.StatusServiceUnavailable, Times: 1})
	status, _ := m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Empty(t, m.ledgerOf("ftd"))
}

// The vendor acted and its answer was lost: the credential exists and nobody holds it.
func TestCreds_AnswerLost_IsFoundByItsMarkerAndEnded(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	status, text := m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusFailedDependency, status, "a status that Vault's client does not repeat")
	require.Contains(t, text, "desired_subject")
	require.Len(t, m.leased("ftd"), 1, "the orphan")
	require.Equal(t, 1, m.operations("ftd")["custom_token"], "the create was not sent again")

	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestCreds_AnswerLostAtAVendorWithoutMarkers_IsKeptInTheBooksUntilItExpires(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", nil)
	m.fault(emulator.Fault{Vendor: "lacework", Route: "POST /api/v2/access/tokens", DropAfter: true, Times: 1})
	status, _ := m.refused(logical.ReadOperation, "creds/lacework", nil)
	require.Equal(t, http.StatusFailedDependency, status)
	m.runPeriodic()
	require.Len(t, m.ledgerOf("lacework"), 1)
	m.clock.advance(time.Hour)
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("lacework"))
}

// The process died between the vendor's create and the completion of its account.
func TestCreds_CrashAfterTheCreate_IsFoundByItsMarkerAndEnded(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	// From the second write on, storage fails and the vendor revokes nothing: as if the process were gone.
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", DropBefore: true})
	failing := &failingStorage{Storage: m.storage, failPut: 2}
	_, _, err := m.send(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/ftd", Storage: failing, MountPoint: "vendorauth/",
	})
	require.Error(t, err)
	m.vendors.ClearFaults("ftd")
	m.restart()
	m.runPeriodic()
	require.Len(t, m.leased("ftd"), 1, "too young to be surely abandoned")
	m.clock.advance(lease.IssueDeadline + time.Second)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

// failingStorage fails every write from the n-th on, and everything else with it.
type failingStorage struct {
	logical.Storage
	failPut, puts int
}

var errStorage = &storageError{}

type storageError struct{}

func (*storageError) Error() string { return "storage is gone" }

func (s *failingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.puts++
	if s.puts >= s.failPut {
		return errStorage
	}
	return s.Storage.Put(ctx, entry)
}

func (s *failingStorage) Delete(context.Context, string) error { return errStorage }

func TestCreds_AccountCannotBeCompleted_EndsTheCredentialAtOnce(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	failing := &failingStorage{Storage: m.storage, failPut: 2}
	_, status, err := m.send(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/ftd", Storage: failing, MountPoint: "vendorauth/",
	})
	require.ErrorContains(t, err, "storage is gone")
	require.Equal(t, http.StatusInternalServerError, status)
	require.Empty(t, m.leased("ftd"))
}

func TestCreds_ClientHangsUp_LosesNothing(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Delay: time.Minute, Times: 1})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for m.operations("ftd")["custom_token"] == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, status, err := m.send(ctx, &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/",
	})
	require.Error(t, err)
	require.Equal(t, http.StatusFailedDependency, status)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestCreds_RateLimited_IsNotAskedAgainBeforeItsTime(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", nil)
	m.fault(emulator.Fault{
		Vendor: "lacework", Route: "POST /api/v2/access/tokens", Status: http.StatusTooManyRequests,
		Header: map[string]string{"Retry-After": "120"}, Times: 1,
	})
	before := len(m.vendors.Requests("lacework"))
	for range 3 {
		status, text := m.refused(logical.ReadOperation, "creds/lacework", nil)
		require.Equal(t, http.StatusTooManyRequests, status)
		require.Contains(t, text, "retry in")
	}
	require.Len(t, m.vendors.Requests("lacework"), before+1)
	m.clock.advance(2 * time.Minute)
	m.read("lacework")
}

func TestCreds_PasswordChangedAtTheVendor_IsRefusedWithoutHammering(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"password": "wrong", "verify_connection": false}))
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd"})
	for range 5 {
		status, text := m.refused(logical.ReadOperation, "creds/ftd", nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "password")
	}
	require.Equal(t, 1, m.operations("ftd")["password"])
	require.Empty(t, m.ledgerOf("ftd"))
}
