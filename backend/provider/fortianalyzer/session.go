package fortianalyzer

import (
	"context"
	"errors"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// cleanupTimeout bounds a logout on a context that outlives the request; see [provider.CleanupContext].
const cleanupTimeout = 20 * time.Second

// open logs in: it exchanges the account's access token for a session. It waits for the end of a rate limit.
func (c *connection) open(ctx context.Context) (sessionID string, err error) {
	return waitOut(ctx, c.clock, func() (string, error) { return c.tryOpen(ctx) })
}

// tryOpen is open without waiting. A rejected login has opened no session, so it is sent once more if the access token
// may be the reason: another program may have ended it with a token of its own.
func (c *connection) tryOpen(ctx context.Context) (sessionID string, err error) {
	token, err := c.account.token(ctx, c, "")
	if err != nil {
		return "", err
	}
	sessionID, err = c.api.login(ctx, token.value)
	if provider.ClassOf(err) != provider.ClassForbidden {
		return sessionID, err
	}
	next, tokenErr := c.account.token(ctx, c, token.value)
	switch {
	case provider.ClassOf(tokenErr) == provider.ClassForbidden && errors.Is(tokenErr, provider.ErrNotSent):
		return "", err // the token is valid, or was replaced a short time ago
	case tokenErr != nil:
		return "", tokenErr
	}
	sessionID, err = c.api.login(ctx, next.value)
	if provider.ClassOf(err) == provider.ClassForbidden {
		c.account.observeRejection(c.clock.Now())
	}
	return sessionID, err
}

// verify reads the system status with a session that was just opened. If that fails, it logs the session out.
func (c *connection) verify(ctx context.Context, sessionID string) (*rpcResult, error) {
	result, err := c.api.status(ctx, sessionID)
	switch {
	case err != nil:
		return nil, c.discard(ctx, sessionID, err)
	case result.denied():
		return nil, c.discard(ctx, sessionID, result.noPermission())
	case result.code != codeOK:
		return nil, c.discard(ctx, sessionID, result.unexpected())
	}
	return result, nil
}

// discard logs out an unusable session and returns cause. If the logout fails too, the result is ClassAmbiguous,
// because the session lives until its idle timeout.
func (c *connection) discard(ctx context.Context, sessionID string, cause error) error {
	err := c.endSession(ctx, sessionID)
	if err == nil {
		return cause
	}
	var failure provider.Error
	if known, ok := errors.AsType[*provider.Error](cause); ok {
		failure = *known
	}
	failure.Class = provider.ClassAmbiguous
	failure.Message += "; the new session could not be logged out either (" + provider.ReaderText(err) + "), so it ends by its idle timeout"
	failure.AddDetail(err)
	return &failure
}

// endSession logs out a session that was just opened, also for a request that was canceled, which waits for it no longer
// than a second.
func (c *connection) endSession(ctx context.Context, sessionID string) error {
	ctx, cancel := provider.CleanupContext(ctx, cleanupTimeout)
	defer cancel()
	result, err := c.api.logout(ctx, sessionID)
	switch {
	case err != nil:
		return err
	case result.denied():
		return result.failure(provider.ClassForbidden, "the session has ended, or has no permission to log out", "")
	case result.code != codeOK:
		return result.unexpected()
	}
	return nil
}

// probe opens a session of the engine's own, calls use with it, and logs it out. An API user has at most one such session
// at an instance. use must make a few calls at most, because other probes wait for it. err is the error of the login or
// of use. logoutErr reports that the logout failed; what use has learned is valid all the same.
func (c *connection) probe(ctx context.Context, use func(sessionID string) error) (logoutErr, err error) {
	release, err := c.shared.probes.acquire(ctx, c.probeKey())
	if err != nil {
		return nil, err
	}
	defer release()
	return c.probeAlone(ctx, use)
}

// probeAlone is probe for a caller that holds the semaphore.
func (c *connection) probeAlone(ctx context.Context, use func(sessionID string) error) (logoutErr, err error) {
	opened, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	err = use(opened)
	logoutErr = c.endSession(ctx, opened)
	if logoutErr != nil {
		c.logger.Warn("cannot log out a session of the engine's own; it ends by its idle timeout", "error", logoutErr)
	}
	return logoutErr, err
}

// probeKey returns the key under which probes run one at a time.
func (c *connection) probeKey() probeKey {
	return probeKey{c.api.instance.BaseURL(), c.api.accountKey()}
}
