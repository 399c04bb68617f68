package pool

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// maxRoots bounds how many root credentials the memory holds. A config write with a wrong password adds
	// one.
	maxRoots = 10_000

	// maxRejections bounds how often config writes may try another root credential of one account within
	// accountWindow: vendors lock an account after a few wrong passwords.
	maxRejections = 3
)

// How long rejections are remembered. A build with failpoints forgets them soon.
var (
	accountWindow = failpoint.Wait(time.Hour, time.Second)

	// minRejectedPause and maxRejectedPause bound the pause after a rejected root credential, which doubles with
	// each further rejection: at most five attempts in the first hour, and one an hour after that.
	minRejectedPause = failpoint.Wait(2*time.Minute, time.Second)
	maxRejectedPause = failpoint.Wait(time.Hour, 2*time.Second)
)

// rootKey identifies a root credential at an address without holding it: a keyed digest.
type rootKey [sha256.Size]byte

// authMemory keeps the rejected root credentials of a mount. It is shared by all connections, so that a check, a config write
// and a read do not send the same rejected password one after the other. It is safe for concurrent use.
type authMemory struct {
	clock     provider.Clock
	providers map[string]provider.Provider
	secret    []byte

	mu       sync.Mutex
	backoffs map[rootKey]*provider.AuthBackoff
	// rejections are the times at which config writes were rejected, by account.
	rejections map[rootKey][]time.Time
	// statuses are what the vendors' answers say about each root credential.
	statuses map[rootKey]RootStatus
}

func newAuthMemory(clock provider.Clock, providers map[string]provider.Provider) *authMemory {
	return &authMemory{
		clock: clock, providers: providers, secret: []byte(rand.Text()),
		backoffs:   make(map[rootKey]*provider.AuthBackoff),
		rejections: make(map[rootKey][]time.Time), statuses: make(map[rootKey]RootStatus),
	}
}

// rootOf returns the key of a config's root credential: the address and all of the vendor's fields, or, if the vendor
// names the fields of the account, the account and the secrets.
func (m *authMemory) rootOf(entry *store.Config) rootKey {
	vendor := m.providers[entry.Vendor]
	if vendor == nil || len(vendor.Capabilities().AccountFields) == 0 {
		return m.pacedOf(entry)
	}
	return m.digest(m.accountOf(entry), "root", entry.Fields, m.fieldsOf(entry, true))
}

// accountOf returns the key of the account that a config's root credential belongs to: the address and all fields
// that are not secret, unless the vendor names the fields of the account.
func (m *authMemory) accountOf(entry *store.Config) rootKey {
	vendor := m.providers[entry.Vendor]
	if vendor == nil || len(vendor.Capabilities().AccountFields) == 0 {
		return m.digest(m.addressOf(entry), "account", entry.Fields, m.fieldsOf(entry, false))
	}
	capabilities, schema := vendor.Capabilities(), vendor.ConfigFields()
	data := framework.FieldData{Raw: entry.Fields, Schema: schema}
	values := make(map[string]any, len(capabilities.AccountFields))
	for _, name := range capabilities.AccountFields {
		value, _, _ := data.GetOkErr(name) // nil if malformed, which Open refuses
		if value == nil {
			value = schema[name].DefaultOrZero()
		}
		values[name] = value
	}
	values = withCanonicalAddresses(vendor, values)
	return m.digest(rootKey{}, entry.Vendor, values, slices.Sorted(maps.Keys(values)))
}

// withCanonicalAddresses returns a copy of a config's fields in which each address field that is given has its one spelling.
func withCanonicalAddresses(vendor provider.Provider, fields map[string]any) map[string]any {
	fields = maps.Clone(fields)
	for _, name := range vendor.Capabilities().AddressFields {
		if value, given := fields[name]; given {
			fields[name] = provider.CanonicalAddress(nil, fmt.Sprint(value))
		}
	}
	return fields
}

// pacedOf returns the key of what a rate limit applies to: a root credential at an address. Another spelling of an address
// is the same key, since a config keeps its connection then.
func (m *authMemory) pacedOf(entry *store.Config) rootKey {
	fields := entry.Fields
	if vendor := m.providers[entry.Vendor]; vendor != nil {
		fields = withCanonicalAddresses(vendor, fields)
	}
	return m.digest(m.addressOf(entry), "root", fields, slices.Sorted(maps.Keys(fields)))
}

func (m *authMemory) addressOf(entry *store.Config) rootKey {
	address := provider.CanonicalAddress(m.providers[entry.Vendor], entry.Address)
	return m.digest(rootKey{}, entry.Vendor, map[string]any{"address": address}, []string{"address"})
}

// fieldsOf returns the names of a config's fields that are secret, or of those that are not.
func (m *authMemory) fieldsOf(entry *store.Config, secret bool) []string {
	var schema map[string]*framework.FieldSchema
	if vendor := m.providers[entry.Vendor]; vendor != nil {
		schema = vendor.ConfigFields()
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(entry.Fields)), func(name string) bool {
		return (schema[name] != nil && store.IsSensitive(schema[name])) != secret
	})
}

// digest returns the key of a scope and the values of some fields.
func (m *authMemory) digest(scope rootKey, kind string, fields map[string]any, names []string) rootKey {
	parts := fmt.Appendf(nil, "%x %q", scope, kind)
	for _, name := range names {
		parts = fmt.Appendf(parts, " %q %q", name, fmt.Sprint(fields[name]))
	}
	digest := hmac.New(sha256.New, m.secret)
	digest.Write(parts)
	return rootKey(digest.Sum(nil))
}

// backoff returns the back-off of a root credential.
func (m *authMemory) backoff(key rootKey, initial, limit time.Duration) *provider.AuthBackoff {
	m.mu.Lock()
	defer m.mu.Unlock()
	backoff, ok := m.backoffs[key]
	if !ok {
		if len(m.backoffs) >= maxRoots {
			m.forgetIdle()
		}
		backoff = &provider.AuthBackoff{
			Initial: failpoint.Wait(max(initial, minRejectedPause), minRejectedPause),
			Max:     failpoint.Wait(max(limit, maxRejectedPause), maxRejectedPause),
		}
		m.backoffs[key] = backoff
	}
	return backoff
}

// forgetIdle drops the root credentials that have no rejection at the moment. The lock is held.
func (m *authMemory) forgetIdle() {
	now := m.clock.Now()
	maps.DeleteFunc(m.backoffs, func(_ rootKey, backoff *provider.AuthBackoff) bool { return backoff.Err(now) == nil })
}

// checkAccount refuses to try one more root credential of an account after several were rejected.
func (m *authMemory) checkAccount(account rootKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	recent := m.recent(account)
	if len(recent) < maxRejections {
		return nil
	}
	return &provider.Error{
		Class: provider.ClassInvalid, RetryAfter: recent[0].Add(accountWindow).Sub(m.clock.Now()),
		Message: fmt.Sprintf("the vendor has rejected %d root credentials of this account within an hour, and one more may lock it", len(recent)),
		Remedy:  "check the root credential at the vendor and write it again later, or write it with verify_connection=false",
		Err:     provider.ErrNotSent,
	}
}

// recordRejection records that a config write was rejected.
func (m *authMemory) recordRejection(account rootKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rejections) >= maxRoots {
		maps.DeleteFunc(m.rejections, func(key rootKey, _ []time.Time) bool { return len(m.recent(key)) == 0 })
	}
	m.rejections[account] = append(m.recent(account), m.clock.Now())
}

// forgetRejections forgets the rejected config writes of an account.
func (m *authMemory) forgetRejections(account rootKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rejections, account)
}

// recent returns the rejections of an account within the window. One in the future is that of a clock that was
// wrong, and does not count. The lock is held.
func (m *authMemory) recent(account rootKey) []time.Time {
	now := m.clock.Now()
	return slices.DeleteFunc(slices.Clone(m.rejections[account]), func(at time.Time) bool {
		return at.After(now) || now.Sub(at) >= accountWindow
	})
}
