package lease

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// sharedCredential is a credential that several leases hold, as it is in memory. There is one for each ledger
// entry. It is safe for concurrent use.
type sharedCredential struct {
	shareKey string
	config   string
	entryID  string
	issuedAt time.Time
	// maxExpiresAt is the last moment to which renewals may move the vendor's end.
	maxExpiresAt time.Time
	// handle and origin are those of the ledger entry.
	handle  json.RawMessage
	origin  string
	payload sharedPayload

	mu sync.Mutex
	// expiresAt is the vendor's end.
	expiresAt time.Time
	// confirmedAt is when the vendor last confirmed that the credential works. Zero: not since this process
	// has begun, or there is a reason to doubt it since.
	confirmedAt time.Time
}

// sharedPayload is what each reader gets. It is stored with the ledger entry, so that later readers get it
// too, also after a restart.
type sharedPayload struct {
	Token     string         `json:"token"`
	TokenType string         `json:"token_type"`
	Address   string         `json:"address"`
	Data      map[string]any `json:"data,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
}

// remaining is how long the credential can still serve a lease.
func (s *sharedCredential) remaining(now time.Time) time.Duration { return s.maxExpiresAt.Sub(now) }

// canServe reports whether new leases of the given TTL may begin on the credential. It serves them until its
// remaining life is shorter than the TTL, and never for less than half of its life: at a vendor that grants less
// than twice the TTL, later leases are shorter. So at most two credentials of a role live at one time: one that
// serves new leases, and one whose last leases end before the first is replaced.
func (s *sharedCredential) canServe(ttl time.Duration, now time.Time) bool {
	return s.remaining(now) >= min(ttl, s.maxExpiresAt.Sub(s.issuedAt)/2)
}

// expiry returns the vendor's end.
func (s *sharedCredential) expiry() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expiresAt
}

// covers reports whether a lease of the given TTL, or of the rest of the credential's life, fits before the vendor's
// end as it is now. Only where renewals move that end, it can be otherwise.
func (s *sharedCredential) covers(ttl time.Duration, now time.Time) bool {
	return s.expiry().Sub(now) >= min(ttl, s.remaining(now))
}

// maxLease is the longest lease that fits before the vendor's end as it is now.
func (s *sharedCredential) maxLease(now time.Time) time.Duration {
	return maxLeaseTTL(min(s.expiry().Sub(now), s.remaining(now)))
}

// confirmedWithin reports whether the vendor has confirmed the credential at most this long ago. A confirmation by
// a clock that was set back since does not count for longer.
func (s *sharedCredential) confirmedWithin(age time.Duration, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.confirmedAt.IsZero() && now.Sub(s.confirmedAt).Abs() <= age
}

// confirm records that the vendor has confirmed the credential, and its end.
func (s *sharedCredential) confirm(expiresAt, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiresAt, s.confirmedAt = expiresAt, now
}

// doubt makes the next reader ask the vendor.
func (s *sharedCredential) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmedAt = time.Time{}
}

// credential is what one reader gets.
func (s *sharedCredential) credential() *provider.Credential {
	return &provider.Credential{
		Token: s.payload.Token, TokenType: s.payload.TokenType, Address: s.payload.Address,
		Data: s.payload.Data, Warnings: s.payload.Warnings, ExpiresAt: s.expiry(),
	}
}

// encodeShared is what a ledger entry keeps of a shared credential for later readers.
func encodeShared(credential *provider.Credential) (json.RawMessage, error) {
	encoded, err := json.Marshal(sharedPayload{
		Token: credential.Token, TokenType: credential.TokenType, Address: credential.Address,
		Data: credential.Data, Warnings: credential.Warnings,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the shared credential: %w", err)
	}
	return encoded, nil
}

// decodeShared reads a shared credential from its ledger entry.
func decodeShared(entry *ledger.Entry) (*sharedCredential, error) {
	shared := &sharedCredential{
		shareKey: entry.ShareKey, config: entry.Config, entryID: entry.ID, issuedAt: entry.CreatedAt,
		expiresAt: entry.ExpiresAt, maxExpiresAt: entry.MaxExpiresAt, handle: entry.Handle, origin: entry.Origin,
	}
	if err := json.Unmarshal(entry.Shared, &shared.payload); err != nil {
		return nil, fmt.Errorf("decoding the shared credential %s: %w", entry.ID, err)
	}
	return shared, nil
}

// sharedSet keeps the shared credentials that this process has used, and which of them the readers of each role
// share at the moment. A credential whose role was changed or deleted, or whose remaining life is too short, is
// replaced there and drains: it lives on until its last holder leaves.
type sharedSet struct {
	// reads and confirmations join requests that need the same vendor call.
	reads, confirmations singleflight.Group

	mu      sync.Mutex
	byRole  map[string]*sharedCredential
	byEntry map[string]*sharedCredential
}

func newSharedSet() sharedSet {
	return sharedSet{byRole: make(map[string]*sharedCredential), byEntry: make(map[string]*sharedCredential)}
}

// get returns the credential that the readers of a role share at the moment, or nil.
func (s *sharedSet) get(role, shareKey string) *sharedCredential {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.byRole[role]
	if current == nil || current.shareKey != shareKey {
		return nil
	}
	return current
}

// byID returns the credential of a ledger entry, or nil when this process has not used it yet.
func (s *sharedSet) byID(entryID string) *sharedCredential {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byEntry[entryID]
}

// add adds a credential that was read from the ledger, and returns the one that is in memory from now on: another
// request may have been faster.
func (s *sharedSet) add(read *sharedCredential) *sharedCredential {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byEntry[read.entryID]; known != nil {
		return known
	}
	s.byEntry[read.entryID] = read
	return read
}

// set makes a credential the one that the readers of a role share.
func (s *sharedSet) set(role string, current *sharedCredential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byRole[role] = current
	s.byEntry[current.entryID] = current
}

// forgetRole makes the next reader of a role look for its credential again.
func (s *sharedSet) forgetRole(role string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byRole, role)
}

// forgetEntry drops a credential that has ended.
func (s *sharedSet) forgetEntry(entryID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byEntry, entryID)
	for role, current := range s.byRole {
		if current.entryID == entryID {
			delete(s.byRole, role)
		}
	}
}

// ofConfig returns the credentials of a config.
func (s *sharedSet) ofConfig(config string) []*sharedCredential {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*sharedCredential
	for _, current := range s.byEntry {
		if current.config == config {
			found = append(found, current)
		}
	}
	return found
}
