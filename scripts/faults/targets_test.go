package faults

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// target is a vendor as these tests configure it.
type target struct {
	vendorfacts.Vendor
	// label names the target in the report.
	label string
	// hook is true when the operator has configured a revoke_url.
	hook bool
	setup
}

// setup is the configuration of a vendor under which its credentials live for seconds and many requests are served.
type setup struct {
	// config holds further fields of the config.
	config map[string]any
	// switches are switches of the emulator.
	switches map[string]string
	// keepsChecked is true if the engine gives the credential of a check to the next reader. Each credential expires.
	keepsChecked bool
}

// The vendor cannot end a FortiAnalyzer session whose answer was lost, or a FortiSIEM token. Each test waits until they
// expire, so their lives are short.
const (
	idleTimeout = "20s"
	tokenLife   = "30s"
)

// setups are the setups of all vendors, by name.
var setups = map[string]setup{
	// The engine's own tests cover the credentials that a device ends together with a changed password.
	"ftd":           {switches: map[string]string{"password_change_ends": "logins"}},
	"trend":         {switches: map[string]string{"rate_limit": "0"}},
	"fortianalyzer": {config: map[string]any{"idle_timeout": idleTimeout}, switches: map[string]string{"idle_timeout": idleTimeout}},
	"lacework":      {config: map[string]any{"verify_connection": false}, switches: map[string]string{"rate_limit": "1000000"}},
	"fortisiem": {
		config:       map[string]any{"verify_connection": false},
		switches:     map[string]string{"access_token_expiry": tokenLife, "token_interval": "0s", "revoke_route": "yes"},
		keepsChecked: true,
	},
}

// targets returns every vendor, and once more each vendor with a revoke_url, as "<vendor>+hook".
func targets() []target {
	var all []target
	for _, vendor := range vendorfacts.All() {
		all = append(all, target{Vendor: vendor, label: vendor.Name, setup: setups[vendor.Name]})
		if vendor.Hook != nil {
			all = append(all, target{Vendor: vendor, label: vendor.Name + "+hook", hook: true, setup: setups[vendor.Name]})
		}
	}
	return all
}

func TestTargets_EveryVendor_HasASetup(t *testing.T) {
	require.ElementsMatch(t, vendorfacts.Names(), slices.Collect(maps.Keys(setups)))
	for _, vendor := range vendorfacts.All() {
		require.Len(t, labeled(vendor.Name), 1)
	}
}

// emulatedTargets returns one target for each emulated vendor.
func emulatedTargets() []target {
	return slices.DeleteFunc(targets(), func(v target) bool { return v.hook })
}

// labeled returns the targets with these labels.
func labeled(labels ...string) []target {
	return slices.DeleteFunc(targets(), func(v target) bool { return !slices.Contains(labels, v.label) })
}

// revocable reports whether the engine can end the target's credentials.
func (v target) revocable() bool { return v.Revokes || v.hook }

// revokeOperation is the emulator's name of the request that ends a credential.
func (v target) revokeOperation() string {
	if v.hook {
		return v.Hook.Operation
	}
	return v.Operations.Revoke
}

// configFields returns the fields of the target's config, as an operator writes them.
func (v target) configFields(state devserver.State) (map[string]any, error) {
	fields, err := state.ConfigFields(v.Name)
	if err != nil {
		return nil, err
	}
	fields["request_timeout"], fields["max_retries"] = "1s", 1
	maps.Copy(fields, v.config)
	if v.hook {
		fields["revoke_url"] = state.Vendors[v.Name].URL + v.Hook.Path
	}
	return fields, nil
}

// works reports whether the vendor accepts a credential.
func (v target) works(ctx context.Context, client *http.Client, credential map[string]any) (bool, error) {
	verdict, err := v.Use(ctx, client, credential)
	return verdict == vendorfacts.Accepted, err
}

// vendorClient returns a client that trusts the emulator's CA.
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

// text returns a member that is a string, or "".
func text(data map[string]any, member string) string {
	value, _ := data[member].(string)
	return value
}
