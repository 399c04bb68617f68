package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// vendor is what the tests know of one vendor.
type vendor struct {
	// name stands in the report; emulated is the emulator's name for it.
	name, emulated string
	// config and role are fields beside those that all have.
	config, role map[string]any
	// switches are the emulator's, for lives of seconds and loads of many requests.
	switches map[string]string
	// marked vendors carry the marker; renewable ones renew, and revoking ones end a credential.
	marked, renewable, revoking bool
	// unending credentials cannot be ended before their expiry, so they are made for no longer than a lease.
	unending bool
	// rotates means that the root credential can be replaced by the API, and login that it is made from a login.
	rotates, login bool
	// oneConfig is for a device whose few sessions one config counts.
	oneConfig bool
	// issue, renew, revoke and rotate are the emulator's names of the requests that do it.
	issue, renew, revoke, rotate string
	// works uses a credential at the vendor.
	works func(client *http.Client, data map[string]any) (bool, error)
}

// idleTimeout is FortiAnalyzer's, and tokenLife FortiSIEM's: nobody can end a session whose answer was lost, or a
// token, so each test waits for it.
const (
	idleTimeout = "20s"
	tokenLife   = "30s"
)

// vendors are all that the tests know; fortisiem+hook is a FortiSIEM whose operator has named a call that ends
// tokens.
func vendors() []vendor {
	return []vendor{
		{
			name: "ftd", emulated: "ftd",
			// What the device ends with a password is shown by the engine's own tests.
			switches: map[string]string{"password_change_ends": "logins"},
			marked:   true, renewable: true, revoking: true, oneConfig: true, rotates: true,
			issue: "custom_token", renew: "object/users", revoke: "revoke_token", rotate: "PUT *", works: bearerOn("/object/networks"),
		},
		{
			name: "trend", emulated: "trend", role: map[string]any{"role_name": "Auditor"},
			switches: map[string]string{"rate_limit": "0"},
			marked:   true, renewable: true, revoking: true, rotates: true, login: true,
			issue: "createApiKey", renew: "modifyApiKey", revoke: "deleteApiKey", rotate: "createApiKey", works: keyOn("/apikeys/current"),
		},
		{
			name: "fortianalyzer", emulated: "fortianalyzer", config: map[string]any{"idle_timeout": idleTimeout},
			switches:  map[string]string{"idle_timeout": idleTimeout},
			renewable: true, revoking: true,
			issue: "forticloud_jsonrpc_login", renew: "get /sys/status", revoke: "exec /sys/logout", works: sessionWorks,
		},
		{
			name: "lacework", emulated: "lacework", unending: true, config: map[string]any{"verify_connection": false},
			switches: map[string]string{"rate_limit": "1000000"},
			issue:    "access_token", works: bearerOn("/api/v2/UserProfile"),
		},
		{
			name: "fortisiem", emulated: "fortisiem", unending: true, config: map[string]any{"verify_connection": false},
			switches: map[string]string{"access_token_expiry": tokenLife, "token_interval": "0s", "revoke_route": "yes"},
			issue:    "oauth_token", works: bearerOn("/phoenix/rest/system/health/summary"),
		},
		{
			name: "fortisiem+hook", emulated: "fortisiem", unending: true,
			config:   map[string]any{"verify_connection": false, "revoke_url": "/phoenix/rest/pub/security/oauth/revoke"},
			revoking: true,
			issue:    "oauth_token", revoke: "oauth_revoke", works: bearerOn("/phoenix/rest/system/health/summary"),
		},
	}
}

// emulated are the vendors that the emulator serves, each once.
func emulated() []vendor {
	return slices.CompactFunc(vendors(), func(a, b vendor) bool { return a.emulated == b.emulated })
}

// named picks vendors by name.
func named(names ...string) []vendor {
	return slices.DeleteFunc(vendors(), func(v vendor) bool { return !slices.Contains(names, v.name) })
}

// configFields are the fields of a vendor's config, as an operator would write them.
func (v vendor) configFields(state devserver.State) (map[string]any, error) {
	ca, err := state.CACert()
	if err != nil {
		return nil, err
	}
	served, ok := state.Vendors[v.emulated]
	if !ok {
		return nil, fmt.Errorf("the emulator serves no %s", v.emulated)
	}
	fields := map[string]any{"vendor": v.emulated, "address": served.URL, "ca_cert": ca, "request_timeout": "1s", "max_retries": 1}
	if served.AuthURL != "" {
		fields["auth_address"] = served.AuthURL
	}
	for field, value := range served.Credentials {
		fields[field] = value
	}
	for field, value := range v.config {
		if path, ok := value.(string); ok && field == "revoke_url" {
			value = served.URL + path
		}
		fields[field] = value
	}
	return fields, nil
}

// vendorClient trusts the emulator's CA.
func vendorClient(state devserver.State) (*http.Client, error) {
	ca, err := state.CACert()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		return nil, errors.New("the emulator's CA certificate cannot be read")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, nil
}

// bearerOn uses a credential as a bearer token.
func bearerOn(path string) func(*http.Client, map[string]any) (bool, error) {
	return func(client *http.Client, data map[string]any) (bool, error) {
		return get(client, text(data, "address")+path, map[string]string{"Authorization": text(data, "token_type") + " " + text(data, "token")})
	}
}

// keyOn uses a credential in the header that its token_type names.
func keyOn(path string) func(*http.Client, map[string]any) (bool, error) {
	return func(client *http.Client, data map[string]any) (bool, error) {
		return get(client, text(data, "address")+path, map[string]string{text(data, "token_type"): text(data, "token"), "api-version": "v1"})
	}
}

func text(data map[string]any, member string) string {
	value, _ := data[member].(string)
	return value
}

// get tells whether a request is let in.
func get(client *http.Client, url string, headers map[string]string) (bool, error) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err
	}
	response.Body.Close()
	return response.StatusCode/100 == 2, nil
}

// sessionWorks asks a FortiAnalyzer for its status.
func sessionWorks(client *http.Client, data map[string]any) (bool, error) {
	body, err := json.Marshal(map[string]any{
		"id": 1, "method": "get", "params": []any{map[string]any{"url": "/sys/status"}}, "session": data["token"],
	})
	if err != nil {
		return false, err
	}
	response, err := client.Post(text(data, "url"), "application/json", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	var answer struct {
		Result []struct {
			Status struct {
				Code int `json:"code"`
			} `json:"status"`
		} `json:"result"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return false, err
	}
	return len(answer.Result) == 1 && answer.Result[0].Status.Code == 0, nil
}
