package ftd

import (
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// The reasons for the end of a session that only this vendor has.
const (
	endedByLogout = "logged_out"
	endedByReboot = "rebooted"
	endedByAdmin  = "administrator"
)

// actions are steps that a person does at a device.
func (svc *service) actions() []emulator.Action {
	return []emulator.Action{
		{
			Name: "ui_login", Do: svc.loginUI,
			Description: "admin logs in to the web interface, which counts as a session; answers with its id",
		},
		{
			Name: "ui_logout", Arguments: []string{"id"}, Do: svc.logoutUI,
			Description: "ends a web interface session by the id in the answer of ui_login",
		},
		{
			Name: "add_external_user", Arguments: []string{"name", "role"}, Do: svc.addExternalUser,
			Description: "adds a user to the RADIUS server; role is admin, rw or ro; answers with username and password",
		},
		{
			Name: "change_password", Arguments: []string{"password"}, Do: svc.changePassword,
			Description: "another administrator sets admin's password, to the given one or a new random one; answers with it",
		},
		{
			Name: "reboot", Do: svc.reboot,
			Description: "restarts the device, which ends all sessions if the switch reboot_keeps_tokens is no",
		},
		{
			Name: "end_sessions", Do: svc.endSessions,
			Description: "an administrator ends all sessions",
		},
	}
}

// loginUI opens a session of the web interface, which has no tokens.
func (svc *service) loginUI(map[string]string) (map[string]string, error) {
	s := &session{origin: originUI, subject: adminName, user: svc.userNamed(adminName), life: passwordLife}
	svc.open(s)
	s.accessExpires = svc.env.Now().Add(passwordLife)
	return map[string]string{"id": s.id}, nil
}

// logoutUI ends a session of the web interface.
func (svc *service) logoutUI(arguments map[string]string) (map[string]string, error) {
	for _, s := range svc.sessions {
		if s.id == arguments["id"] && s.origin == originUI && svc.end(s, endedByLogout) {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("no web interface session %q", arguments["id"])
}

// addExternalUser adds a user whose password a RADIUS server stores.
func (svc *service) addExternalUser(arguments map[string]string) (map[string]string, error) {
	roles := map[string]string{"admin": roleAdmin, "rw": roleReadWrite, "ro": roleReadOnly}
	role, ok := roles[arguments["role"]]
	if !ok {
		return nil, fmt.Errorf("role %q is not one of admin, rw, ro", arguments["role"])
	}
	name := arguments["name"]
	if name == "" || svc.userNamed(name) != nil {
		return nil, fmt.Errorf("name %q is empty or taken", name)
	}
	u := newAdmin(svc.env, newPassword(svc.env))
	u.name, u.role, u.external, u.known = name, role, true, false
	svc.users = append(svc.users, u)
	return map[string]string{"username": u.name, "password": u.password}, nil
}

// changePassword changes the root credential without the engine.
func (svc *service) changePassword(arguments map[string]string) (map[string]string, error) {
	u := svc.userNamed(adminName)
	u.password, u.version = arguments["password"], svc.env.Random.Hex(6)
	if u.password == "" {
		u.password = newPassword(svc.env)
	}
	svc.passwordChanged(u, nil)
	return map[string]string{"password": u.password}, nil
}

// reboot restarts the device.
func (svc *service) reboot(map[string]string) (map[string]string, error) {
	if svc.env.Enabled(switchRebootKeeps) {
		return nil, nil
	}
	svc.endAll(endedByReboot)
	return nil, nil
}

// endSessions ends all sessions, as an administrator can.
func (svc *service) endSessions(map[string]string) (map[string]string, error) {
	svc.endAll(endedByAdmin)
	return nil, nil
}

// endAll ends all sessions.
func (svc *service) endAll(by string) {
	for _, s := range append([]*session(nil), svc.sessions...) {
		svc.end(s, by)
	}
}
