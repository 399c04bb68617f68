package main

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// vendor is all that the demo needs to know of a vendor.
type vendor struct {
	// name is the value of the config field "vendor", and product what its maker calls it.
	name, product string
	// config are further settings of the config, as "key=value"; address, trust and root credential
	// come from the emulator.
	config []string
	// role are the settings of the role, as "key=value".
	role []string
	// life is how long the vendor lets an unrevoked credential live, at most.
	life time.Duration
	// renewable and revocable tell what the vendor's API lets the engine do.
	renewable, revocable bool
	// request is a harmless call that needs the credential.
	request func(ctx context.Context, c credential) (*http.Request, error)
	// accepted tells from the answer whether the vendor took the credential.
	accepted func(status int, body []byte) bool
}

// vendors are shown in this order.
var vendors = []vendor{
	{
		name: "ftd", product: "Cisco Secure Firewall Threat Defense",
		role: []string{"ttl=15m", "max_ttl=1h"}, life: time.Hour,
		renewable: true, revocable: true,
		request:  bearerGet("/object/networks"),
		accepted: success,
	},
	{
		name: "lacework", product: "Lacework FortiCNAPP",
		role: []string{"ttl=15m"}, life: 15 * time.Minute,
		renewable: false, revocable: false,
		request:  bearerGet("/api/v2/UserProfile"),
		accepted: success,
	},
}

// configName and roleName are the names in the mount.
func (v vendor) configName() string { return v.name + "-demo" }
func (v vendor) roleName() string   { return v.name + "-reader" }

// credential is what a read of creds/<role> answered.
type credential struct {
	leaseID string
	fields  map[string]string
}

// bearerGet returns a function that makes a GET request with the token as a bearer. The path goes
// behind the address that came with the token, which is the base of the API.
func bearerGet(path string) func(context.Context, credential) (*http.Request, error) {
	return func(ctx context.Context, c credential) (*http.Request, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.fields["address"], "/")+path, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("Authorization", "Bearer "+c.fields["token"])
		request.Header.Set("Accept", "application/json")
		return request, nil
	}
}

// success is how most vendors say that they took a credential.
func success(status int, _ []byte) bool { return status/100 == 2 }
