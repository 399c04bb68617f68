package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// probeSwitches names, for each vendor, a switch of the emulator that a probe tells apart, the value that is set, and the
// fact with its observation. The tests of package backend do this for every switch.
var probeSwitches = map[string]struct{ name, value, fact, observed string }{
	"ftd":           {"ended_token_status", "408", "ended_token_status", "408"},
	"fortianalyzer": {"status_data", "absent", "status_data", "absent"},
	"fortisiem":     {"token_subject", "owner", "token_subject", "another name"},
	"lacework":      {"bad_token_status", "401", "expired_token_status", "401"},
	"trend":         {"bad_secret_status", "403", "bad_secret_status", "403"},
}

// A probe takes about twenty real seconds where it waits for the expiry of a credential.
func TestProbe_EveryVendor_TellsASwitchApart(t *testing.T) {
	forEachVendor(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		tested := probeSwitches[vendor.Name]
		require.NoError(t, server.Control().SetSwitch(t.Context(), vendor.Name, tested.name, tested.value))
		write(t, client, mountPath+"/roles/reader", roleFields(vendor, nil))
		held := read(t, client, mountPath+"/creds/reader")
		keepLeases(t)
		others := live(t, vendor.Name, "leased")

		_, err := client.Logical().WriteWithContext(t.Context(), mountPath+"/config/main/probe", map[string]any{"confirm": "another", "role": "reader"})
		require.ErrorContains(t, err, "confirm")

		began := time.Now()
		report := write(t, client, mountPath+"/config/main/probe", map[string]any{"confirm": "main", "role": "reader"})
		require.Less(t, time.Since(began), 2*time.Minute)
		require.Equal(t, "complete", report.Data["state"], report.Data["report"])
		t.Log(report.Data["report"])
		found := false
		for _, row := range report.Data["steps"].([]any) {
			row := row.(map[string]any)
			if row["fact"] == tested.fact {
				found = true
				assert.Equal(t, tested.observed, row["observed"])
			}
			if row["fact"] == "" {
				assert.NotEqual(t, "differs", row["verdict"], "%v", row)
			}
		}
		require.True(t, found, "the report has the fact %s", tested.fact)
		if vendor.Revokes {
			require.Equal(t, others, live(t, vendor.Name, "leased"), "the credentials of the probe have ended")
		}
		requireAccepted(t, vendor, held.Data, "the probe ends nothing that it has not created")

		last := read(t, client, mountPath+"/config/main/probe")
		require.Equal(t, report.Data["report"], last.Data["report"])
		verdicts := last.Data["verdicts"].(map[string]any)
		agrees, err := verdicts["agrees"].(json.Number).Int64()
		require.NoError(t, err)
		require.Positive(t, agrees)

		revokeLease(t, client, held.LeaseID) // the probe has used the rate limit up
	})
}
