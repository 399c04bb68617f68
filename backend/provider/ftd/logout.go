package ftd

import "context"

// Logout implements [provider.Connection]. It ends the engine's login at the device. If that fails, the login stays
// stored for another attempt.
func (c *connection) Logout(ctx context.Context) error {
	defer c.api.http.Close()
	return c.sessions.logout(ctx)
}

// logout ends the session and prevents further logins.
func (c *sessionCache) logout(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	// logout waits for a running flight, so that it also ends the login of that flight. The flight puts its session
	// into c.current and returns its error to its own callers.
	_, _ = c.singleflight(ctx, func(context.Context) (flightResult, error) { return flightResult{}, nil })
	if err := ctx.Err(); err != nil {
		return errCanceled(err)
	}
	held, err := c.load(ctx)
	if err != nil || held == nil {
		return err
	}
	return c.discard(ctx, held)
}

// discard ends a session at the device and removes it from memory and from the store.
func (c *sessionCache) discard(ctx context.Context, held *session) error {
	held, err := c.revoke(ctx, held)
	if err != nil {
		return err
	}
	c.invalidate(held)
	return c.store.save(ctx, nil, listingUnknown)
}

// revoke ends a session at the device. A nil error means that the session is known to have ended. revoke returns the
// current form of the session, since it may have to refresh it.
//
// That revoking one token of a pair also ends the other is inferred, not documented. So revoke ends the refresh token
// first, while the access token still has the authority to do so, and then the access token if it still works.
func (c *sessionCache) revoke(ctx context.Context, held *session) (*session, error) {
	now := c.clock.Now()
	if !held.accessExpiresAt.After(now) {
		if !held.refreshable(now) {
			return held, nil // both tokens have expired
		}
		// Only an access token that works can revoke.
		refreshed, err := c.api.refresh(ctx, held.refreshToken)
		if refused(err) {
			return held, nil // neither token works
		}
		if err != nil {
			return held, asUnavailable(err)
		}
		// Stored, so that the store has tokens that work if the next step fails.
		c.put(ctx, refreshed)
		held = refreshed
	}
	if held.refreshToken != "" {
		if err := c.api.revokeToken(ctx, held.accessToken, held.refreshToken); err != nil && !inconclusive(err) {
			return held, err
		}
		if accepted, err := c.api.accepts(ctx, held.accessToken); err != nil || !accepted {
			return held, err
		}
	}
	err := c.api.revokeToken(ctx, held.accessToken, held.accessToken)
	if !inconclusive(err) {
		return held, err
	}
	accepted, probeErr := c.api.accepts(ctx, held.accessToken)
	switch {
	case probeErr != nil:
		return held, probeErr
	case accepted:
		return held, err
	}
	return held, nil
}
