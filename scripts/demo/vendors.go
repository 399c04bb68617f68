package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	// life is after what time a credential that can't be revoked has ended; only for such.
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
		role:      []string{"ttl=15m", "max_ttl=1h"},
		renewable: true, revocable: true,
		request:  bearerGet("/object/networks"),
		accepted: success,
	},
	{
		name: "fortianalyzer", product: "FortiAnalyzer Cloud",
		role:      []string{"ttl=10m", "max_ttl=1h"},
		renewable: true, revocable: true,
		request:  fortinetStatus,
		accepted: fortinetOK,
	},
	{
		name: "fortisiem", product: "FortiSIEM",
		role:      []string{"ttl=10m"},
		renewable: false, revocable: false, life: 15 * time.Minute,
		request:  bearerGet("/phoenix/rest/system/health/summary"),
		accepted: success,
	},
	{
		name: "lacework", product: "Lacework FortiCNAPP",
		role:      []string{"ttl=15m"},
		renewable: false, revocable: false, life: 15 * time.Minute,
		request:  bearerGet("/api/v2/UserProfile"),
		accepted: success,
	},
	{
		name: "trend", product: "Trend Micro Deep Security",
		role:      []string{"role_name=Auditor", "ttl=15m", "max_ttl=1h"},
		renewable: true, revocable: true,
		request:  trendKey,
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

// trendKey asks whose key it is, with the key in the header that the answer's token_type names.
func trendKey(ctx context.Context, c credential) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.fields["address"]+"/apikeys/current", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set(c.fields["token_type"], c.fields["token"])
	request.Header.Set("api-version", c.fields["api_version"])
	return request, nil
}

// fortinetStatus asks for the system's status by JSON-RPC, with the session in the body.
func fortinetStatus(ctx context.Context, c credential) (*http.Request, error) {
	body, err := json.Marshal(map[string]any{
		"id": 1, "method": "get", "params": []any{map[string]any{"url": "/sys/status"}}, "session": c.fields["token"],
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.fields["address"]+"/jsonrpc", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// fortinetOK reads the code in the body of a JSON-RPC answer, whose HTTP status is 200 in any case.
func fortinetOK(_ int, body []byte) bool {
	var answer struct {
		Result []struct {
			Status struct {
				Code int `json:"code"`
			} `json:"status"`
		} `json:"result"`
	}
	err := json.Unmarshal(body, &answer)
	return err == nil && len(answer.Result) == 1 && answer.Result[0].Status.Code == 0
}

// success is how most vendors say that they took a credential.
func success(status int, _ []byte) bool { return status/100 == 2 }
