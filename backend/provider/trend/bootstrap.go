package trend

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// bootstrapDescription tells a person who looks at the manager's console what the key is for.
const bootstrapDescription = "Management key of HashiCorp Vault: makes, extends and deletes API keys"

// NeedsBootstrap reports whether the config holds a login instead of a key.
func (c *connection) NeedsBootstrap() bool { return c.root.once != nil }

// Bootstrap logs the user in, makes the management key in the user's session, and asks with the new key who
// it is. No call is documented that ends the session: it ends by the manager's idle timeout.
func (c *connection) Bootstrap(ctx context.Context, marker string) (*provider.Bootstrapped, error) {
	once := c.root.once
	if once == nil {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opSession, Field: fieldAPIKey, Message: "the config holds a management API key already",
		}
	}
	opened, err := c.api.createSession(ctx, sessionRequest{
		UserName: once.username, Password: once.password, TenantName: once.tenantName, MFACode: once.mfaCode,
	})
	if err != nil {
		return nil, c.refusedLogin(err)
	}
	session := c.api.as(opened)
	// A key without an expiryDate never expires, which is inferred. It could not move one itself.
	made, err := session.createKey(ctx, newKey{KeyName: marker, Description: bootstrapDescription, RoleID: once.roleID})
	if err != nil {
		return nil, c.endLost(ctx, session, marker, err)
	}
	if err := c.prove(ctx, made); err != nil {
		return nil, c.endUnproved(ctx, session, made.ID, marker, err)
	}
	return &provider.Bootstrapped{
		Fields: map[string]any{fieldAPIKey: made.SecretKey, fieldAPIKeyID: made.ID},
		Warnings: []string{fmt.Sprintf(
			"the management API key %q (ID %d) was made at the manager and does not expire; delete it there when config/%s is no longer used",
			marker, made.ID, c.api.config)},
		Undo: func(ctx context.Context) error { return session.deleteNamed(ctx, marker) },
	}, nil
}

// refusedLogin gives a failed login its meaning. No key was asked for yet, so nothing is ambiguous about it.
func (c *connection) refusedLogin(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		// The status of a wrong user name, password, tenant or code is not documented.
		failure.Class = provider.ClassUnauthenticated
		failure.Remedy = fmt.Sprintf("check %s, %s, %s and %s; a code works once, so give a new one", fieldUsername, fieldPassword, fieldTenantName, fieldMFACode)
	}
	if failure.Class == provider.ClassAmbiguous {
		failure.Class = provider.ClassUnavailable
	}
	return failure
}

// endLost is for a management key that may have been made. It is looked for and deleted in the session, which
// nobody has afterwards.
func (c *connection) endLost(ctx context.Context, session *client, marker string, cause error) error {
	failure, ok := errors.AsType[*provider.Error](cause)
	switch {
	case !ok:
		return cause
	case failure.Class.Definite():
		if keyIsRefused(cause) {
			failure.Class = provider.ClassForbidden
			failure.Remedy = "give the user's administrator role the rights " + rightsCreate
		}
		return failure
	}
	failure.Message += "; what it may have made was looked for by its name and is gone"
	failure.Remedy = "write the config again"
	if err := session.deleteNamed(detached(ctx), marker); err != nil {
		failure.Message = fmt.Sprintf("%s, and looking for what it may have made failed: %s", cause.Error(), err.Error())
		failure.Remedy = fmt.Sprintf("look for an API key named %q at the manager and delete it, then write the config again", marker)
	}
	failure.Class = provider.ClassAmbiguous
	return failure
}

// prove asks with a new key who it is.
func (c *connection) prove(ctx context.Context, made *apiKey) error {
	own, err := c.api.as(keyLogin(made.SecretKey)).current(ctx)
	switch {
	case keyIsRefused(err):
		failure, _ := errors.AsType[*provider.Error](err)
		failure.Class = provider.ClassForbidden
		failure.Remedy = fmt.Sprintf("the role %d may lack the right to use the API (allowWebService)", c.root.once.roleID)
		return failure
	case err != nil:
		return err
	case own.ID != made.ID:
		return &provider.Error{Class: provider.ClassUnavailable, Op: opCurrent, Message: "the manager takes the new key for another one"}
	}
	return nil
}

// endUnproved deletes a management key that does not work.
func (c *connection) endUnproved(ctx context.Context, session *client, id int, marker string, cause error) error {
	err := session.deleteNamed(detached(ctx), marker)
	if err == nil {
		return cause
	}
	return &provider.Error{
		Class: provider.ClassAmbiguous, Op: opDelete, Err: cause,
		Message: fmt.Sprintf("the new management key did not work (%s), and could not be deleted: %s", cause.Error(), err.Error()),
		Remedy:  fmt.Sprintf("delete the API key %q (ID %d) at the manager", marker, id),
	}
}

// detached returns a context for cleaning up: the caller's giving up must not leave a management key behind.
// The client bounds each request.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
