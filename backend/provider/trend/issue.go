package trend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Issue creates a key.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	settings, err := parseRole(request.Role)
	if err != nil {
		return nil, err
	}
	if err := c.allowed.check(settings); err != nil {
		return nil, err
	}
	if request.Lifetime < time.Second {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opCreate, Field: "ttl", Message: "the lifetime of a key must be at least 1s",
		}
	}
	if err := c.checkUsable(opCreate); err != nil {
		return nil, err
	}
	if err := c.handshake(ctx); err != nil {
		return nil, err
	}
	roleID, err := c.roleID(ctx, settings)
	if err != nil {
		return nil, err
	}
	requested := c.api.clock.toServer(request.Lifetime)
	created, err := c.api.createKey(ctx, newKey{
		KeyName:     request.Marker,
		Description: settings.keyDescription(request.Description),
		RoleID:      roleID,
		Locale:      settings.locale,
		TimeZone:    settings.timeZone,
		ExpiryDate:  requested.UnixMilli(),
	})
	switch {
	case err != nil && created != nil:
		return nil, c.revokeUnusable(ctx, request.Marker, err)
	case err != nil:
		if provider.ClassOf(err) == provider.ClassInvalid {
			// The manager may have rejected the role: it was deleted, and the name may belong to another one now.
			c.roleIDs.forget(settings.roleName)
		}
		return nil, c.classify(ctx, err, rightsCreate)
	}
	return c.credential(ctx, request.Marker, created, requested)
}

// revokeUnusable deletes a key that was created by a request with an incomplete response. The error is
// ClassAmbiguous in every case, so that the engine also searches for the marker.
func (c *connection) revokeUnusable(ctx context.Context, marker string, cause error) error {
	outcome := "the created key was deleted"
	_, err := c.api.deleteKeys(ctx, marker)
	if err != nil {
		outcome = "the created key could not be deleted: " + provider.ReaderText(err)
	}
	failure := &provider.Error{Class: provider.ClassAmbiguous, Op: opCreate, Message: provider.ReaderText(cause) + "; " + outcome, Err: cause}
	failure.AddDetail(cause)
	failure.AddDetail(err)
	return failure
}

// credential returns the credential for a created key, with the expiry that the manager stored. requested is the
// requested expiry, on the manager's clock.
func (c *connection) credential(ctx context.Context, marker string, created *apiKey, requested time.Time) (*provider.Credential, error) {
	var warnings []string
	expiresAt, stored, err := c.keyExpiry(ctx, created.ID, created, requested)
	switch {
	case provider.ClassOf(err) == provider.ClassNotFound:
		expiresAt = time.Time{} // the manager has already purged the key, since it is expired
	case err != nil:
		// The key works, and the engine deletes it when its lease ends.
		warnings = append(warnings, "the expiry that the manager stored could not be read: "+provider.ReaderText(err))
	case !stored:
		warnings = append(warnings, "the manager stored no expiry: the key ends when its lease is revoked, and does not expire on its own")
	case expiresAt.Before(c.api.clock.toLocal(requested).Add(-time.Second)):
		warnings = append(warnings, fmt.Sprintf("the manager set the key's expiry to %s, earlier than requested", expiresAt.Format(time.RFC3339)))
	}
	if !expiresAt.After(c.clock.Now()) {
		return nil, c.revokeExpired(ctx, created.ID)
	}
	raw, err := json.Marshal(handle{handleVersion, created.ID, marker, c.tenant.get()})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassAmbiguous, Op: opCreate, Message: "the handle cannot be encoded as JSON", Err: err}
	}
	return &provider.Credential{
		Token:     created.SecretKey,
		TokenType: tokenType,
		Address:   c.api.http.BaseURL(),
		Data:      map[string]any{"api_key_id": created.ID, "key_name": marker, "api_version": apiVersion},
		Handle:    raw,
		ExpiresAt: expiresAt,
		// This includes the case that the stored expiry could not be read: the engine then retries a failed
		// revocation for longer, which does no harm.
		ExpiryNotEnforced: !stored,
		Warnings:          warnings,
	}, nil
}

// revokeExpired deletes a key whose stored expiry is in the past. The vendor's console shows only the date of an
// expiry. It is not documented whether the manager stores the time of day. The error is ClassAmbiguous even if the
// manager confirms the deletion, since a proxy could have done so: the engine searches for the marker.
func (c *connection) revokeExpired(ctx context.Context, id int) error {
	failure := &provider.Error{
		Class: provider.ClassAmbiguous, Op: opCreate, Field: "ttl",
		Message: "the manager stored an expiry that is in the past, and the key was deleted",
		Remedy:  "the manager may store only the date of an expiry: set a ttl of more than one day",
	}
	if err := c.api.deleteKey(ctx, id); err != nil && provider.ClassOf(err) != provider.ClassNotFound {
		failure.Message = "the manager stored an expiry that is in the past, and the key could not be deleted: " + provider.ReaderText(err)
		failure.AddDetail(err)
	}
	return failure
}

// keyExpiry returns when a key expires, on the local clock. key comes from a response; if it contains no expiry,
// keyExpiry reads the key from the manager. stored is false if the manager stored no expiry. Then, and after an
// error, expiresAt is the requested expiry, since the engine revokes the key by that time.
func (c *connection) keyExpiry(ctx context.Context, id int, key *apiKey, requested time.Time) (expiresAt time.Time, stored bool, err error) {
	if !key.expires() {
		// A response omits unset members, so either the response or the key has no expiry.
		if key, err = c.api.describeKey(ctx, id); err != nil {
			return c.api.clock.toLocal(requested), false, err
		}
	}
	if !key.expires() {
		return c.api.clock.toLocal(requested), false, nil
	}
	return c.api.clock.toLocal(time.UnixMilli(*key.ExpiryDate)), true, nil
}
