package ftd

import "context"

// replace is the flight of login. It makes a password login in place of the existing session, which can be that of the
// connection's predecessor. At no time does the device have a sixth session.
//
// If the device has room for one more session, the login comes first: if the device refuses the password, the existing
// session stays, and with it the engine can still revoke tokens. Otherwise the existing session ends first, so that the
// login takes its place.
func (c *sessionCache) replace(ctx context.Context) (flightResult, error) {
	// This check comes first: no session is ended for a password that the device is known to refuse.
	if err := c.checkLoginAllowed(); err != nil {
		return flightResult{}, err
	}
	held, inherited, err := c.loadAny(ctx)
	if err != nil {
		return flightResult{}, err
	}
	if held == nil {
		return c.passwordLogin(ctx)
	}
	if !c.hasRoom(ctx, held, inherited) {
		if err := c.discard(ctx, held); err != nil {
			return flightResult{}, err
		}
		if inherited {
			if err := c.predecessor.save(ctx, nil, listingUnknown); err != nil {
				return flightResult{}, err
			}
		}
		return c.passwordLogin(ctx)
	}
	result, err := c.passwordLogin(ctx)
	if err != nil {
		if inherited {
			c.keepInheritable()
		}
		return flightResult{}, err
	}
	if inherited {
		return result, nil // the predecessor still uses its session, and ends it when it is closed
	}
	if _, err := c.revoke(ctx, held); err != nil {
		c.logger.Warn("the previous login could not be ended; it uses one of the device's sessions until it expires", "error", err)
	}
	return result, nil
}

// hasRoom reports whether the device certainly has room for one more session next to the existing one. For a session of
// the predecessor, one more must stay free, because the predecessor may issue a token at the same time.
func (c *sessionCache) hasRoom(ctx context.Context, held *session, inherited bool) bool {
	if !held.fresh(c.clock.Now()) || c.countActive == nil {
		return false
	}
	sessions, err := c.api.activeSessions(ctx, held.accessToken)
	if err != nil {
		return false
	}
	used := len(sessions)
	if c.tokenListing() != tokensListed {
		active, err := c.countActive(ctx)
		if err != nil {
			return false
		}
		used += active
	}
	if inherited {
		used++
	}
	return used < maxSessions
}

// keepInheritable lets the next login use the predecessor's session.
func (c *sessionCache) keepInheritable() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inherited = false
}

// restore reads the store unless that has been done.
func (c *sessionCache) restore(ctx context.Context) error {
	c.mu.Lock()
	loaded := c.loaded
	c.mu.Unlock()
	if loaded {
		return nil
	}
	_, err := c.singleflight(ctx, func(ctx context.Context) (flightResult, error) {
		held, err := c.load(ctx)
		return flightResult{session: held}, err
	})
	return err
}

// tokenListing returns what is known about the device's list of sessions.
func (c *sessionCache) tokenListing() tokenListing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listing
}

// observeListing records what the store knows about the device's list of sessions.
func (c *sessionCache) observeListing(listing tokenListing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if listing != listingUnknown {
		c.listing = listing
	}
}

// saveListing records what was found out about the device's list of sessions. It is stored with the session, so that it
// is known after a restart.
func (c *sessionCache) saveListing(ctx context.Context, listing tokenListing) {
	c.observeListing(listing)
	_, err := c.singleflight(ctx, func(ctx context.Context) (flightResult, error) {
		held, err := c.load(ctx)
		if err == nil && held != nil {
			err = c.store.save(ctx, held, c.tokenListing())
		}
		return flightResult{session: held}, err
	})
	if err != nil {
		c.logger.Warn("whether the device lists custom tokens could not be stored", "error", err)
	}
}
