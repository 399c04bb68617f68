package trend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Issue makes a key.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	settings, err := parseRole(request.Role)
	if err != nil {
		return nil, err
	}
	if request.Lifetime < time.Second {
		return nil, &provider.Error{Class: provider.ClassInvalid, Op: opCreate, Field: "ttl", Message: "a key lives for 1s at least"}
	}
	if err := c.checkUsable(opCreate); err != nil {
		return nil, err
	}
	if err := c.handshake(ctx); err != nil {
		return nil, err
	}
	if settings.roleID == 0 {
		if settings.roleID, err = c.api.roleID(ctx, settings.roleName); err != nil {
			return nil, c.classify(ctx, err, rightsRoles+", or use "+fieldRoleID+" in the role")
		}
	}
	asked := c.api.clock.toServer(request.Lifetime)
	made, err := c.api.createKey(ctx, newKey{
		KeyName:     request.Marker,
		Description: settings.describe(request.Description),
		RoleID:      settings.roleID,
		Locale:      settings.locale,
		TimeZone:    settings.timeZone,
		ExpiryDate:  asked.UnixMilli(),
	})
	switch {
	case err != nil && made != nil:
		return nil, c.revokeUnknown(ctx, request.Marker, err)
	case err != nil:
		return nil, c.classify(ctx, err, rightsCreate)
	}
	return c.credential(ctx, request.Marker, made, asked)
}

// revokeUnknown ends a key that was made and cannot be used. The error stays ambiguous whatever comes of it, so
// that the engine looks for the marker too.
func (c *connection) revokeUnknown(ctx context.Context, marker string, cause error) error {
	outcome := "the key that was made was deleted"
	if err := c.api.deleteNamed(ctx, marker); err != nil {
		outcome = "the key that was made could not be deleted yet: " + err.Error()
	}
	return &provider.Error{Class: provider.ClassAmbiguous, Op: opCreate, Message: cause.Error() + "; " + outcome, Err: cause}
}

// credential makes the answer of a key that was made, once it is known when the manager ends it.
func (c *connection) credential(ctx context.Context, marker string, made *apiKey, asked time.Time) (*provider.Credential, error) {
	var warnings []string
	end, kept, err := c.end(ctx, made.ID, made, asked)
	switch {
	case provider.ClassOf(err) == provider.ClassNotFound:
		end = time.Time{} // the manager has put it away already
	case err != nil:
		// The key works, and the engine deletes it when its lease ends.
		warnings = append(warnings, "the expiry that the manager has stored could not be read: "+err.Error())
	case !kept:
		warnings = append(warnings, "the manager has not kept the key's expiry: the key ends with its lease, but not by itself")
	case end.Before(c.api.clock.toLocal(asked).Add(-time.Second)):
		warnings = append(warnings, fmt.Sprintf("the manager has set the key's expiry to %s, earlier than was asked", end.Format(time.RFC3339)))
	}
	if !end.After(c.clock.Now()) {
		return nil, c.revokeExpired(ctx, made.ID)
	}
	content, err := json.Marshal(handle{handleVersion, made.ID, marker})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassAmbiguous, Op: opCreate, Message: "the handle cannot be written as JSON", Err: err}
	}
	return &provider.Credential{
		Token:     made.SecretKey,
		TokenType: tokenType,
		Address:   c.api.http.BaseURL(),
		Data:      map[string]any{"api_key_id": made.ID, "key_name": marker, "api_version": apiVersion},
		Handle:    content,
		ExpiresAt: end,
		// Also when the stored expiry could not be read: the engine then tries longer, which does no harm.
		ExpiryNotEnforced: !kept,
		Warnings:          warnings,
	}, nil
}

// revokeExpired deletes a key that was made expired. The vendor's console sets a date without a time; whether
// the manager keeps more of expiryDate is not documented.
func (c *connection) revokeExpired(ctx context.Context, id int) error {
	failure := &provider.Error{
		Class: provider.ClassInvalid, Op: opCreate, Field: "ttl",
		Message: "the manager has stored an expiry that has passed already, and the key was deleted",
		Remedy:  "the manager may keep the day of an expiry only: set a ttl of more than a day",
	}
	if err := c.api.deleteKey(ctx, id); err != nil && provider.ClassOf(err) != provider.ClassNotFound {
		failure.Class = provider.ClassAmbiguous
		failure.Message = "the manager has stored an expiry that has passed already, and the key could not be deleted: " + err.Error()
	}
	return failure
}

// end tells when the manager ends a key, on this machine's clock, from an answer that shows the key. kept is
// false when the manager has stored no expiry at all; then it is what was asked for, since the engine ends the
// key no later.
func (c *connection) end(ctx context.Context, id int, shown *apiKey, asked time.Time) (end time.Time, kept bool, err error) {
	if !shown.expires() {
		// Members that are not set are omitted from answers, so it may be this answer or the key that has none.
		if shown, err = c.api.describeKey(ctx, id); err != nil {
			return c.api.clock.toLocal(asked), false, err
		}
	}
	if !shown.expires() {
		return c.api.clock.toLocal(asked), false, nil
	}
	return c.api.clock.toLocal(time.UnixMilli(*shown.ExpiryDate)), true, nil
}
