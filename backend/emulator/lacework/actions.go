package lacework

import (
	"errors"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// keysPerUser is the documented number of API keys of one user.
const keysPerUser = 20

// endedByKey is the reason for the end of a token whose key was disabled or deleted.
const endedByKey = "key_disabled"

// actions are the steps that the vendor allows only at its console.
func (svc *service) actions() []emulator.Action {
	return []emulator.Action{
		{
			Name: "create_key", Arguments: []string{"user"}, Do: svc.createKey,
			Description: "creates an API key for the administrator (\"user\": \"admin\", the default) " +
				"or for a new service user (\"service\"); answers with key_id and secret_key",
		},
		{
			Name: "disable_key", Arguments: []string{"key_id"},
			Do:          svc.onKey(func(k *key) { k.disabled = true; svc.killTokens(k) }),
			Description: "disables an API key, the root one if key_id is missing",
		},
		{
			Name: "enable_key", Arguments: []string{"key_id"},
			Do:          svc.onKey(func(k *key) { k.disabled = false }),
			Description: "enables an API key again, the root one if key_id is missing",
		},
		{
			Name: "delete_key", Arguments: []string{"key_id"},
			Do:          svc.onKey(func(k *key) { delete(svc.keys, k.id); svc.killTokens(k) }),
			Description: "deletes an API key, the root one if key_id is missing",
		},
	}
}

// createKey creates an API key.
func (svc *service) createKey(arguments map[string]string) (map[string]string, error) {
	var made key
	switch user := arguments["user"]; user {
	case "", "admin":
		made = svc.newKey(svc.root.user, false)
	case "service":
		svc.users++
		made = svc.newKey(fmt.Sprintf("service-%d", svc.users), true)
	default:
		return nil, fmt.Errorf("user %q is neither admin nor service", user)
	}
	held := 0
	for _, k := range svc.keys {
		if k.user == made.user {
			held++
		}
	}
	if held >= keysPerUser {
		return nil, fmt.Errorf("user %s has %d keys already", made.user, held)
	}
	svc.keys[made.id] = &made
	return map[string]string{"key_id": made.id, "secret_key": made.secret}, nil
}

// onKey returns an action that calls act with the key that key_id names, the root key by default.
func (svc *service) onKey(act func(*key)) func(map[string]string) (map[string]string, error) {
	return func(arguments map[string]string) (map[string]string, error) {
		id := arguments["key_id"]
		if id == "" {
			id = svc.root.id
		}
		k := svc.keys[id]
		if k == nil {
			return nil, errors.New("no such key")
		}
		act(k)
		return map[string]string{}, nil
	}
}

// killTokens ends the tokens of a disabled or deleted key, if the switch disabling_key_kills_tokens is on.
func (svc *service) killTokens(k *key) {
	if !svc.env.Enabled(switchDisablingKills) {
		return
	}
	for _, issued := range svc.tokens {
		if issued.key == k {
			svc.env.History.End(issued.id, endedByKey)
		}
	}
}
