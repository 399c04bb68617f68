package fortianalyzer

import (
	"context"
	"slices"
)

// attach counts an open connection, and returns the back-offs for its trust.
func (a *account) attach(connectionID string, trust serverTrust) *grantBackoffs {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attached[connectionID]++
	found := a.backoffs[trust]
	if found == nil {
		found = newGrantBackoffs()
		a.backoffs[trust] = found
	}
	found.connections++
	return found
}

// detach counts an open connection less. It reports whether none is left.
func (a *account) detach(connectionID string, trust serverTrust) (last bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found := a.backoffs[trust]; found != nil {
		if found.connections--; found.connections == 0 {
			delete(a.backoffs, trust)
		}
	}
	if a.attached[connectionID]--; a.attached[connectionID] <= 0 {
		delete(a.attached, connectionID)
	}
	return len(a.attached) == 0
}

// uses reports whether a connection is known to use the token. The caller holds the mutex.
func (a *account) uses(connectionID string) bool { return slices.Contains(a.users, connectionID) }

// register records that a connection uses the token.
func (a *account) register(ctx context.Context, c *connection) {
	a.mu.Lock()
	known := a.uses(c.id)
	held := a.current
	a.mu.Unlock()
	if !known {
		a.put(ctx, c, held)
	}
}

// forgetUsers forgets the connections that are not open. A config that was deleted while the process stopped would
// otherwise keep the token from being revoked.
func (a *account) forgetUsers() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users = slices.DeleteFunc(a.users, func(id string) bool { return a.attached[id] == 0 })
}

// load reads the stored token. Only its first call reads the store.
func (a *account) load(ctx context.Context) error {
	a.mu.Lock()
	loaded := a.loaded
	a.mu.Unlock()
	if loaded {
		return nil
	}
	stored, users, err := a.store.load(ctx)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.loaded {
		a.current, a.users, a.loaded = stored, users, true
	}
	return nil
}

// put makes a token the current one, used by the connection, in memory and in the store.
func (a *account) put(ctx context.Context, c *connection, token *accessToken) {
	a.mu.Lock()
	if !a.uses(c.id) {
		a.users = append(a.users, c.id)
	}
	a.current = token
	users := slices.Clone(a.users)
	a.mu.Unlock()
	if err := a.store.save(ctx, token, users); err != nil {
		// The token works, and an error for the caller would not undo it. After a restart, the next one needs the
		// password.
		c.logger.Warn("the OAuth access token could not be stored; after a restart the password is sent again", "error", err)
	}
}

// leave ends the use of the token by a connection whose config ends or changes. If no other config uses the token, it is
// revoked. After an error it is still stored, and leave can be repeated.
func (a *account) leave(ctx context.Context, c *connection) error {
	if err := a.load(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	if a.attached[c.id] > 1 {
		a.mu.Unlock()
		return nil // the config goes on: another connection with the same settings is open
	}
	known := a.uses(c.id)
	a.users = slices.DeleteFunc(a.users, func(id string) bool { return id == c.id })
	users := slices.Clone(a.users)
	held := a.current
	others := len(users)
	for id := range a.attached {
		if id != c.id {
			others++
		}
	}
	a.mu.Unlock()
	switch {
	case held == nil, others > 0 && !known:
		return nil
	case others > 0:
		return a.store.save(ctx, held, users)
	}
	if held.value != "" && c.clock.Now().Before(held.expiresAt) {
		if err := c.api.revokeToken(ctx, held.value); err != nil {
			return err
		}
	}
	a.mu.Lock()
	if a.current == held {
		a.current = nil
	}
	a.mu.Unlock()
	return a.store.save(ctx, nil, nil)
}
