package fortianalyzer

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Revoke logs the session out. It needs the password only if the instance answers with the code that has two meanings.
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
// This takes one login. It happens rarely: leases are revoked before their sessions end.
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
	_, err = c.probe(ctx, func(opened *session) error {
		result, err := c.api.status(ctx, opened.id)
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
	})
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Op != opLogout {
		failure.Message = "it is not known whether the session has ended, because the confirmation failed: " + failure.Message
	}
	return err
}
