package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // the tests start thousands of mounts, and a third of their time was garbage collection
	providertest.Main(m)
}

// clock is the real time plus an offset that a test increases. The mount and the emulators share it.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
	// impatient is true after endWaits.
	impatient bool
	// passing is true after passWaits.
	passing bool
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset).UTC()
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.passing {
		c.offset += max(0, d)
	}
	if c.impatient || c.passing {
		d = 0
	}
	return time.After(d)
}

// endWaits makes every wait end at once.
func (c *clock) endWaits() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.impatient = true
}

// passWaits makes the clock advance by every wait, which ends at once. The emulators see that time has passed.
func (c *clock) passWaits() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passing = true
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// mount is a backend on storage in memory, with the emulators of all vendors. The real drivers send their
// requests to them over loopback.
type mount struct {
	t       testing.TB
	backend *backend
	storage logical.Storage
	vendors *emulator.Server // nil for a mount without vendors
	clock   *clock
	// system is Vault as the backend sees it. A test that changes it sets another one.
	system *logical.StaticSystemView
	// allowAddresses are the addresses that the plugin's environment lists: those of the emulators.
	allowAddresses provider.AddressRanges
	// breakerPause is in real time. It is short by default: the breaker has closed when a test ends an outage.
	breakerPause time.Duration
	// revokePatience is in real time. It is long by default: the machine that runs the tests may be slow.
	revokePatience time.Duration

	mu  sync.Mutex
	log bytes.Buffer
	// rotatedSecrets are the root secrets that rotations created.
	rotatedSecrets []string
}

func newMount(t testing.TB) *mount {
	t.Helper()
	return newMountOn(t, emulator.Config{Seed: 1})
}

func newMountOn(t testing.TB, served emulator.Config) *mount {
	t.Helper()
	m := newMountWithoutVendors(t)
	if served.Now == nil {
		served.Now = m.clock.Now
	}
	vendors, err := emulator.Start(served, all.Vendors()...)
	require.NoError(t, err)
	m.vendors = vendors
	t.Cleanup(func() {
		m.backend.Clean(context.Background())
		require.NoError(t, vendors.Close())
		m.requireNoSecretLogged()
	})
	return m
}

// newConfiguredMount returns a mount with a config and a role of the vendor; see configure.
func newConfiguredMount(t testing.TB, vendor string, role map[string]any) *mount {
	t.Helper()
	m := newMount(t)
	m.configure(vendor, role)
	return m
}

// newMountWithoutVendors returns a mount for requests that reach no vendor.
func newMountWithoutVendors(t testing.TB) *mount {
	t.Helper()
	m := &mount{t: t, storage: &logical.InmemStorage{}, clock: &clock{}, breakerPause: time.Nanosecond, revokePatience: 10 * time.Second, system: newSystem(), allowAddresses: providertest.Loopback()}
	m.start()
	t.Cleanup(func() { m.backend.Clean(context.Background()) })
	return m
}

func newSystem() *logical.StaticSystemView {
	return &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 48 * time.Hour}
}

// start starts a plugin process on the mount's storage.
func (m *mount) start() {
	m.t.Helper()
	b := newBackend(options{
		providers: registry(), clock: m.clock, random: rand.Reader, breakerPause: m.breakerPause, retryWait: time.Millisecond,
		revokePatience: m.revokePatience, allowAddresses: m.allowAddresses,
	})
	err := b.Setup(m.t.Context(), &logical.BackendConfig{
		Logger:      hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m}),
		System:      m.system,
		StorageView: m.storage,
	})
	require.NoError(m.t, err)
	require.NoError(m.t, b.Initialize(m.t.Context(), &logical.InitializationRequest{Storage: m.storage}))
	m.backend = b
	m.markerPrefix() // reads or stores the mount's id
}

// restart kills the process, without cleaning up at the vendors, and starts another.
func (m *mount) restart() {
	m.t.Helper()
	m.backend.Clean(m.t.Context())
	m.start()
}

// keepBreakersOpen restarts the mount with breakers that stay open once they have opened.
func (m *mount) keepBreakersOpen() {
	m.t.Helper()
	m.breakerPause = time.Hour
	m.restart()
}

// markerPrefix is the start of the mount's markers.
func (m *mount) markerPrefix() string {
	m.t.Helper()
	prefix, err := m.backend.markers.Prefix(m.t.Context(), m.storage)
	require.NoError(m.t, err)
	return prefix
}

// Write appends to the log of the backend.
func (m *mount) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(p)
}

// logText returns what the backend has logged.
func (m *mount) logText() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

func (m *mount) requireNoSecretLogged() {
	m.t.Helper()
	secrets := m.secrets()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, secret := range secrets {
		if strings.Contains(m.log.String(), secret) {
			m.t.Errorf("a root secret was logged")
		}
	}
}

// publicFields are fields of the emulators' root credentials that are not secret.
var publicFields = []string{"username", "key_id", "client_id"}

// secrets are the root secrets of all vendors.
func (m *mount) secrets() []string {
	var secrets []string
	if m.vendors != nil {
		for _, vendor := range m.vendors.State().Vendors {
			for field, value := range vendor.Credentials {
				if !slices.Contains(publicFields, field) {
					secrets = append(secrets, value)
				}
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(secrets, m.rotatedSecrets...)
}

// resetRotatedSecrets forgets the rotated secrets, and the log that was searched for them.
func (m *mount) resetRotatedSecrets() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rotatedSecrets = nil
	m.log.Reset()
}

// rememberRotatedSecrets adds the root secrets that a config has now.
func (m *mount) rememberRotatedSecrets(name string) {
	m.t.Helper()
	config := m.config(name)
	sets := []map[string]any{config.Fields}
	for _, candidate := range config.Root.Candidates {
		sets = append(sets, candidate.Fields)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, fields := range sets {
		for field, value := range fields {
			if m.backend.sensitive[field] {
				m.rotatedSecrets = append(m.rotatedSecrets, value.(string))
			}
		}
	}
}

// config returns the stored config, or nil.
func (m *mount) config(name string) *store.Config {
	m.t.Helper()
	config, err := store.ReadConfig(m.t.Context(), m.storage, name)
	require.NoError(m.t, err)
	return config
}

// putConfig stores a config without a request.
func (m *mount) putConfig(name string, changed *store.Config) {
	m.t.Helper()
	_, err := m.backend.store.ChangeConfig(m.t.Context(), m.storage, name, func(config *store.Config) { *config = *changed })
	require.NoError(m.t, err)
}

// keys lists the keys below a prefix of storage.
func (m *mount) keys(prefix string) []string {
	m.t.Helper()
	keys, err := m.storage.List(m.t.Context(), prefix)
	require.NoError(m.t, err)
	return keys
}

// requireNoKeys requires that storage has no keys below the prefixes.
func (m *mount) requireNoKeys(prefixes ...string) {
	m.t.Helper()
	for _, prefix := range prefixes {
		require.Empty(m.t, m.keys(prefix), "keys below %s", prefix)
	}
}

// requireNow requires a timestamp of the API that is at most a few seconds old: the mount's clock never stands still.
func (m *mount) requireNow(timestamp any) {
	m.t.Helper()
	at, err := time.Parse(time.RFC3339, timestamp.(string))
	require.NoError(m.t, err)
	require.WithinDuration(m.t, m.clock.Now(), at, 5*time.Second)
}

// sharedRole and auditorRole are fields of roles for configure. A role of Trend names one of the product's own roles.
var (
	sharedRole  = map[string]any{"sharing": "shared"}
	auditorRole = map[string]any{"role_name": "Auditor"}
)

// configData is a config of a vendor as it is written, with changes applied. A nil removes a field.
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
	maps.Copy(data, changes)
	maps.DeleteFunc(data, func(_ string, value any) bool { return value == nil })
	return data
}

// writeConfig writes the config of a vendor, with the vendor's name.
func (m *mount) writeConfig(vendor string, changes map[string]any) *logical.Response {
	m.t.Helper()
	return m.must(logical.UpdateOperation, "config/"+vendor, m.configData(vendor, changes))
}

// configure writes a config and a role, both with the vendor's name, and the role with the given fields.
func (m *mount) configure(vendor string, role map[string]any) {
	m.t.Helper()
	m.writeConfig(vendor, nil)
	data := map[string]any{"config": vendor, "ttl": "15m", "max_ttl": "2h"}
	maps.Copy(data, role)
	m.must(logical.UpdateOperation, "roles/"+vendor, data)
}

// leased are the leased credentials that live at the emulator.
func (m *mount) leased(vendor string) []emulator.Credential { return m.alive(vendor, "leased") }

// logins are the engine's own logins that live at the emulator.
func (m *mount) logins(vendor string) []emulator.Credential { return m.alive(vendor, "login") }

func (m *mount) alive(vendor, kind string) []emulator.Credential {
	return slices.DeleteFunc(m.vendors.Credentials(vendor), func(c emulator.Credential) bool { return !c.Live || c.Kind != kind })
}

// operations counts the requests that the emulator received, by operation.
func (m *mount) operations(vendor string) map[string]int {
	counts := make(map[string]int)
	for _, request := range m.vendors.Requests(vendor) {
		counts[request.Operation]++
	}
	return counts
}

// ledgerOf lists the ledger entries of a config, without those of checks.
func (m *mount) ledgerOf(config string) []string {
	m.t.Helper()
	return slices.DeleteFunc(m.keys("ledger/"+config+"/"), func(id string) bool {
		stored, err := m.storage.Get(m.t.Context(), "ledger/"+config+"/"+id)
		require.NoError(m.t, err)
		var entry struct{ Check bool }
		return stored != nil && json.Unmarshal(stored.Value, &entry) == nil && entry.Check
	})
}

// firstEntry reads the first ledger entry of a config.
func (m *mount) firstEntry(config string) *ledger.Entry {
	m.t.Helper()
	entry, err := m.backend.ledger.Get(m.t.Context(), m.storage, config, m.ledgerOf(config)[0])
	require.NoError(m.t, err)
	return entry
}

// requireNoneLeft requires that no leased credential lives at the vendor and that the config of its name has no ledger
// entries.
func (m *mount) requireNoneLeft(vendor string) {
	m.t.Helper()
	require.Empty(m.t, m.leased(vendor))
	require.Empty(m.t, m.ledgerOf(vendor))
}

// removeEntry removes the ledger entry of a lease without revoking its credential.
func (m *mount) removeEntry(config string, l *vaultLease) {
	m.t.Helper()
	require.NoError(m.t, m.backend.ledger.Remove(m.t.Context(), m.storage, config, l.secret.InternalData["id"].(string)))
}

func (m *mount) fault(fault emulator.Fault) {
	m.t.Helper()
	require.NoError(m.t, m.vendors.AddFault(fault))
}

// setSwitch makes an emulator behave in another of the documented ways.
func (m *mount) setSwitch(vendor, name, value string) {
	m.t.Helper()
	require.NoError(m.t, m.vendors.SetSwitch(vendor, name, value))
}
