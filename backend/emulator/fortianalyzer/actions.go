package fortianalyzer

import (
	"errors"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Reasons for the end of tokens and sessions that a person at a console brought about.
const (
	endedByPortal        = "api_user_disabled"
	endedByAdministrator = "administrator"
)

// actions are what the vendor allows in the FortiCloud portal and at the instance's console only.
func (svc *service) actions() []emulator.Action {
	return []emulator.Action{
		{
			Name: "create_api_user", Do: svc.createUser,
			Description: "makes an API user who may do everything; answers with username and password",
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
			Name: "set_permission", Arguments: []string{"username", "permission"}, Do: svc.setPermission,
			Description: "gives (\"yes\") or takes (\"no\") an API user's permissions on the instance, the root one's if username is missing",
		},
		{
			Name: "end_sessions", Do: svc.kick,
			Description: "ends all sessions on the instance, as an administrator or a restart would",
		},
	}
}

// createUser makes an API user.
func (svc *service) createUser(map[string]string) (map[string]string, error) {
	made := svc.newUser()
	svc.users[made.id] = &made
	return map[string]string{"username": made.id, "password": made.password}, nil
}

// find returns the API user that an action names, the root one by default.
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

// onUser makes an action of something to be done to one API user.
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

// portalChange ends an API user's access tokens, and its sessions if the switch wants it so.
func (svc *service) portalChange(u *user, by string) {
	for _, issued := range svc.tokens {
		if issued.user == u {
			svc.env.History.End(issued.id, by)
		}
	}
	if svc.env.Enabled(switchPortalEnds) {
		svc.endSessions(u, by)
	}
}

// setPermission gives or takes permissions.
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

// kick ends all sessions.
func (svc *service) kick(map[string]string) (map[string]string, error) {
	svc.endSessions(nil, endedByAdministrator)
	return map[string]string{}, nil
}
