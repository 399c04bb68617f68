package trend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// ProposeRoot returns nil: the manager generates the secrets of its keys.
func (c *connection) ProposeRoot(func(policy string) (string, error)) (map[string]any, error) {
	return nil, nil
}

// RotateRoot creates a second management key with the same role and expiry, and verifies it. The previous key
// works until the engine revokes it with the new key, so a working key exists at every moment. The vendor also
// has a call that replaces the secret of a key in place. It is not used: the old secret stops working at once,
// and the new one is in that one response only, which can be lost.
func (c *connection) RotateRoot(ctx context.Context, marker string, _ map[string]any) (*provider.RotatedRoot, error) {
	if err := c.checkUsable(opCurrent); err != nil {
		return nil, err
	}
	previous, err := c.describeCurrent(ctx)
	if err != nil {
		return nil, c.classifyCurrent(err)
	}
	if err := c.checkReplaceable(previous, marker); err != nil {
		return nil, err
	}
	previousHandle, err := json.Marshal(handle{handleVersion, previous.ID, previous.KeyName, tenantOf(previous)})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassInvalid, Op: opCurrent, Message: "the handle cannot be encoded as JSON", Err: err}
	}
	created, current, err := c.nextManagementKey(ctx, previous, marker).create(ctx)
	if err != nil {
		return nil, err
	}
	return &provider.RotatedRoot{
		Fields:   map[string]any{fieldAPIKey: created.SecretKey, fieldAPIKeyID: created.ID},
		Previous: previousHandle,
		Warnings: c.rotationWarnings(previous, current),
		Undo:     func(ctx context.Context) error { _, err := c.RevokeMarker(ctx, marker); return err },
	}, nil
}

// nextManagementKey returns a management key with the role and the expiry of the previous one, to be created.
func (c *connection) nextManagementKey(ctx context.Context, previous *currentKey, marker string) managementKey {
	body := newKey{KeyName: marker, Description: managementDescription, RoleID: previous.RoleID}
	if previous.expires() {
		body.ExpiryDate = *previous.ExpiryDate
	}
	unchanged := "the key in config/" + c.api.config + " is unchanged"
	retry := "write to config/" + c.api.config + "/rotate-root again"
	return managementKey{
		client: c.api,
		body:   body,
		createRejected: func(failure *provider.Error) error {
			return c.rotationRejected(ctx, failure, previous.RoleID)
		},
		unusableRemedy: unchanged + " and has the same role as the rejected key; if this error repeats, " + c.manualRotation(previous.RoleID),
		retryRemedy:    unchanged + "; " + retry,
		remainingRemedy: fmt.Sprintf("%s; the engine continues to search for the API key named %q and deletes it; %s",
			unchanged, marker, retry),
	}
}

// checkReplaceable returns an error if the current key cannot be replaced: the new key could not get the same
// role, or the current key could not be deleted afterwards.
func (c *connection) checkReplaceable(current *currentKey, marker string) error {
	failure := &provider.Error{Class: provider.ClassInvalid, Op: opCurrent}
	switch {
	case current.ID < 1 || current.RoleID < 1:
		failure.Class = provider.ClassUnavailable
		failure.Message = "the response contains no ID or no roleID of the management key"
		failure.Remedy = "check that " + c.api.addressHint()
	case current.KeyName == "":
		failure.Message = fmt.Sprintf("the management key (ID %d) has no name; the engine checks the name before it deletes the key", current.ID)
		failure.Remedy = "give the key a name at the manager"
	case current.KeyName == marker:
		// A search for the new key by its name would find the current key, and delete it.
		failure.Message = fmt.Sprintf("the management key already has the name %q, which the new key would get", marker)
	default:
		return nil
	}
	return failure
}

// rotationRejected classifies the rejection of a second management key.
func (c *connection) rotationRejected(ctx context.Context, failure *provider.Error, roleID int) error {
	if failure.Class == provider.ClassInvalid && httpclient.StatusOf(failure) >= 400 {
		// Role and expiry come from the current key, so no field of the config is wrong.
		failure.Remedy = c.manualRotation(roleID)
	}
	return c.classify(ctx, failure, rightsCreate)
}

// manualRotation returns the remedy that replaces the management key without RotateRoot.
func (c *connection) manualRotation(roleID int) string {
	return fmt.Sprintf("create a key with the role %d at the manager and write it to config/%s", roleID, c.api.config)
}

// rotationWarnings returns the warnings about the previous and the current key. The current key's expiry was
// read from the manager: it is not documented whether the manager stores an expiryDate exactly.
func (c *connection) rotationWarnings(previous, current *currentKey) []string {
	warnings := []string{fmt.Sprintf(
		"the previous management key %q (ID %d) is deleted at the manager: any other program that uses it needs another key",
		previous.KeyName, previous.ID)}
	before, after := c.formatExpiry(previous), c.formatExpiry(current)
	switch {
	case before != after:
		warnings = append(warnings, fmt.Sprintf(
			"the manager set the new management key's expiry to %s, but that of the previous key was %s: correct it at the manager", after, before))
	case current.expires():
		warnings = append(warnings, fmt.Sprintf(
			"the new management key expires at %s, like the previous one; a key cannot extend itself: set a later expiry at the manager", after))
	}
	return warnings
}

// formatExpiry returns the time at which a key expires, or "never".
func (c *connection) formatExpiry(key *currentKey) string {
	if !key.expires() {
		return "never"
	}
	return c.api.clock.toLocal(time.UnixMilli(*key.ExpiryDate)).Format(time.RFC3339)
}
