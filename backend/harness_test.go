package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/helper/errutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// clock is the machine's clock, moved ahead by a test. Mount and emulators share it.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset).UTC()
}

func (c *clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// mount is a backend on storage in memory, with the emulators of all vendors. Real drivers talk to
// them over loopback.
type mount struct {
	t       testing.TB
	backend *backend
	storage *logical.InmemStorage
	vendors *emulator.Server
	clock   *clock
	log     *bytes.Buffer
	// made are root secrets that were made by rotations.
	made   []string
	madeMu sync.Mutex
	logMu  sync.Mutex
	// breakerPause is in real time. Short, it is over when a test has ended an outage.
	breakerPause time.Duration
}

func newMount(t *testing.T) *mount {
	t.Helper()
	return newMountOn(t, emulator.Config{Seed: 1})
}

func newMountOn(t testing.TB, served emulator.Config) *mount {
	t.Helper()
	m := &mount{t: t, storage: &logical.InmemStorage{}, clock: &clock{}, log: &bytes.Buffer{}, breakerPause: time.Nanosecond}
	served.Now = m.clock.Now
	vendors, err := emulator.Start(served, all.Vendors()...)
	require.NoError(t, err)
	m.vendors = vendors
	m.start()
	t.Cleanup(func() {
		m.backend.Clean(context.Background())
		require.NoError(t, vendors.Close())
		m.requireNoSecretLogged()
	})
	return m
}

// start begins a plugin process on the mount's storage.
func (m *mount) start() {
	m.t.Helper()
	b := newBackend(options{providers: registry(), clock: m.clock, random: rand.Reader, breakerPause: m.breakerPause})
	err := b.Setup(m.t.Context(), &logical.BackendConfig{
		Logger:      hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &lockedWriter{m}}),
		System:      &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 48 * time.Hour},
		StorageView: m.storage,
	})
	require.NoError(m.t, err)
	require.NoError(m.t, b.Initialize(m.t.Context(), &logical.InitializationRequest{Storage: m.storage}))
	_, err = b.markers.Prefix(m.t.Context(), m.storage)
	require.NoError(m.t, err)
	m.backend = b
}

// restart ends the process as a kill would, with nothing cleaned up at vendors, and begins another.
func (m *mount) restart() {
	m.t.Helper()
	m.backend.Clean(m.t.Context())
	m.start()
}

// markerPrefix begins the markers of the mount.
func (m *mount) markerPrefix() string {
	m.t.Helper()
	prefix, err := m.backend.markers.Prefix(m.t.Context(), m.storage)
	require.NoError(m.t, err)
	return prefix
}

// putConfig stores a config as it is.
func (m *mount) putConfig(name string, entry *store.Config) {
	m.t.Helper()
	_, err := m.backend.store.ChangeConfig(m.t.Context(), m.storage, name, func(config *store.Config) { *config = *entry })
	require.NoError(m.t, err)
}

type lockedWriter struct{ *mount }

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func (m *mount) requireNoSecretLogged() {
	m.t.Helper()
	m.logMu.Lock()
	defer m.logMu.Unlock()
	for _, secret := range m.secrets() {
		if strings.Contains(m.log.String(), secret) {
			m.t.Errorf("a root secret was logged")
		}
	}
}

// publicFields are members of the emulators' root credentials that are no secrets.
var publicFields = []string{"username", "key_id", "client_id"}

// secrets are the root secrets of all vendors.
func (m *mount) secrets() []string {
	var secrets []string
	for _, vendor := range m.vendors.State().Vendors {
		for field, value := range vendor.Credentials {
			if !slices.Contains(publicFields, field) {
				secrets = append(secrets, value)
			}
		}
	}
	m.madeMu.Lock()
	defer m.madeMu.Unlock()
	return append(secrets, m.made...)
}

// resetRotatedSecrets forgets them, and the log that was searched for them.
func (m *mount) resetRotatedSecrets() {
	m.madeMu.Lock()
	defer m.madeMu.Unlock()
	m.made = nil
	m.logMu.Lock()
	defer m.logMu.Unlock()
	m.log.Reset()
}

// rememberRotatedSecrets adds the root secrets that were made and stored since.
func (m *mount) rememberRotatedSecrets(config string) {
	m.t.Helper()
	entry, err := store.ReadConfig(m.t.Context(), m.storage, config)
	require.NoError(m.t, err)
	sets := []map[string]any{entry.Fields}
	for _, other := range entry.Root.Candidates {
		sets = append(sets, other.Fields)
	}
	m.madeMu.Lock()
	defer m.madeMu.Unlock()
	for _, fields := range sets {
		for field, value := range fields {
			if m.backend.sensitive[field] {
				m.made = append(m.made, value.(string))
			}
		}
	}
}

// request sends a request and returns the answer as Vault's HTTP layer would: with its status.
func (m *mount) request(operation logical.Operation, path string, data map[string]any) (*logical.Response, int, error) {
	m.t.Helper()
	req := &logical.Request{
		Operation: operation, Path: path, Data: data, Storage: m.storage, MountPoint: "vendorauth/",
		ID: "test-request", ClientToken: "test",
	}
	if operation == logical.UpdateOperation {
		found, exists, err := m.backend.HandleExistenceCheck(m.t.Context(), req)
		if err != nil {
			// Vault answers so to what the fields' schema refuses.
			require.ErrorAs(m.t, err, &errutil.UserError{})
			return nil, http.StatusBadRequest, err
		}
		if found && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	return m.send(m.t.Context(), req)
}

func (m *mount) send(ctx context.Context, req *logical.Request) (*logical.Response, int, error) {
	m.t.Helper()
	response, err := m.backend.HandleRequest(ctx, req)
	encoded, encodeErr := json.Marshal(response)
	require.NoError(m.t, encodeErr)
	for _, secret := range m.secrets() {
		require.NotContains(m.t, string(encoded), secret, "a root secret in a response")
		if err != nil {
			require.NotContains(m.t, err.Error(), secret, "a root secret in an error")
		}
	}
	status, respErr := logical.RespondErrorCommon(req, response, err)
	logical.AdjustErrorStatusCode(&status, err)
	if status == 0 {
		status = http.StatusOK
	}
	if err == nil && respErr != nil {
		err = respErr
	}
	return response, status, err
}

// must sends a request that has to succeed.
func (m *mount) must(operation logical.Operation, path string, data map[string]any) *logical.Response {
	m.t.Helper()
	response, status, err := m.request(operation, path, data)
	require.NoError(m.t, err, "%s %s", operation, path)
	require.Less(m.t, status, 300, "%s %s", operation, path)
	return response
}

// authFailed sends a request that has to fail, and returns its status and text.
func (m *mount) refused(operation logical.Operation, path string, data map[string]any) (int, string) {
	m.t.Helper()
	_, status, err := m.request(operation, path, data)
	require.Error(m.t, err, "%s %s", operation, path)
	return status, err.Error()
}

// configData is what is written to the config of a vendor, with changes laid over it. A nil takes a
// field away.
func (m *mount) configData(vendor string, changes map[string]any) map[string]any {
	state := m.vendors.State().Vendors[vendor]
	data := map[string]any{"vendor": vendor, "address": state.URL, "ca_cert": string(m.vendors.CACertPEM())}
	if state.AuthURL != "" {
		data["auth_address"] = state.AuthURL
	}
	for field, value := range state.Credentials {
		data[field] = value
	}
	data["requests_per_minute"] = 0 // tests of the rate limit set their own
	for field, value := range changes {
		if value == nil {
			delete(data, field)
			continue
		}
		data[field] = value
	}
	return data
}

// configure writes a config and a role of the vendor's name, the role with the given fields.
func (m *mount) configure(vendor string, role map[string]any) {
	m.t.Helper()
	m.must(logical.UpdateOperation, "config/"+vendor, m.configData(vendor, nil))
	data := map[string]any{"config": vendor, "ttl": "15m", "max_ttl": "2h"}
	maps.Copy(data, role)
	m.must(logical.UpdateOperation, "roles/"+vendor, data)
}

// lease is a credential as Vault holds it.
type testLease struct {
	secret *logical.Secret
	data   map[string]any
}

// read reads creds/<role>, which has to succeed.
func (m *mount) read(role string) *testLease {
	m.t.Helper()
	response := m.must(logical.ReadOperation, "creds/"+role, nil)
	return m.leaseOf(response)
}

// leaseOf keeps a lease as Vault does: through JSON, issued now.
func (m *mount) leaseOf(response *logical.Response) *testLease {
	m.t.Helper()
	require.NotNil(m.t, response.Secret)
	encoded, err := json.Marshal(response.Secret.InternalData)
	require.NoError(m.t, err)
	secret := *response.Secret
	secret.InternalData = nil
	require.NoError(m.t, json.Unmarshal(encoded, &secret.InternalData))
	secret.IssueTime = time.Now()
	return &testLease{secret: &secret, data: response.Data}
}

func (m *mount) renew(l *testLease, increment time.Duration) (*logical.Response, error) {
	m.t.Helper()
	secret := *l.secret
	secret.Increment = increment
	response, _, err := m.send(m.t.Context(), &logical.Request{
		Operation: logical.RenewOperation, Secret: &secret, Storage: m.storage,
	})
	return response, err
}

func (m *mount) revoke(l *testLease) error {
	m.t.Helper()
	_, _, err := m.send(m.t.Context(), &logical.Request{
		Operation: logical.RevokeOperation, Secret: l.secret, Storage: m.storage,
	})
	return err
}

// runPeriodic is Vault's periodic call.
func (m *mount) runPeriodic() {
	m.t.Helper()
	_, err := m.backend.HandleRequest(m.t.Context(), &logical.Request{Operation: logical.RollbackOperation, Storage: m.storage})
	if err != nil && !errors.Is(err, logical.ErrUnsupportedOperation) {
		require.NoError(m.t, err)
	}
	m.backend.runningWorker().Flush(m.t.Context())
}

// leased are the leased credentials that the emulator holds alive.
func (m *mount) leased(vendor string) []emulator.Credential { return m.alive(vendor, "leased") }

// logins are the engine's own logins that the emulator holds alive.
func (m *mount) logins(vendor string) []emulator.Credential { return m.alive(vendor, "login") }

func (m *mount) alive(vendor, kind string) []emulator.Credential {
	var live []emulator.Credential
	for _, credential := range m.vendors.Credentials(vendor) {
		if credential.Live && credential.Kind == kind {
			live = append(live, credential)
		}
	}
	return live
}

// operations counts the requests that the emulator saw, by operation.
func (m *mount) operations(vendor string) map[string]int {
	counts := make(map[string]int)
	for _, request := range m.vendors.Requests(vendor) {
		counts[request.Operation]++
	}
	return counts
}

// ledgerOf lists the account of a config.
func (m *mount) ledgerOf(config string) []string {
	m.t.Helper()
	ids, err := m.storage.List(m.t.Context(), "ledger/"+config+"/")
	require.NoError(m.t, err)
	return ids
}

func (m *mount) fault(fault emulator.Fault) {
	m.t.Helper()
	require.NoError(m.t, m.vendors.AddFault(fault))
}
