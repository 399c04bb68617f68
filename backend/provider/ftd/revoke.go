package ftd

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Revoke ends a custom token. What the device answers when the token is gone already is not documented, so
// a refusal is checked by using the token, and so is an answer that does not say that it was revoked.
func (c *connection) Revoke(ctx context.Context, content json.RawMessage) error {
	leased, err := parseHandle(content)
	if err != nil {
		return err
	}
	refusal, err := c.manage(ctx, func(access string) error { return c.api.revokeToken(ctx, access, leased.Token) })
	if errors.Is(err, errUnconfirmed) {
		refusal, err = err, nil
	}
	if err != nil || refusal == nil {
		return err
	}
	if alive, err := c.api.works(ctx, leased.Token); err != nil || !alive {
		return err
	}
	if leased.Subject != "" {
		// A refusal of this too shows in whether the token works.
		if _, _, err := c.revokeSubject(ctx, leased.Subject); err != nil && !errors.Is(err, errUnconfirmed) {
			return err
		}
		if alive, err := c.api.works(ctx, leased.Token); err != nil || !alive {
			return err
		}
	}
	return withRemedy(refusal, "the token still works; end it at the device, or wait for its expiry")
}

// RevokeMarker ends the custom token whose desired_subject is the marker. There is no call that lists custom
// tokens, and what the device answers to a subject that nobody has is not documented. So after a refusal it
// is asked to revoke a subject that cannot exist: when it says the same about both, the first does not exist
// either. Anything else is an error.
func (c *connection) RevokeMarker(ctx context.Context, marker string) error {
	said, refusal, err := c.revokeSubject(ctx, marker)
	if err != nil || refusal == nil {
		return err
	}
	absent, err := c.absentSubject(len(marker))
	if err != nil {
		return err
	}
	control, controlRefusal, err := c.revokeSubject(ctx, absent)
	if err != nil {
		return err
	}
	if controlRefusal != nil && control == said {
		return nil
	}
	return withRemedy(refusal, "whether a token with this subject exists could not be found out")
}

// revokeSubject asks for one revocation by subject. For a refusal it also returns what the device said.
func (c *connection) revokeSubject(ctx context.Context, subject string) (said refusalText, refusal, err error) {
	refusal, err = c.manage(ctx, func(access string) (err error) {
		said, err = c.api.revokeSubject(ctx, access, subject)
		return err
	})
	return said, refusal, err
}

// absentSubject returns a subject of the given length, or a longer one, that nobody has ever used. The length
// is the same so that no limit on it can make a difference.
func (c *connection) absentSubject(length int) (string, error) {
	const enough = 16 // bytes: nobody meets such a name by chance
	content := make([]byte, max(enough, (length+1)/2))
	if _, err := io.ReadFull(c.random, content); err != nil {
		return "", &provider.Error{Op: opRevokeSubject, Message: "no random bytes", Err: err}
	}
	return hex.EncodeToString(content)[:max(2*enough, length)], nil
}

func withRemedy(err error, remedy string) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok {
		failure.Remedy = remedy
	}
	return err
}
