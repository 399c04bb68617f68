package fortianalyzer

import (
	"context"
	"errors"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// cleanupTimeout bounds a logout on a context that outlives the request.
const cleanupTimeout = 20 * time.Second

// Some steps must run one at a time for an API user and application. The semaphores are shared by all connections of
// the process, since several configs may use the same API user.
var (
	// logins is held from the request for an access token until the token has been used and revoked: a request for
	// another token would end it. This is documented for another application of the same OAuth server, and inferred
	// for this one.
	logins keyedSemaphore
	// probes is held while a session of the engine's own exists in addition to the leased ones, so that there is at
	// most one.
	probes keyedSemaphore
)

// session is a session that the driver has just opened.
type session struct {
	id       string
	warnings []string // for the operator
}

// open logs in: it exchanges the password for an access token, and the access token for a session.
func (c *connection) open(ctx context.Context) (*session, error) {
	release, err := logins.acquire(ctx, c.api.loginKey())
	if err != nil {
		return nil, err
	}
	defer release()
	token, err := c.api.accessToken(ctx)
	if err != nil {
		return nil, err
	}
	id, err := c.api.login(ctx, token)
	opened := &session{id: id}
	// The access token is not needed any more, whether or not the login succeeded, and could open further sessions.
	// A failed revocation is only a warning: the token expires, and it was sent to this process only.
	if failure := c.api.revokeToken(ctx, token); failure != nil {
		c.logger.Warn("cannot revoke an OAuth access token; it expires within hours", "error", failure)
		opened.warnings = []string{"the OAuth access token that opened the session could not be revoked; " +
			"it is not stored anywhere and expires within hours"}
	}
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// verify reads the system status with a session that was just opened. If that fails, it logs the session out.
func (c *connection) verify(ctx context.Context, opened *session) (*rpcResult, error) {
	result, err := c.api.status(ctx, opened.id)
	switch {
	case err != nil:
		return nil, c.discard(ctx, opened.id, err)
	case result.denied():
		return nil, c.discard(ctx, opened.id, result.noPermission())
	case result.code != codeOK:
		return nil, c.discard(ctx, opened.id, result.unexpected())
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
	failure.Message += "; the new session could not be logged out either (" + err.Error() + "), so it ends by its idle timeout"
	return &failure
}

// endSession logs out a session that was just opened. Its context outlives the request, so that a canceled request
// leaves no session behind.
func (c *connection) endSession(ctx context.Context, sessionID string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
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

// probe opens a session of the engine's own, calls use with it, and logs it out. use must make a few calls at most,
// because other probes of the API user wait for it. err is the error of the login or of use. logoutErr reports that
// the logout failed; what use has learned is valid all the same.
func (c *connection) probe(ctx context.Context, use func(*session) error) (logoutErr, err error) {
	release, err := probes.acquire(ctx, c.api.loginKey())
	if err != nil {
		return nil, err
	}
	defer release()
	opened, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	err = use(opened)
	logoutErr = c.endSession(ctx, opened.id)
	if logoutErr != nil {
		c.logger.Warn("cannot log out a session of the engine's own; it ends by its idle timeout", "error", logoutErr)
	}
	return logoutErr, err
}
