package fortianalyzer

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Revoke logs the session out. It needs no password for that, unless the instance answers with the code that
// has two meanings.
func (c *connection) Revoke(ctx context.Context, content json.RawMessage) error {
	leased, err := parseHandle(content)
	if err != nil {
		return err
	}
	answer, err := c.api.logout(ctx, leased.Session)
	switch {
	case err != nil:
		return err
	case answer.code == codeOK:
		return nil
	case answer.denied():
		return c.confirmGone(ctx, leased.Session)
	}
	return answer.unexpected()
}

// confirmGone finds out what code -11 to a logout meant: that the session has ended, or that its user lost
// the permission. Both the session and a new one of the same user read the system status. When the new one
// may and the old one may not, the old one has ended. When neither may, nobody can tell.
//
// It costs one login, and only after an answer that is rare: leases are revoked before their sessions end.
func (c *connection) confirmGone(ctx context.Context, session string) error {
	answer, err := c.api.status(ctx, session)
	switch {
	case err != nil:
		return err
	case answer.code == codeOK:
		return answer.failureAs(opLogout, provider.ClassForbidden, "the session works, but may not be logged out", remedyProfile)
	case !answer.denied():
		return answer.unexpected()
	}
	_, err = c.probe(ctx, func(made *opened) error {
		answer, err := c.api.status(ctx, made.session)
		switch {
		case err != nil:
			return err
		case answer.code == codeOK:
			return nil
		case answer.denied():
			return answer.failureAs(opLogout, provider.ClassForbidden,
				"whether the session has ended cannot be told, because a new session of the API user may do nothing either", remedyProfile)
		}
		return answer.unexpected()
	})
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Op != opLogout {
		failure.Message = "whether the session has ended could not be found out: " + failure.Message
	}
	return err
}
