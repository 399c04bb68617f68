package trend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// ProposeRoot proposes nothing: the manager makes the secrets of its keys.
func (c *connection) ProposeRoot(func(policy string) (string, error)) (map[string]any, error) {
	return nil, nil
}

// RotateRoot makes a second management key of the same role and expiry, and asks with it who it is. The former
// one works until it is revoked with the new one, so that there is a key that works at every moment. The vendor's
// call that replaces a key's secret in place has no such moment to spare: the old secret ends at once, and the new
// one stands in that one answer only.
func (c *connection) RotateRoot(ctx context.Context, marker string, _ map[string]any) (*provider.RotatedRoot, error) {
	if err := c.checkUsable(opCurrent); err != nil {
		return nil, err
	}
	former, err := c.api.current(ctx)
	if err != nil {
		return nil, c.classifyCurrent(err)
	}
	if err := c.replaceable(former, marker); err != nil {
		return nil, err
	}
	content, err := json.Marshal(handle{handleVersion, former.ID, former.KeyName})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassInvalid, Op: opCurrent, Message: "the handle cannot be written as JSON", Err: err}
	}
	wanted := newKey{KeyName: marker, Description: managementDescription, RoleID: former.RoleID}
	if former.expires() {
		wanted.ExpiryDate = *former.ExpiryDate
	}
	again := "write to config/" + c.api.config + "/rotate-root again"
	made, own, err := managementKey{
		by:     c.api,
		wanted: wanted,
		refused: func(failure *provider.Error) error {
			return c.refusedRotation(ctx, failure, former.RoleID)
		},
		unusable: "the key in config/" + c.api.config + " has the same role and stays in force; where this goes on, " +
			c.byHand(former.RoleID),
		again: "the key in config/" + c.api.config + " stays in force; " + again,
		leftOver: fmt.Sprintf("the key in config/%s stays in force, and the engine goes on looking for the API key named %q to delete it; %s",
			c.api.config, marker, again),
	}.make(ctx)
	if err != nil {
		return nil, err
	}
	return &provider.RotatedRoot{
		Fields:   map[string]any{fieldAPIKey: made.SecretKey, fieldAPIKeyID: made.ID},
		Previous: content,
		Warnings: c.rotationWarnings(former, own),
		Undo:     func(ctx context.Context) error { return c.RevokeMarker(ctx, marker) },
	}, nil
}

// replaceable reports what keeps the present key from being replaced. Without all of this the new key would not be
// its like, or the former could not be deleted afterwards.
func (c *connection) replaceable(present *currentKey, marker string) error {
	failure := &provider.Error{Class: provider.ClassInvalid, Op: opCurrent}
	switch {
	case present.ID < 1 || present.RoleID < 1:
		failure.Class = provider.ClassUnavailable
		failure.Message = "the answer holds no ID or no roleID of the management key"
		failure.Remedy = "check that " + c.api.addressHint()
	case present.KeyName == "":
		failure.Message = fmt.Sprintf("the management key (ID %d) has no name, by which it would be known again before it is deleted", present.ID)
		failure.Remedy = "give it a name at the manager"
	case present.KeyName == marker:
		// Looking for the new key by its name would find, and delete, the present one.
		failure.Message = fmt.Sprintf("the management key is named %q already, as the new one would be", marker)
	default:
		return nil
	}
	return failure
}

// refusedRotation gives the refusal to make a second management key its meaning.
func (c *connection) refusedRotation(ctx context.Context, failure *provider.Error, roleID int) error {
	if failure.Class == provider.ClassInvalid && httpclient.StatusOf(failure) >= 400 {
		// Role and expiry are the present key's own, so nothing that was written to the config is at fault.
		failure.Remedy = c.byHand(roleID)
	}
	return c.classify(ctx, failure, rightsCreate)
}

// byHand is the other way to another management key.
func (c *connection) byHand(roleID int) string {
	return fmt.Sprintf("make a key of the role %d at the manager and write it to config/%s", roleID, c.api.config)
}

// rotationWarnings tell what the operator has to know of the two keys. What the manager has stored of the new one's
// expiry was read from it: whether it keeps all of an expiryDate is not documented.
func (c *connection) rotationWarnings(former, fresh *currentKey) []string {
	warnings := []string{fmt.Sprintf(
		"the former management key %q (ID %d) is deleted at the manager: whoever else uses it needs another", former.KeyName, former.ID)}
	before, after := c.expiry(former), c.expiry(fresh)
	switch {
	case before != after:
		warnings = append(warnings, fmt.Sprintf(
			"the manager has set the new management key's expiry to %s, but the former's was %s: correct it at the manager", after, before))
	case fresh.expires():
		warnings = append(warnings, fmt.Sprintf(
			"the new management key expires at %s, as the former would have: a key cannot move its own expiry, so move it at the manager", after))
	}
	return warnings
}

// expiry tells when a key expires, for people.
func (c *connection) expiry(key *currentKey) string {
	if !key.expires() {
		return "never"
	}
	return c.api.clock.toLocal(time.UnixMilli(*key.ExpiryDate)).Format(time.RFC3339)
}
