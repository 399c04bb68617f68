package fortisiem

import (
	"errors"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// The reasons for the end of a token whose client was revoked or got a new secret.
const (
	endedByRevocation = "client_revoked"
	endedByReset      = "secret_reset"
)

// actions are steps that the vendor offers only in its GUI, under Admin > Settings > System > API Token.
func (svc *service) actions() []emulator.Action {
	return []emulator.Action{
		{
			Name: "create_client", Arguments: []string{"access_token_expiry", "secret_expiry"}, Do: svc.createClient,
			Description: "creates a client; the arguments are durations from now, by default the switch access_token_expiry " +
				"and never; answers with client_id and client_secret",
		},
		{
			Name: "revoke_client", Arguments: []string{"client_id"},
			Description: "revokes a client, the root one if client_id is missing",
			Do: svc.onClient(func(c *client) map[string]string {
				c.revoked = true
				if svc.env.Enabled(switchRevokingKills) {
					svc.endTokens(c, endedByRevocation)
				}
				return nil
			}),
		},
		{
			Name: "reset_secret", Arguments: []string{"client_id"},
			Description: "gives a client a new secret, the root one if client_id is missing; answers with client_secret",
			Do: svc.onClient(func(c *client) map[string]string {
				c.secret, c.secretExpires, c.exchanged = svc.newSecret(), time.Time{}, false
				if svc.env.Enabled(switchResettingKills) {
					svc.endTokens(c, endedByReset)
				}
				return map[string]string{"client_secret": c.secret}
			}),
		},
		{
			Name: "expire_secret", Arguments: []string{"client_id"},
			Description: "makes the secret of a client expire now, of the root one if client_id is missing",
			Do:          svc.onClient(func(c *client) map[string]string { c.secretExpires = svc.env.Now(); return nil }),
		},
		{
			Name: "deny_owner", Arguments: []string{"client_id"},
			Description: "removes the right to request tokens from the user who created a client, the root one if client_id is missing",
			Do:          svc.onClient(func(c *client) map[string]string { c.ownerDenied = true; return nil }),
		},
		{
			Name: "allow_owner", Arguments: []string{"client_id"},
			Description: "restores the right that deny_owner removes",
			Do:          svc.onClient(func(c *client) map[string]string { c.ownerDenied = false; return nil }),
		},
		{
			Name: "make_refresh_token", Arguments: []string{"client_id"},
			Description: "makes a refresh token of a client, as release 7.5.0 does, of the root one if client_id is missing; answers with refresh_token",
			Do: svc.onClient(func(c *client) map[string]string {
				return map[string]string{"refresh_token": svc.newRefreshToken(c)}
			}),
		},
	}
}

// createClient creates a client.
func (svc *service) createClient(arguments map[string]string) (map[string]string, error) {
	made := svc.newClient()
	for name, set := range map[string]func(time.Duration){
		"access_token_expiry": func(d time.Duration) { made.life = d },
		"secret_expiry":       func(d time.Duration) { made.secretExpires = svc.env.Now().Add(d) },
	} {
		if arguments[name] == "" {
			continue
		}
		d, err := time.ParseDuration(arguments[name])
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("%s is not a positive duration", name)
		}
		set(d)
	}
	svc.clients[made.id] = &made
	return map[string]string{"client_id": made.id, "client_secret": made.secret}, nil
}

// onClient returns an action that calls act with the client that client_id names, the root client by default.
func (svc *service) onClient(act func(*client) map[string]string) func(map[string]string) (map[string]string, error) {
	return func(arguments map[string]string) (map[string]string, error) {
		id := arguments["client_id"]
		if id == "" {
			id = svc.root.id
		}
		c := svc.clients[id]
		if c == nil {
			return nil, errors.New("no such client")
		}
		return act(c), nil
	}
}
