package ftd

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// Revoke implements [provider.Revoker]. The device's answer to the revocation of a token that has already ended is not
// documented. So after a refusal, and after an answer that does not confirm the revocation, Revoke checks whether the
// token still works.
func (c *connection) Revoke(ctx context.Context, content json.RawMessage) error {
	leased, err := parseHandle(content)
	if err != nil {
		return err
	}
	refusal, err := c.withLogin(ctx, func(access string) error { return c.api.revokeToken(ctx, access, leased.Token) })
	if errors.Is(err, errUnconfirmed) {
		refusal, err = err, nil
	}
	if err != nil || refusal == nil {
		return err
	}
	if accepted, err := c.api.accepts(ctx, leased.Token); err != nil || !accepted {
		return err
	}
	// A token that the device lists has an exact identity there, which is another way to end it.
	if c.endSession(ctx, leased.Token) {
		if accepted, err := c.api.accepts(ctx, leased.Token); err != nil || !accepted {
			return err
		}
	}
	if leased.Subject != "" {
		// The result of this call is ignored unless it is an error: the token itself shows whether it was revoked.
		if _, _, err := c.revokeSubject(ctx, leased.Subject); err != nil && !errors.Is(err, errUnconfirmed) {
			return err
		}
		if accepted, err := c.api.accepts(ctx, leased.Token); err != nil || !accepted {
			return err
		}
	}
	return withRemedy(refusal, "the token still works; end it at the device, or wait until it expires")
}

// endSession asks the device to end the session of a token, if the device lists it under the token's own id. It reports
// whether it has asked: the token itself shows whether it has ended. A token without an id, and a device that does not list
// it, are no error, since the caller has another way to revoke.
func (c *connection) endSession(ctx context.Context, token string) bool {
	id := tokenID(token)
	if id == "" {
		return false
	}
	sessions, refusal, err := c.listSessions(ctx)
	if err != nil || refusal != nil || !slices.ContainsFunc(sessions, func(listed activeSession) bool { return listed.id == id }) {
		return false
	}
	refusal, err = c.withLogin(ctx, func(access string) error { return c.api.deleteSession(ctx, access, id) })
	if err = errors.Join(err, refusal); err != nil {
		c.logger.Debug("the device did not confirm the end of a listed session", "error", err)
	}
	return true
}

// deleteSession ends a session by an id that the device has just listed: DELETE /action/activeusersessions/{id}. Both 200 and
// 204 are documented.
func (c *client) deleteSession(ctx context.Context, access, id string) error {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opEndSession,
		Method:     http.MethodDelete,
		Path:       c.base() + "/action/activeusersessions/" + url.PathEscape(id),
		Header:     authorization(access),
		Idempotent: true,
		Secrets:    []string{c.password, access},
	})
	if err != nil {
		return err
	}
	if !response.OK() {
		return c.statusError(response)
	}
	return nil
}

// RevokeMarker implements [provider.MarkerRevoker]. It revokes the custom token whose desired_subject is the marker. No
// call lists custom tokens, and the device's answer to an unknown subject is not documented. So after a refusal,
// RevokeMarker also revokes a subject that no token has. If the device gives both subjects the same refusal, no token
// with the marker exists. Any other answer is an error.
func (c *connection) RevokeMarker(ctx context.Context, marker string) (found bool, err error) {
	text, refusal, err := c.revokeSubject(ctx, marker)
	switch {
	case err != nil:
		return false, err
	case refusal == nil:
		return c.refusesAbsentSubject(ctx, len(marker)), nil
	}
	absent, err := c.absentSubject(len(marker))
	if err != nil {
		return false, err
	}
	absentText, absentRefusal, err := c.revokeSubject(ctx, absent)
	if err != nil {
		return false, err
	}
	if absentRefusal != nil && absentText == text {
		return false, nil
	}
	return false, withRemedy(refusal, "the engine could not determine whether a token with this subject exists")
}

// refusesAbsentSubject reports whether the device refuses to revoke a subject that no token has. Only then is a
// success for another subject a proof that a token had it.
func (c *connection) refusesAbsentSubject(ctx context.Context, length int) bool {
	absent, err := c.absentSubject(length)
	if err != nil {
		return false
	}
	_, refusal, err := c.revokeSubject(ctx, absent)
	return err == nil && refusal != nil && !errors.Is(refusal, errUnconfirmed)
}

// revokeSubject revokes by subject, once. For a refusal it also returns the device's text.
func (c *connection) revokeSubject(ctx context.Context, subject string) (text refusalText, refusal, err error) {
	refusal, err = c.withLogin(ctx, func(access string) (err error) {
		text, err = c.api.revokeSubject(ctx, access, subject)
		return err
	})
	return text, refusal, err
}

// absentSubject returns a random subject that no token has. It has the given length or is longer. The length is that
// of the marker, so that a length limit of the device affects both subjects equally.
func (c *connection) absentSubject(length int) (string, error) {
	const minBytes = 16                            // makes a collision practically impossible
	content := make([]byte, max(minBytes, length)) // each is two digits
	if _, err := io.ReadFull(c.random, content); err != nil {
		return "", &provider.Error{Op: opRevokeSubject, Message: "the random source returned no bytes", Err: err}
	}
	return hex.EncodeToString(content)[:max(2*minBytes, length)], nil
}

// revokeToken revokes a token. access is the token of the login that authorizes it.
func (c *client) revokeToken(ctx context.Context, access, token string) error {
	response, err := c.token(ctx, opRevoke, revokeGrant{
		GrantType: grantRevoke, AccessToken: access, TokenToRevoke: token,
	}, true, c.password, access, token)
	if err != nil {
		return err
	}
	return confirmRevocation(response)
}

// confirmRevocation returns nil for the documented answer to a revocation, {"message":"OK","status_code":200}. A server
// that answers 200 to every request, such as the login page of a proxy, has revoked nothing.
func confirmRevocation(response *httpclient.Response) error {
	var answer struct {
		Message string `json:"message"`
		Status  int    `json:"status_code"`
	}
	if response.Decode(&answer) == nil && (answer.Message == "OK" || answer.Status == http.StatusOK) {
		return nil
	}
	failure := response.UnexpectedResponse("the device's answer does not confirm that the token was revoked")
	failure.Err = errUnconfirmed
	return failure
}

// refusalText is the device's answer to a request that it refused.
type refusalText struct {
	status int
	text   string
}

// revokeSubject revokes the custom token with this subject. access is the token of the login that authorizes it. For
// a refusal it also returns the device's text without the subject, so that two refusals can be compared.
func (c *client) revokeSubject(ctx context.Context, access, subject string) (refusal refusalText, err error) {
	response, err := c.token(ctx, opRevokeSubject, revokeGrant{
		GrantType: grantRevoke, AccessToken: access, SubjectToRevoke: subject,
	}, true, c.password, access)
	if err == nil {
		return refusal, confirmRevocation(response)
	}
	if response != nil {
		text := errorText(response.Body)
		if text == "" {
			text = string(response.Body)
		}
		refusal = refusalText{status: response.Status, text: strings.ReplaceAll(text, subject, "<subject>")}
	}
	return refusal, err
}
