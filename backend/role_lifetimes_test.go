package backend

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// A role write says how long a credential lives at the vendor if that is longer than a lease, and the vendor's own
// record of the credential agrees.
func TestRoleWrite_CredentialOutlivesTTL_WarnsOfItsLife(t *testing.T) {
	const margin = 15 * time.Second
	for name, test := range map[string]struct {
		vendor string
		role   map[string]any
		life   time.Duration
		texts  []string // of the warning; none if there is no warning
	}{
		"ftd":                          {"ftd", map[string]any{"ttl": "10m"}, 40*time.Minute + margin, []string{"40m15s", "max_ttl is not set", "4 times"}},
		"ftd, max_ttl":                 {"ftd", map[string]any{"ttl": "10m", "max_ttl": "8h"}, 8*time.Hour + margin, []string{"8h0m15s", "revocation fails"}},
		"ftd, max_ttl is the ttl":      {"ftd", map[string]any{"ttl": "10m", "max_ttl": "10m"}, 10*time.Minute + margin, nil},
		"ftd, no ttl":                  {"ftd", nil, 4*time.Hour + margin, []string{"4h0m15s"}},
		"ftd, shared":                  {"ftd", map[string]any{"ttl": "10m", "sharing": "shared"}, 40*time.Minute + margin, []string{"40m15s"}},
		"lacework":                     {"lacework", map[string]any{"ttl": "30m"}, 30*time.Minute + margin, nil},
		"lacework, no ttl":             {"lacework", nil, time.Hour + margin, []string{"ttl is not set", "1h0m15s", "cannot revoke it"}},
		"lacework, shared":             {"lacework", map[string]any{"ttl": "30m", "sharing": "shared"}, 2*time.Hour + margin, []string{"2h0m15s", "cannot revoke it", "1h30m15s after"}},
		"lacework, shared, max_ttl":    {"lacework", map[string]any{"ttl": "30m", "max_ttl": "24h", "sharing": "shared"}, 24 * time.Hour, []string{"24h0m0s", "cannot revoke it"}},
		"lacework, shared, no ttl":     {"lacework", map[string]any{"sharing": "shared"}, 4*time.Hour + margin, []string{"4h0m15s", "cannot revoke it"}},
		"trend":                        {"trend", map[string]any{"ttl": "10m"}, 10*time.Minute + margin, nil},
		"trend, max_ttl":               {"trend", map[string]any{"ttl": "10m", "max_ttl": "8h"}, 10*time.Minute + margin, nil},
		"trend, shared":                {"trend", map[string]any{"ttl": "10m", "sharing": "shared"}, 40*time.Minute + margin, nil},
		"fortianalyzer":                {"fortianalyzer", map[string]any{"ttl": "10m"}, 15 * time.Minute, nil},
		"fortianalyzer, shared":        {"fortianalyzer", map[string]any{"ttl": "10m", "sharing": "shared"}, 15 * time.Minute, nil},
		"fortisiem":                    {"fortisiem", map[string]any{"ttl": "10m"}, 0, []string{"the vendor alone decides", "cannot revoke"}},
		"fortisiem, shared":            {"fortisiem", map[string]any{"ttl": "10m", "sharing": "shared"}, 0, []string{"the vendor alone decides", "cannot revoke"}},
		"fortianalyzer, ttl above it":  {"fortianalyzer", map[string]any{"ttl": "30m"}, 15 * time.Minute, []string{"exceeds the vendor's maximum"}},
		"lacework, ttl above the cap":  {"lacework", map[string]any{"ttl": "25h"}, 24 * time.Hour, []string{"exceeds the vendor's maximum"}},
		"ftd, ttl above the mount's":   {"ftd", map[string]any{"ttl": "49h"}, 48*time.Hour + margin, []string{"exceeds the mount's maximum"}},
		"ftd, 4 x ttl above the mount": {"ftd", map[string]any{"ttl": "20h"}, 48*time.Hour + margin, []string{"48h0m15s"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits()
			m.writeConfig(test.vendor, nil)
			role := map[string]any{"config": test.vendor}
			if test.vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			maps.Copy(role, test.role)
			response := m.must(logical.UpdateOperation, "roles/reader", role)
			if test.texts == nil {
				require.Nil(t, response)
			} else {
				for _, text := range test.texts {
					require.Contains(t, response.Warnings[0], text)
				}
			}
			leased := m.read("reader")
			if test.life > 0 {
				leased := m.leased(test.vendor)
				credential := leased[len(leased)-1] // the check of a Lacework config has issued a token, too
				require.WithinDuration(t, credential.IssuedAt.Add(test.life), *credential.ExpiresAt, 3*time.Second)
			}
			require.Positive(t, leased.secret.TTL)

			again := m.must(logical.UpdateOperation, "roles/reader", role)
			require.Equal(t, response, again, "the same write has the same warnings")
		})
	}
}

// The default max_ttl of a fixed or shared credential is a limit of renewals, too.
func TestRenew_NoMaxTTL_EndsAtFourTimesTheTTL(t *testing.T) {
	for vendor, role := range map[string]map[string]any{
		"ftd": {"ttl": "10m"}, "trend": {"ttl": "10m", "role_name": "Auditor", "sharing": "shared"}, "fortianalyzer": {"ttl": "10m", "sharing": "shared"},
	} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.writeConfig(vendor, nil)
			m.must(logical.UpdateOperation, "roles/reader", mergedData(role, map[string]any{"config": vendor}))
			leased := m.read("reader")
			for range 3 {
				m.clock.Advance(9 * time.Minute)
				response, err := m.renew(leased, 0)
				require.NoError(t, err)
				require.Equal(t, 10*time.Minute, response.Secret.TTL)
			}
			m.clock.Advance(9 * time.Minute) // 36 of 40 minutes
			response, err := m.renew(leased, 0)
			require.NoError(t, err)
			require.LessOrEqual(t, response.Secret.TTL, 4*time.Minute+2*time.Second)
			m.clock.Advance(5 * time.Minute)
			_, err = m.renew(leased, 0)
			require.Error(t, err)
		})
	}
}

func mergedData(a, b map[string]any) map[string]any {
	merged := maps.Clone(a)
	maps.Copy(merged, b)
	return merged
}

func TestConfigWrite_MoreThanTheVendorAllows_Warns(t *testing.T) {
	m := newMount(t)
	for name, test := range map[string]struct {
		vendor string
		limit  any
		text   string
	}{
		"ftd, default":           {"ftd", nil, ""},
		"ftd, all but the login": {"ftd", 4, ""},
		"ftd, too many":          {"ftd", 5, "max_credentials of 5 exceeds the 4"},
		"ftd, unlimited":         {"ftd", 0, "unlimited, but the vendor allows 4"},
		"fortianalyzer":          {"fortianalyzer", 19, ""},
		"fortianalyzer, more":    {"fortianalyzer", 20, "max_credentials of 20 exceeds the 19"},
		"trend, unlimited":       {"trend", 0, ""},
		"lacework":               {"lacework", 1000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second write changes nothing
				response := m.must(logical.UpdateOperation, "config/edge", m.configData(test.vendor, map[string]any{"max_credentials": test.limit, "verify_connection": false}))
				if test.text == "" {
					require.Nil(t, response)
				} else {
					require.Contains(t, response.Warnings[0], test.text)
				}
			}
			m.must(logical.DeleteOperation, "config/edge", nil)
		})
	}
}

func TestConfigWrite_SecondConfigOfOneDevice_Warns(t *testing.T) {
	m := newMount(t)
	for vendor, warns := range map[string]bool{"ftd": true, "fortianalyzer": true, "trend": false, "lacework": false, "fortisiem": false} {
		t.Run(vendor, func(t *testing.T) {
			m.writeConfig(vendor, nil)
			second := m.configData(vendor, map[string]any{"verify_connection": false})
			response := m.must(logical.UpdateOperation, "config/second", second)
			if warns {
				require.Contains(t, response.Warnings[0], `config "`+vendor+`" has the same address and account`)
			} else {
				require.Nil(t, response)
			}
			m.must(logical.DeleteOperation, "config/second", nil)
			m.must(logical.DeleteOperation, "config/"+vendor, nil)
		})
	}
	m.writeConfig("fortianalyzer", nil)
	response := m.must(logical.UpdateOperation, "config/second", m.configData("fortianalyzer", map[string]any{"username": "another", "verify_connection": false}))
	require.Nil(t, response, "the instance counts the sessions of each API user")
	m.writeConfig("ftd", nil)
	response = m.must(logical.UpdateOperation, "config/third", m.configData("ftd", map[string]any{"username": "another", "verify_connection": false}))
	require.NotNil(t, response, "the device counts the sessions of all users")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/third", map[string]any{"max_credentials": -1}, "max_credentials")
}
