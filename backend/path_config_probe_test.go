package backend

import (
	"maps"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// runProbe probes the product of a config that was made by configure, with the role of the same name.
func (m *mount) runProbe(vendor string) map[string]any {
	m.t.Helper()
	return m.must(logical.UpdateOperation, "config/"+vendor+"/probe", map[string]any{"confirm": vendor, "role": vendor}).Data
}

// probeRow returns the row of a step or a fact, or nil.
func probeRow(report map[string]any, step, fact string) map[string]any {
	for _, row := range report["steps"].([]any) {
		row := row.(map[string]any)
		if row["step"] == step && row["fact"] == fact {
			return row
		}
	}
	return nil
}

func TestProbe_EmulatorDefaults_AgreeWithTheContract(t *testing.T) {
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits()
			m.writeConfig(vendor.Name, map[string]any{"verify_connection": false})
			role := map[string]any{"config": vendor.Name}
			maps.Copy(role, vendor.Role)
			m.must(logical.UpdateOperation, "roles/"+vendor.Name, role)
			report := m.runProbe(vendor.Name)
			t.Log(report["report"])
			require.Equal(t, "complete", report["state"])
			for _, row := range report["steps"].([]any) {
				row := row.(map[string]any)
				assert.NotEqual(t, "differs", row["verdict"], "%v", row)
				assert.NotEqual(t, "not_observed", row["verdict"], "%v", row)
			}
			assert.Equal(t, "accepted", probeRow(report, provider.StepUse, "")["observed"])
		})
	}
}
