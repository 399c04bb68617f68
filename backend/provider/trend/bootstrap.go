package trend

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// NeedsBootstrap reports whether the config holds a login instead of a management key.
func (c *connection) NeedsBootstrap() bool { return c.root.bootstrap != nil }

// Bootstrap logs the user in, creates the management key in the user's session, and verifies the new key. The
// vendor documents no call that ends the session: it ends by the manager's idle timeout.
func (c *connection) Bootstrap(ctx context.Context, marker string) (*provider.Bootstrapped, error) {
	login := c.root.bootstrap
	if login == nil {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opSession, Field: fieldAPIKey, Message: "the config already holds a management API key",
		}
	}
	sessionAuth, err := c.api.createSession(ctx, sessionRequest{
		UserName: login.username, Password: login.password, TenantName: login.tenantName, MFACode: login.mfaCode,
	})
	if err != nil {
		return nil, classifyLogin(err)
	}
	session := c.api.withAuth(sessionAuth)
	created, _, err := managementKey{
		client: session,
		// That a key without an expiryDate never expires is inferred. The management key must not expire,
		// because it cannot change its own expiry.
		body:           newKey{KeyName: marker, Description: managementDescription, RoleID: login.roleID},
		createRejected: userRejected,
		unusableRemedy: fmt.Sprintf("the role %d may lack the right to use the API (allowWebService)", login.roleID),
		retryRemedy:    "write the config again",
		// The session is lost afterwards, so the engine cannot search for the key later.
		remainingRemedy: fmt.Sprintf("if an API key named %q exists at the manager, delete it; then write the config again", marker),
	}.create(ctx)
	if err != nil {
		return nil, err
	}
	return &provider.Bootstrapped{
		Fields: c.allowed.addTo(map[string]any{fieldAPIKey: created.SecretKey, fieldAPIKeyID: created.ID}),
		Warnings: []string{fmt.Sprintf(
			"the management API key %q (ID %d) was created at the manager and does not expire; the engine deletes it with config/%s",
			marker, created.ID, c.api.config)},
		Undo: func(ctx context.Context) error { _, err := session.deleteKeys(ctx, marker); return err },
	}, nil
}

// classifyLogin classifies an error of createSession. At that point no key was requested yet, so a lost response
// is ClassUnavailable and not ClassAmbiguous.
func classifyLogin(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		// The status for a wrong user name, password, tenant or MFA code is not documented.
		failure.Class = provider.ClassUnauthenticated
		failure.Remedy = fmt.Sprintf("check %s, %s, %s and %s; an MFA code works once, so enter a new one; "+
			"wrong passwords lock the user, and dsm_c -action unlockout -username %s on the manager unlocks it",
			fieldUsername, fieldPassword, fieldTenantName, fieldMFACode, "USERNAME")
	}
	if failure.Class == provider.ClassAmbiguous {
		failure.Class = provider.ClassUnavailable
	}
	return failure
}

// userRejected classifies the rejection of a creation in the user's session. The session was accepted a moment
// before, so 401 and 403 mean a missing right.
func userRejected(failure *provider.Error) error {
	if keyRejected(failure) {
		failure.Class = provider.ClassForbidden
		failure.Remedy = "give the user's administrator role the rights " + rightsCreate
	}
	return failure
}
