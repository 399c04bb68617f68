package trend

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// actions are steps that a person does at the console.
func (svc *service) actions() []emulator.Action {
	return []emulator.Action{
		{
			Name: "lock_key", Arguments: []string{"id"}, Description: "locks a key, the root one if id is missing",
			Do: svc.onKey(func(k *key, _ map[string]string) error { k.active = false; return nil }),
		},
		{
			Name: "unlock_key", Arguments: []string{"id"}, Description: "unlocks a key, the root one if id is missing",
			Do: svc.onKey(func(k *key, _ map[string]string) error {
				k.active, k.unlock, k.failures = true, time.Time{}, 0
				return nil
			}),
		},
		{
			Name: "delete_key", Arguments: []string{"id"}, Description: "deletes a key, the root one if id is missing",
			Do: svc.onKey(func(k *key, _ map[string]string) error { svc.removeKey(k, endedByConsole); return nil }),
		},
		{
			Name: "set_expiry", Arguments: []string{"id", "in"}, Do: svc.onKey(svc.setExpiryIn),
			Description: "makes a key, the root one if id is missing, expire after the duration \"in\"; without \"in\" it never expires",
		},
		{
			Name: "set_role", Arguments: []string{"id", "role_id"}, Do: svc.onKey(svc.setRole),
			Description: "gives a key, the root one if id is missing, another role",
		},
		{
			Name: "create_key", Arguments: []string{"name", "role_id"}, Do: svc.createKeyByHand,
			Description: "creates a key that never expires, role 3 if role_id is missing; answers with id and api_key",
		},
		{
			Name: "create_role", Arguments: []string{"name", "lacks"}, Do: svc.createRoleByHand,
			Description: "creates a role like 3 without the rights in \"lacks\", a list of names separated by commas; answers with role_id",
		},
		{
			Name: "unlock_user", Do: func(map[string]string) (map[string]string, error) { svc.failures = 0; return nil, nil },
			Description: "unlocks the user, as dsm_c -action unlockout does",
		},
		{
			Name: "change_password", Arguments: []string{"password"}, Do: svc.changePassword,
			Description: "sets the user's password, to the given one or a new random one; answers with it",
		},
	}
}

// onKey returns an action that calls act with the key that id names, the root key by default.
func (svc *service) onKey(act func(*key, map[string]string) error) func(map[string]string) (map[string]string, error) {
	return func(arguments map[string]string) (map[string]string, error) {
		id := 1
		if given := arguments["id"]; given != "" {
			id, _ = strconv.Atoi(given) // no key has the id 0
		}
		k := svc.keyByID(id)
		if k == nil {
			return nil, errors.New("no such key")
		}
		return map[string]string{}, act(k, arguments)
	}
}

// setExpiryIn changes a key's expiryDate.
func (svc *service) setExpiryIn(k *key, arguments map[string]string) error {
	if arguments["in"] == "" {
		svc.setExpiry(k, time.Time{})
		return nil
	}
	in, err := time.ParseDuration(arguments["in"])
	if err != nil || in <= 0 {
		return fmt.Errorf("in=%q is not a duration above zero", arguments["in"])
	}
	svc.setExpiry(k, svc.env.Now().Add(in).Truncate(time.Millisecond))
	return nil
}

// roleArgument reads role_id.
func (svc *service) roleArgument(arguments map[string]string) (int, error) {
	id, err := strconv.Atoi(arguments["role_id"])
	if err != nil || svc.roleByID(id) == nil {
		return 0, fmt.Errorf("no role has the role_id %q", arguments["role_id"])
	}
	return id, nil
}

// setRole changes a key's role.
func (svc *service) setRole(k *key, arguments map[string]string) error {
	id, err := svc.roleArgument(arguments)
	if err == nil {
		k.role = id
	}
	return err
}

// createKeyByHand creates a key at the console.
func (svc *service) createKeyByHand(arguments map[string]string) (map[string]string, error) {
	made := &key{name: arguments["name"], role: roleKeyManagement, locale: defaultLocale, timeZone: defaultTimeZone}
	if made.name == "" {
		return nil, errors.New("name is missing")
	}
	if arguments["role_id"] != "" {
		id, err := svc.roleArgument(arguments)
		if err != nil {
			return nil, err
		}
		made.role = id
	}
	svc.addKey(made, emulator.KindLogin, newSecret(svc.env))
	return map[string]string{"id": strconv.Itoa(made.id), "api_key": made.secret}, nil
}

// createRoleByHand creates a role with fewer rights than a management key needs.
func (svc *service) createRoleByHand(arguments map[string]string) (map[string]string, error) {
	base := svc.roleByID(roleKeyManagement)
	lacks := strings.Split(arguments["lacks"], ",")
	var granted []right
	for _, r := range allRights {
		if base.has(r) && !slices.Contains(lacks, r.name) {
			granted = append(granted, r)
		}
	}
	made := *base
	made.Name, made.Rights = arguments["name"], grant(granted...)
	if made.Name == "" {
		return nil, errors.New("name is missing")
	}
	return map[string]string{"role_id": strconv.Itoa(svc.addRole(&made).ID)}, nil
}

// changePassword changes the user's password.
func (svc *service) changePassword(arguments map[string]string) (map[string]string, error) {
	svc.password = arguments["password"]
	if svc.password == "" {
		svc.password = "Aa1!" + svc.env.Random.Hex(10)
	}
	return map[string]string{"password": svc.password}, nil
}
