package ftd

import (
	"context"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Check implements [provider.Connection]. It logs in with the password. The connection keeps the new login and ends
// the previous one. A check never opens a sixth session; see [sessionCache.replace].
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	login, err := c.login(ctx)
	if err != nil {
		return nil, err
	}
	result := &provider.CheckResult{
		Identity: c.api.username,
		Details: map[string]any{
			"api_version":      c.api.version,
			"login_expires_at": login.accessExpiresAt.UTC().Format(time.RFC3339),
		},
	}
	versions, err := c.api.versions(ctx)
	if err != nil {
		return nil, err
	}
	if len(versions) > 0 {
		result.Details["supported_versions"] = versions
	}
	if err := c.addUserRole(ctx, login, result); err != nil {
		return nil, err
	}
	return result, nil
}

// login makes a password login while no token is issued.
func (c *connection) login(ctx context.Context) (*session, error) {
	release, err := c.guard.acquire(ctx, opLogin)
	if err != nil {
		return nil, err
	}
	defer release()
	return c.sessions.login(ctx)
}

// addUserRole adds the role of the engine's user to the result, or a warning that gives the reason why the role is
// not known.
func (c *connection) addUserRole(ctx context.Context, login *session, result *provider.CheckResult) error {
	users, err := c.api.users(ctx, login.accessToken, c.api.username)
	switch class := provider.ClassOf(err); {
	case err == nil:
	case class == provider.ClassForbidden, class == provider.ClassInvalid:
		result.Warnings = append(result.Warnings, "the login works, but the user's role could not be read: "+provider.ReaderText(err))
		return nil
	default:
		return err
	}
	for _, user := range users.Items {
		if user.Name != c.api.username {
			continue
		}
		result.Details["user_role"] = user.Role
		local, err := c.api.isLocalSource(ctx, login.accessToken, user.Source)
		if err == nil && !local {
			result.Warnings = append(result.Warnings, "the user is not a local user of the device: "+
				"an external server keeps the password, so rotate-root is refused")
		}
		return err
	}
	result.Warnings = append(result.Warnings, "the user is not a local user of the device, so its role is not known; "+
		"it is not documented whether a user without the administrator role may issue custom tokens")
	return nil
}
