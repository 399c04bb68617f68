package fortianalyzer

import (
	"errors"
	"fmt"
	"maps"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// The reasons for the end of tokens and sessions that an action ends.
const (
	endedByPortal        = "api_user_disabled"
	endedByAdministrator = "administrator"
)

// actions are steps that the vendor allows only in the FortiCloud portal and at the instance's console.
func (svc *service) actions() []emulator.Action {
	return []emulator.Action{
		{
			Name: "create_api_user", Do: svc.createUser,
			Description: "creates an API user with all permissions; answers with username and password",
		},
		{
			Name: "download_credentials", Arguments: []string{"username"}, Do: svc.onUser(svc.newPassword),
			Description: "downloads an API user's credential file again, of the root one if username is missing, " +
				"which resets the password; answers with username and password",
		},
		{
			Name: "disable_api_user", Arguments: []string{"username"}, Do: svc.onUser(svc.disable),
			Description: "disables an API user in the portal, the root one if username is missing",
		},
		{
			Name: "enable_api_user", Arguments: []string{"username"},
			Do: svc.onUser(func(u *user) map[string]string {
				u.disabled = false
				return map[string]string{}
			}),
			Description: "enables an API user again, the root one if username is missing",
		},
		{
			Name: "lock_account", Arguments: []string{"username"}, Do: svc.onUser(svc.lock),
			Description: "locks the FortiCloud account of an API user out, of the root one if username is missing, as too many logins do",
		},
		{
			Name: "set_permission", Arguments: []string{"username", "permission"}, Do: svc.setPermission,
			Description: "grants (\"yes\") or removes (\"no\") all permissions of an API user on the instance, of the root one if username is missing",
		},
		{
			Name: "end_sessions", Do: svc.endAllSessions,
			Description: "ends all sessions on the instance, as an administrator or a restart does",
		},
	}
}

// createUser creates an API user.
func (svc *service) createUser(map[string]string) (map[string]string, error) {
	made := svc.newUser()
	svc.users[made.id] = &made
	return map[string]string{"username": made.id, "password": made.password}, nil
}

// find returns the API user that the argument username names, the root user by default.
func (svc *service) find(arguments map[string]string) (*user, error) {
	id := arguments["username"]
	if id == "" {
		id = svc.root.id
	}
	if u := svc.users[id]; u != nil {
		return u, nil
	}
	return nil, errors.New("no such API user")
}

// onUser returns an action that calls act with the API user that username names, the root user by default.
func (svc *service) onUser(act func(*user) map[string]string) func(map[string]string) (map[string]string, error) {
	return func(arguments map[string]string) (map[string]string, error) {
		u, err := svc.find(arguments)
		if err != nil {
			return nil, err
		}
		return act(u), nil
	}
}

// newPassword replaces a password.
func (svc *service) newPassword(u *user) map[string]string {
	u.password = svc.newUser().password
	svc.portalChange(u, emulator.EndedPasswordChanged)
	return map[string]string{"username": u.id, "password": u.password}
}

// disable disables an API user.
func (svc *service) disable(u *user) map[string]string {
	u.disabled = true
	svc.portalChange(u, endedByPortal)
	return map[string]string{}
}

// portalChange ends an API user's access and refresh tokens, and its sessions if the switch portal_change_ends_sessions is
// on.
func (svc *service) portalChange(u *user, by string) {
	maps.DeleteFunc(svc.refreshes, func(_ string, held *refresh) bool { return held.user == u })
	for _, issued := range svc.tokens {
		if issued.user == u {
			svc.env.History.End(issued.id, by)
		}
	}
	if svc.env.Enabled(switchPortalEnds) {
		svc.endSessions(u, by)
	}
}

// setPermission grants or removes all permissions of an API user.
func (svc *service) setPermission(arguments map[string]string) (map[string]string, error) {
	u, err := svc.find(arguments)
	if err != nil {
		return nil, err
	}
	switch permission := arguments["permission"]; permission {
	case emulator.Yes, emulator.No:
		u.forbidden = permission == emulator.No
		return map[string]string{}, nil
	default:
		return nil, fmt.Errorf("permission %q is neither yes nor no", permission)
	}
}

// endAllSessions ends all sessions.
func (svc *service) endAllSessions(map[string]string) (map[string]string, error) {
	svc.endSessions(nil, endedByAdministrator)
	return map[string]string{}, nil
}
