package fortisiem

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// spareVersion is the version of the layout of spareToken.
const spareVersion = 1

// spareToken is an access token that a check has obtained and that no lease holds. One release of the product may issue only
// one access token for each API token, so such a token must not be lost: the next read gets it.
type spareToken struct {
	Version   int           `json:"v"`
	Address   string        `json:"address"`
	ClientID  string        `json:"client_id"`
	Token     string        `json:"token"`
	Type      string        `json:"type"`
	Subject   string        `json:"subject,omitempty"`
	Source    string        `json:"source"` // of the lifetime
	Lifetime  time.Duration `json:"lifetime"`
	ExpiresAt time.Time     `json:"expires_at"`
}

// remaining returns how long the token lives at a time, or zero.
func (t *spareToken) remaining(now time.Time) time.Duration {
	return max(0, t.ExpiresAt.Sub(now)).Truncate(time.Second)
}

// covers reports whether the token can be leased for a requested lifetime. The product gives all tokens the same lifetime,
// so a longer one cannot be had for a request that exceeds it.
func (t *spareToken) covers(lifetime time.Duration, now time.Time) bool {
	return t.remaining(now) >= min(lifetime, t.Lifetime/2)
}

// spareTokens keeps the spare token of a connection, in memory and in the session store: it is known after a restart. A
// connection without a store keeps none. It is safe for concurrent use.
type spareTokens struct {
	store    provider.SessionStore // nil for none
	address  string
	clientID string
	logger   hclog.Logger

	mu      sync.Mutex
	loaded  bool // current has been read from the store
	current *spareToken
}

// peek returns the spare token, or nil if there is none. A store that cannot be read counts as empty until the next call.
func (s *spareTokens) peek(ctx context.Context) *spareToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded || s.store == nil {
		return s.current
	}
	content, err := s.store.Load(ctx)
	if err != nil {
		s.logger.Warn("the access token of the last check could not be read from Vault's storage", "error", err)
		return nil
	}
	s.loaded = true
	var stored spareToken
	if len(content) == 0 {
		return nil
	}
	if json.Unmarshal(content, &stored) != nil || stored.Version != spareVersion || stored.Token == "" || !httpclient.ValidToken(stored.Token) {
		s.logger.Warn("the stored access token of the last check has an unknown format and is not used")
		return nil
	}
	if stored.Address == s.address && stored.ClientID == s.clientID {
		s.current = &stored
	}
	return s.current
}

// put stores a spare token in place of the present one. It reports false if it could not be stored: then the caller still
// owns the token.
func (s *spareTokens) put(ctx context.Context, spare *spareToken) bool {
	if s.store == nil {
		return false
	}
	content, err := json.Marshal(spare)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = s.store.Save(ctx, content)
	}
	if err != nil {
		s.logger.Warn("the access token of a check could not be stored; no read gets it", "error", err)
		return false
	}
	s.current, s.loaded = spare, true
	return true
}

// take removes a spare token that peek has returned. It reports false if another caller has taken it, or if it could not be
// removed from the store: it would be leased twice after a restart.
func (s *spareTokens) take(ctx context.Context, spare *spareToken) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if spare == nil || s.current != spare {
		return false
	}
	if err := s.store.Save(ctx, nil); err != nil {
		s.logger.Warn("the access token of the last check could not be removed from Vault's storage and is not leased", "error", err)
		return false
	}
	s.current = nil
	return true
}

// takeWorking takes the spare token if accept accepts it and it works at the product. It returns nil otherwise. A token that
// has ended is removed.
func (c *connection) takeWorking(ctx context.Context, accept func(*spareToken, time.Time) bool) *spareToken {
	spare := c.spares.peek(ctx)
	if spare == nil {
		return nil
	}
	now := c.clock.Now()
	if spare.remaining(now) < time.Second {
		c.spares.take(ctx, spare)
		return nil
	}
	if !accept(spare, now) {
		return nil
	}
	works, err := c.api.works(ctx, spare.Token)
	if err != nil || !c.spares.take(ctx, spare) || !works {
		return nil
	}
	return spare
}

// discardSpare ends the spare token when the connection ends. If revoke_url does not confirm that, the token stays stored
// for another attempt.
func (c *connection) discardSpare(ctx context.Context) error {
	spare := c.spares.peek(ctx)
	if spare == nil {
		return nil
	}
	if c.revocation != nil && spare.remaining(c.clock.Now()) > 0 {
		if err := c.revokeToken(ctx, spare.Token); err != nil {
			return err
		}
	}
	c.spares.take(ctx, spare)
	return nil
}
