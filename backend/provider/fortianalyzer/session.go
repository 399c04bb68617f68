package fortianalyzer

import (
	"context"
	"errors"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// The vendor demands that some things are done one at a time for an API user and application. That holds for
// all connections of the process, since several configs may share an API user.
var (
	// logins are held from asking for an access token until it has been used and revoked: asking for another
	// ends it. This is documented for another application of the same OAuth server, so for this one inferred.
	logins keyedSemaphore
	// probes are held while a session of ours exists beside the leased ones, so that there is one at most.
	probes keyedSemaphore
)

// opened is a session that was just opened.
type opened struct {
	session  string
	warnings []string
}

// open logs in: an access token for the password, a session for the access token.
func (c *connection) open(ctx context.Context) (*opened, error) {
	leave, err := logins.acquire(ctx, c.api.key())
	if err != nil {
		return nil, err
	}
	defer leave()
	token, err := c.api.accessToken(ctx)
	if err != nil {
		return nil, err
	}
	session, err := c.api.login(ctx, token)
	made := &opened{session: session}
	// Whatever became of the login, the access token has had its use. It could open further sessions. To
	// revoke it is a courtesy: it ends by itself, and nobody but us has seen it.
	if failure := c.api.revokeToken(ctx, token); failure != nil {
		c.logger.Warn("an access token could not be revoked; it ends by itself within hours", "error", failure)
		made.warnings = []string{"the OAuth access token that opened the session could not be revoked; " +
			"nobody holds it, and it ends by itself within hours"}
	}
	if err != nil {
		return nil, err
	}
	return made, nil
}

// verify reads the system status with a session that was just opened. When that fails, the session is logged
// out again.
func (c *connection) verify(ctx context.Context, made *opened) (*rpcAnswer, error) {
	answer, err := c.api.status(ctx, made.session)
	switch {
	case err != nil:
		return nil, c.discard(ctx, made.session, err)
	case answer.denied():
		return nil, c.discard(ctx, made.session, answer.failure(provider.ClassForbidden,
			"the login works, but its session may do nothing", remedyProfile))
	case answer.code != codeOK:
		return nil, c.discard(ctx, made.session, answer.unexpected())
	}
	return answer, nil
}

// discard logs out a session that is good for nothing, because of cause, which it returns. When that fails
// too, the result is ClassAmbiguous: the session lives on until its idle timeout.
func (c *connection) discard(ctx context.Context, session string, cause error) error {
	err := c.logOut(ctx, session)
	if err == nil {
		return cause
	}
	var failure provider.Error
	if known, ok := errors.AsType[*provider.Error](cause); ok {
		failure = *known
	}
	failure.Class = provider.ClassAmbiguous
	failure.Message += "; nor could the new session be logged out (" + err.Error() + "), so it ends by its idle timeout"
	return &failure
}

// logout ends a session that was just opened, on a context that outlives the request: a caller that gives up
// must not leave the session behind.
func (c *connection) logOut(ctx context.Context, session string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	answer, err := c.api.logout(ctx, session)
	switch {
	case err != nil:
		return err
	case answer.denied():
		return answer.failure(provider.ClassForbidden, "the session has ended, or may not be logged out", "")
	case answer.code != codeOK:
		return answer.unexpected()
	}
	return nil
}

// probe opens a session of our own, calls use with it, and logs it out. Whoever uses it must not hold it
// longer than a few calls. A failed logout is only reported: it is no reason to withhold what was learned.
func (c *connection) probe(ctx context.Context, use func(*opened) error) (left error, err error) {
	leave, err := probes.acquire(ctx, c.api.key())
	if err != nil {
		return nil, err
	}
	defer leave()
	made, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	err = use(made)
	left = c.logOut(ctx, made.session)
	if left != nil {
		c.logger.Warn("a session of the engine's own could not be logged out; it ends by its idle timeout", "error", left)
	}
	return left, err
}
