package trend

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

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
	made, _, err := managementKey{
		by: session,
		// A key without an expiryDate never expires, which is inferred. It could not move one itself.
		wanted:   newKey{KeyName: marker, Description: managementDescription, RoleID: once.roleID},
		refused:  refusedUser,
		unusable: fmt.Sprintf("the role %d may lack the right to use the API (allowWebService)", once.roleID),
		again:    "write the config again",
		// Nobody has the session afterwards.
		leftOver: fmt.Sprintf("look for an API key named %q at the manager and delete it, then write the config again", marker),
	}.make(ctx)
	if err != nil {
		return nil, err
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

// refusedUser gives the refusal to make a key in the user's session its meaning.
func refusedUser(failure *provider.Error) error {
	if keyIsRefused(failure) {
		failure.Class = provider.ClassForbidden
		failure.Remedy = "give the user's administrator role the rights " + rightsCreate
	}
	return failure
}
