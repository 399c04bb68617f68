package fortianalyzer

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Revoke logs the session out. It needs an access token only if the instance answers with the code that has two meanings.
func (c *connection) Revoke(ctx context.Context, content json.RawMessage) error {
	leased, err := parseHandle(content)
	if err != nil {
		return err
	}
	result, err := c.api.logout(ctx, leased.Session)
	switch {
	case err != nil:
		return err
	case result.code == codeOK:
		return nil
	case result.denied():
		return c.confirmEnded(ctx, leased.Session)
	}
	return result.unexpected()
}

// confirmEnded finds out what code -11 in answer to a logout means: the session has ended, or its user has lost the
// permission. It reads the system status with the session and with a new session of the same user. If only the new
// session can read it, the old one has ended. If neither can, the error is ClassForbidden, because the two meanings
// cannot be told apart.
//
// The new session takes one login, and no password if the account has an access token. Confirmations at the same time
// share it.
func (c *connection) confirmEnded(ctx context.Context, sessionID string) error {
	result, err := c.api.status(ctx, sessionID)
	switch {
	case err != nil:
		return err
	case result.code == codeOK:
		return result.failureAs(opLogout, provider.ClassForbidden, "the session works, but has no permission to log out", remedyPermission)
	case !result.denied():
		return result.unexpected()
	}
	before := c.proofs.begun()
	release, err := c.shared.probes.acquire(ctx, c.probeKey())
	if err != nil {
		return err
	}
	defer release()
	if c.proofs.since(before) {
		return nil
	}
	proof := c.proofs.begin()
	_, err = c.probeAlone(ctx, func(opened string) error { return c.provePermission(ctx, opened) })
	if err == nil {
		c.proofs.succeed(proof)
	}
	return unconfirmed(err)
}

// provePermission returns nil if a new session of the API user can read the system status.
func (c *connection) provePermission(ctx context.Context, opened string) error {
	result, err := c.api.status(ctx, opened)
	switch {
	case err != nil:
		return err
	case result.code == codeOK:
		return nil
	case result.denied():
		return result.failureAs(opLogout, provider.ClassForbidden,
			"it is not known whether the session has ended, because a new session of the API user has no permissions either", remedyPermission)
	}
	return result.unexpected()
}

// unconfirmed returns the error of a confirmation that failed. A failure to obtain an access token concerns this session
// only: other sessions are logged out without one. So it must not look as if the instance or all revocations failed.
func unconfirmed(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || failure.Op == opLogout {
		return err
	}
	named := *failure // other callers may have the same error
	named.Message = "it is not known whether the session has ended, because the confirmation failed: " + failure.Message
	if failure.Op == opToken {
		named.Class, named.Host, named.RetryAfter = provider.ClassUnavailable, "", 0
		if errors.Is(err, provider.ErrNotSent) {
			named.Err = nil // the logout was sent
		}
	}
	return &named
}

// proofs count the new sessions that confirmations open, so that confirmations which wait at the same time share one. The
// zero value is ready to use. It is safe for concurrent use.
type proofs struct {
	mu                 sync.Mutex
	started, succeeded uint64
}

// begun returns the number of sessions that were begun so far.
func (p *proofs) begun() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

// begin counts a session, and returns its number.
func (p *proofs) begin() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started++
	return p.started
}

// succeed records that the session with this number could read the system status.
func (p *proofs) succeed(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.succeeded = max(p.succeeded, number)
}

// since reports whether a session succeeded that was begun after the given number.
func (p *proofs) since(number uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.succeeded > number
}
