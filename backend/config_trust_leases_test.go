package backend

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// otherRoots are root credentials that a user can make up, by vendor.
var otherRoots = map[string]map[string]any{
	"ftd":           {"username": "admin", "password": "made-up-by-a-writer"},
	"fortianalyzer": {"password": "made-up-by-a-writer"},
	"fortisiem":     {"client_secret": "made-up-by-a-writer"},
	"trend":         {"api_key": "2:made-up-by-a-writer"},
	"lacework":      {"secret_key": "made-up-by-a-writer"},
}

// weakTrusts are changes of the trust that let an attacker on the network path read what is sent.
func weakTrusts(t *testing.T) map[string]map[string]any {
	return map[string]map[string]any{
		"no verification":   {"tls_skip_verify": true},
		"other authority":   {"ca_cert": string(newMount(t).vendors.CACertPEM())},
		"other server name": {"tls_server_name": "attacker.example"},
	}
}

// A user who may write a config but knows none of its root credentials must not get the leased credentials sent over a trust
// of their own: renewals and revocations send them.
func TestConfigWrite_OtherRootAndTrust_KeepsLeasesPrivate(t *testing.T) {
	weak := weakTrusts(t)
	for vendor, root := range otherRoots {
		for name, trust := range weak {
			for _, steps := range []string{"one write", "two writes"} {
				t.Run(vendor+" "+name+" "+steps, func(t *testing.T) {
					m := newConfiguredMount(t, vendor, roleData(vendor, nil))
					m.read(vendor)
					changes := map[string]any{"verify_connection": false}
					maps.Copy(changes, root)
					if steps == "two writes" {
						m.must(logical.UpdateOperation, "config/"+vendor, maps.Clone(changes))
					}
					maps.Copy(changes, trust)
					m.rejected(http.StatusConflict, logical.UpdateOperation, "config/"+vendor, maps.Clone(changes), "another TLS trust", "trust/<name>")

					changes["leave_behind"] = true
					m.must(logical.UpdateOperation, "config/"+vendor, changes)
					entry := m.firstEntry(vendor)
					require.ErrorContains(t, m.config(vendor).CheckOrigin(m.backend.providers[vendor], entry.Origin), "another address")
				})
			}
		}
	}
}

// A writer who gives the stored root credential again knows it, and a device gets another certificate now and then.
func TestConfigWrite_SameRootAndOtherTrust_KeepsLeases(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	held := m.read("ftd")
	m.writeConfig("ftd", map[string]any{"tls_skip_verify": true})
	require.NoError(t, m.revoke(held))
	m.requireNoneLeft("ftd")
}

// All credentials of the replaced root credential have ended by then.
func TestConfigWrite_RootReplacedLongAgo_KeepsLeases(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": "made-up-by-a-writer", "verify_connection": false})
	m.writeConfig("ftd", nil)
	m.clock.Advance(33 * 24 * time.Hour)
	held := m.read("ftd")
	m.writeConfig("ftd", map[string]any{"tls_skip_verify": true})
	require.NoError(t, m.revoke(held))
}
