package ftd

import (
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Reasons for the end of sessions that only this vendor has.
const (
	endedByLogout = "logged_out"
	endedByReboot = "rebooted"
)

// actions are what people do to a device.
func (t *service) actions() []emulator.Action {
	return []emulator.Action{
		{
			Name: "ui_login", Do: t.loginUI,
			Description: "admin logs in to the web interface, which takes a place among the sessions; answers with its id",
		},
		{
			Name: "ui_logout", Arguments: []string{"id"}, Do: t.logoutUI,
			Description: "ends a web interface session by the id that ui_login gave",
		},
		{
			Name: "add_external_user", Arguments: []string{"name", "role"}, Do: t.addExternalUser,
			Description: "lets a RADIUS user log in; role is admin, rw or ro; answers with username and password",
		},
		{
			Name: "change_password", Arguments: []string{"password"}, Do: t.changePassword,
			Description: "somebody else sets admin's password, to the given one or a new random one; answers with it",
		},
		{
			Name: "reboot", Do: t.reboot,
			Description: "restarts the device, which ends all sessions unless the switch reboot_keeps_tokens says otherwise",
		},
	}
}

// loginUI opens a session without tokens.
func (t *service) loginUI(map[string]string) (map[string]string, error) {
	s := &session{origin: originUI, subject: adminName, user: t.userNamed(adminName), life: passwordLife}
	t.open(s)
	s.accessExpires = t.env.Now().Add(passwordLife)
	return map[string]string{"id": s.id}, nil
}

// logoutUI ends such a session.
func (t *service) logoutUI(arguments map[string]string) (map[string]string, error) {
	for _, s := range t.sessions {
		if s.id == arguments["id"] && s.origin == originUI && t.end(s, endedByLogout) {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("no web interface session %q", arguments["id"])
}

// addExternalUser makes a user whose password a RADIUS server keeps.
func (t *service) addExternalUser(arguments map[string]string) (map[string]string, error) {
	roles := map[string]string{"admin": roleAdmin, "rw": roleReadWrite, "ro": roleReadOnly}
	role, ok := roles[arguments["role"]]
	if !ok {
		return nil, fmt.Errorf("role %q is not one of admin, rw, ro", arguments["role"])
	}
	name := arguments["name"]
	if name == "" || t.userNamed(name) != nil {
		return nil, fmt.Errorf("name %q is empty or taken", name)
	}
	u := &user{id: t.env.Random.UUID(1), name: name, password: newPassword(t.env), role: role, source: "RADIUS"}
	t.users = append(t.users, u)
	return map[string]string{"username": u.name, "password": u.password}, nil
}

// changePassword changes the root credential behind the engine's back.
func (t *service) changePassword(arguments map[string]string) (map[string]string, error) {
	u := t.userNamed(adminName)
	u.password, u.version = arguments["password"], t.env.Random.Hex(6)
	if u.password == "" {
		u.password = newPassword(t.env)
	}
	t.passwordChanged(u, nil)
	return map[string]string{"password": u.password}, nil
}

// reboot restarts the device.
func (t *service) reboot(map[string]string) (map[string]string, error) {
	if t.env.Enabled(switchRebootKeeps) {
		return nil, nil
	}
	for _, s := range append([]*session(nil), t.sessions...) {
		t.end(s, endedByReboot)
	}
	return nil, nil
}
