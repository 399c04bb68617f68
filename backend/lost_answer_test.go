package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// relay passes requests on to a vendor. It withholds the creates, which the vendor finishes only when the test
// says so, long after their callers have given up.
type relay struct {
	*httptest.Server
	target   string
	isCreate func(*http.Request, []byte) bool
	// onAnswer, if set, runs before an answer is passed back.
	onAnswer func(*http.Request)

	mu       sync.Mutex
	withheld []func()
}

func newRelay(t *testing.T, target string, isCreate func(*http.Request, []byte) bool) *relay {
	r := &relay{target: target, isCreate: isCreate}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return r
}

func (r *relay) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	forward := func() (*http.Response, error) {
		out, err := http.NewRequest(request.Method, r.target+request.URL.RequestURI(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		out.Header = request.Header.Clone()
		return http.DefaultTransport.RoundTrip(out)
	}
	if r.isCreate(request, body) {
		r.mu.Lock()
		r.withheld = append(r.withheld, func() {
			if answer, err := forward(); err == nil {
				_ = answer.Body.Close()
			}
		})
		r.mu.Unlock()
		<-request.Context().Done() // the caller's timeout
		return
	}
	answer, err := forward()
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	if r.onAnswer != nil {
		r.onAnswer(request)
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// finish lets the vendor finish the creates.
func (r *relay) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, create := range r.withheld {
		create()
	}
	r.withheld = nil
}

// lateVendors are the vendors that carry a marker: their role, and how their creates are recognized.
var lateVendors = map[string]struct {
	role     map[string]any
	isCreate func(*http.Request, []byte) bool
}{
	"trend": {map[string]any{"role_name": "Auditor"}, func(r *http.Request, _ []byte) bool {
		return r.Method == http.MethodPost && r.URL.Path == "/api/apikeys"
	}},
	"ftd": {nil, func(_ *http.Request, body []byte) bool {
		return bytes.Contains(body, []byte(`"grant_type":"custom_token"`))
	}},
}

// behindRelay is a mount with a config and a role of the vendor's name, behind a relay that withholds creates.
func behindRelay(t *testing.T, vendor string, withhold bool) (*mount, *relay) {
	m := newMountOn(t, emulator.Config{Seed: 1, PlainHTTP: true})
	late := lateVendors[vendor]
	target := m.vendors.State().Vendors[vendor].URL
	base := strings.TrimSuffix(target, "/api")
	r := newRelay(t, base, func(request *http.Request, body []byte) bool { return withhold && late.isCreate(request, body) })
	m.must(logical.UpdateOperation, "config/"+vendor, m.configData(vendor, map[string]any{
		"ca_cert": nil, "address": r.URL + strings.TrimPrefix(target, base), "request_timeout": 1, "max_retries": 0,
	}))
	role := map[string]any{"config": vendor, "ttl": "1h", "max_ttl": "8h"}
	maps.Copy(role, late.role)
	m.must(logical.UpdateOperation, "roles/"+vendor, role)
	return m, r
}

// inventory is the one credential of a config's inventory.
func (m *mount) inventory(config string) map[string]any {
	m.t.Helper()
	listed := m.must(logical.ListOperation, "config/"+config+"/credentials", nil)
	details := listed.Data["key_info"].(map[string]any)
	require.Len(m.t, details, 1)
	for _, entry := range details {
		return entry.(map[string]any)
	}
	return nil
}

// wait lets minutes pass, with Vault's periodic call in each.
func (m *mount) wait(minutes int) {
	m.t.Helper()
	for range minutes {
		m.clock.Advance(time.Minute)
		m.runPeriodic()
	}
}

func TestLostAnswer_VendorFinishesLater_IsRevoked(t *testing.T) {
	t.Parallel()
	for vendor := range lateVendors {
		// After the first search, and before and after the slot is released.
		for name, minutes := range map[string]int{"at once": 0, "2 minutes": 2, "20 minutes": 20} {
			t.Run(vendor+" "+name, func(t *testing.T) {
				t.Parallel()
				m, relay := behindRelay(t, vendor, true)
				m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/"+vendor, nil)
				m.runPeriodic()
				require.Len(t, m.ledgerOf(vendor), 1)
				require.Equal(t, "searching", m.inventory(vendor)["state"])
				m.wait(minutes)
				m.restart()
				relay.finish()
				require.Len(t, m.leased(vendor), 1)
				m.wait(minutes + 15)
				require.Empty(t, m.leased(vendor))
				require.Empty(t, m.ledgerOf(vendor), "it was found, and nothing else can appear")
			})
		}
	}
}

func TestLostAnswer_NothingAppears_ReleasesTheSlotThenEnds(t *testing.T) {
	t.Parallel()
	// What Trend creates later has expired: the request carries the expiry. A token of FTD begins to live later.
	for vendor, minutes := range map[string]int{"trend": 55, "ftd": 7 * 60} {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			m, _ := behindRelay(t, vendor, true)
			m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/"+vendor, nil)
			m.runPeriodic()
			require.Equal(t, true, m.inventory(vendor)["occupies_slot"], "one search proves nothing")
			m.wait(5)
			shown := m.inventory(vendor)
			require.Equal(t, false, shown["occupies_slot"])
			require.Equal(t, "searching", shown["state"])
			require.Equal(t, 0, shown["holders"])
			require.NotEmpty(t, shown["search_until"])
			m.wait(minutes)
			shown = m.inventory(vendor)
			require.LessOrEqual(t, shown["searches"], 14, "at growing intervals")
			m.wait(2 * 60)
			require.Empty(t, m.ledgerOf(vendor), "nothing can appear any more")
		})
	}
}

func TestLostAnswer_SlotReleased_IsGivenToTheNextReader(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"max_credentials": 1}))
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "1h"})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", DropBefore: true})
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/ftd", nil)
	m.wait(10)
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil)
	m.vendors.ClearFaults("ftd")
	m.wait(11)
	require.Empty(t, m.leased("ftd"))
	m.read("ftd")
}

func TestLostAnswer_ConfigIsDeleted_IsSearchedOnceMore(t *testing.T) {
	t.Parallel()
	for vendor := range lateVendors {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			m, relay := behindRelay(t, vendor, true)
			m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/"+vendor, nil)
			marker := m.inventory(vendor)["marker"].(string)
			m.runPeriodic()
			m.rejected(http.StatusConflict, logical.DeleteOperation, "config/"+vendor, nil)
			m.wait(5)

			route := map[string]string{"trend": "searchApiKeys", "ftd": "revoke_token"}[vendor]
			m.fault(emulator.Fault{Vendor: vendor, Route: route, DropBefore: true})
			m.rejected(http.StatusConflict, logical.DeleteOperation, "config/"+vendor, nil, "searched a last time")
			m.vendors.ClearFaults(vendor)

			response := m.must(logical.DeleteOperation, "config/"+vendor, nil)
			require.Len(t, response.Warnings, 1)
			require.Contains(t, response.Warnings[0], marker)
			require.Empty(t, m.ledgerOf(vendor))
			relay.finish()
		})
	}
}

func TestLostAnswer_ConfigIsRetired_GoesOnSearching(t *testing.T) {
	t.Parallel()
	m, relay := behindRelay(t, "trend", true)
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/trend", nil)
	m.must(logical.DeleteOperation, "config/trend", map[string]any{"force": true})
	m.wait(10)
	relay.finish()
	require.Len(t, m.leased("trend"), 1)
	m.wait(10)
	require.Empty(t, m.leased("trend"))
	response, err := plainBody(m.backend.HandleRequest(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "config/trend", Storage: m.storage,
	}))
	require.NoError(t, err)
	require.Nil(t, response, "the config is deleted with its last entry")
}

// The process died before the vendor was called, or before its answer was recorded: nothing tells which.
func TestIntent_ProcessDied_IsSearchedAsALostAnswer(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor", "ttl": "10m"})
	m.fault(emulator.Fault{Vendor: "trend", Route: "createApiKey", DropBefore: true, Times: 1})
	failing := storagetest.FailFrom(m.storage, 2, storagetest.Writes...)
	_, _, err := m.requestOn(failing, logical.ReadOperation, "creds/trend", nil)
	require.Error(t, err)
	m.restart()
	require.Equal(t, "issuing", m.inventory("trend")["state"])
	m.wait(4)
	require.Equal(t, "searching", m.inventory("trend")["state"])
	m.wait(50)
	require.Len(t, m.ledgerOf("trend"), 1, "an hour at least, however short the lease")
	m.wait(90)
	require.Empty(t, m.ledgerOf("trend"))
}

// The token was created, and has expired by the product's clock, which is two hours behind.
func TestIssue_ExpiredByVendorsClock_IsRecordedOnce(t *testing.T) {
	var created atomic.Int64
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/access/tokens") {
			created.Add(1)
			w.Header()["Date"] = nil // stripped by a proxy
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(map[string]any{"token": "T", "expiresAt": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)})
		}
	}))
	defer vendor.Close()
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/lw", map[string]any{
		"vendor": "lacework", "address": vendor.URL, "key_id": "k", "secret_key": "s3cr3tk3y", "verify_connection": false,
	})
	m.must(logical.UpdateOperation, "roles/lw", map[string]any{"config": "lw", "ttl": "1h"})
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/lw", nil, "already expired")
	require.EqualValues(t, 1, created.Load())
	require.Equal(t, "expiring", m.inventory("lw")["state"])
	m.wait(65)
	require.Empty(t, m.ledgerOf("lw"))
}

// The lease would have no time left, although the credential may work by the vendor's clock.
func TestIssue_NoTimeLeftForALease_IsRevokedInBackground(t *testing.T) {
	for _, sharing := range []string{"exclusive", "shared"} {
		t.Run(sharing, func(t *testing.T) {
			m := newMount(t)
			m.configure("ftd", map[string]any{"sharing": sharing})
			short := `{"access_token":"` + strings.Repeat("t", 40) + `","token_type":"Bearer","expires_in":2}`
			m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Body: &short, Times: 1})
			m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/ftd", nil)
			require.Equal(t, "revoking", m.inventory("ftd")["state"])
			m.runPeriodic()
			require.Empty(t, m.ledgerOf("ftd"))
			holders, err := m.storage.List(t.Context(), "holder/")
			require.NoError(t, err)
			require.Empty(t, holders)
		})
	}
}

func TestIssue_CallerGaveUp_DoesNotWaitForTheVendor(t *testing.T) {
	for vendor, route := range map[string]string{"ftd": "revoke_token", "trend": "deleteApiKey", "fortianalyzer": "exec /sys/logout"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			role := map[string]any{"ttl": "10m"}
			if vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			m.configure(vendor, role)
			m.fault(emulator.Fault{Vendor: vendor, Route: route, Delay: time.Minute})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			before := m.operations(vendor)[route]
			storage := storagetest.FailNth(m.storage, 2, storagetest.Put)
			fail := storage.Before
			storage.Before = func(ctx context.Context, operation storagetest.Operation) error {
				err := fail(ctx, operation)
				if err != nil {
					cancel() // the caller gives up at the moment at which the write fails
				}
				return err
			}
			_, _, err := m.handle(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/" + vendor, Storage: storage})
			require.Error(t, err)
			require.Equal(t, before, m.operations(vendor)[route], "the vendor was not asked")
			require.Equal(t, "revoking", m.inventory(vendor)["state"])
			m.vendors.ClearFaults(vendor)
			m.runPeriodic()
			require.Empty(t, m.leased(vendor))
			require.Empty(t, m.ledgerOf(vendor))
		})
	}
}

// A lease ends while the vendor is writing its list: the credential is listed, and not in the ledger any more.
func TestTidy_CredentialRevokedDuringListing_IsNoOrphan(t *testing.T) {
	for _, dryRun := range []bool{true, false} {
		m, relay := behindRelay(t, "trend", false)
		before := m.read("trend")
		var during atomic.Bool
		relay.onAnswer = func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/apikeys/search") && during.CompareAndSwap(false, true) {
				require.NoError(t, m.revoke(before))
				require.NoError(t, m.revoke(m.read("trend")))
			}
		}
		report := m.must(logical.UpdateOperation, "config/trend/tidy", map[string]any{"dry_run": dryRun}).Data
		require.True(t, during.Load())
		require.Empty(t, report["orphans"])
		require.Equal(t, true, report["reconciled"])
		require.Equal(t, 0, report["orphans_revoked"])
	}
}

func TestSweep_FailedCredentials_DoNotStopTheOthers(t *testing.T) {
	for _, status := range []int{http.StatusUnprocessableEntity, http.StatusInternalServerError} {
		m := newMount(t)
		m.must(logical.UpdateOperation, "config/trend", m.configData("trend", map[string]any{"max_retries": 0}))
		m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "Auditor", "ttl": "10m"})
		m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: status})
		for range 4 {
			require.Error(t, m.revoke(m.read("trend")))
		}
		m.vendors.ClearFaults("trend")
		m.clock.Advance(lease.MinRetryPause)
		m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: status, Times: 2})
		m.runPeriodic()
		require.Len(t, m.leased("trend"), 2, status)
		m.wait(2)
		require.Empty(t, m.leased("trend"), status)
	}
}
