package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// The golden files pin the layout of the stored records: a change of it needs a new schema version.
func TestRecords_StoredLayout_IsPinned(t *testing.T) {
	for file, record := range map[string]any{
		"config_v1.json": &Config{
			Version: 1, Vendor: "ftd", UID: "I", ConnectionID: "G", SharingEpoch: "S", Revision: "R", Retired: true,
			RootMarker: "vault-abcdefgh-config-edge-id",
			Address:    "https://firewall.example", CACert: "PEM", TLSServerName: "firewall.example", TLSSkipVerify: true,
			RequestTimeout: 30 * time.Second, MaxRetries: 2, MaxCredentials: 3, RequestsPerMinute: 450, CustomMetadata: map[string]string{"owner": "netsec"},
			AllowedRoles: []string{"edge-*"}, TrustID: "T", RootReplacedAt: time.Date(2026, 1, 2, 3, 4, 3, 0, time.UTC),
			Fields: map[string]any{"username": "admin", "password": "secret"},
			AutomatedRotation: AutomatedRotation{
				RotationPeriod: 24 * time.Hour, RotationSchedule: "0 3 * * 0", RotationWindow: time.Hour, DisableAutomatedRotation: true,
				RotationSetAt: time.Date(2026, 1, 1, 3, 4, 5, 0, time.UTC),
			},
			Root: RootState{
				UpdatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), RotatedAt: time.Date(2026, 1, 2, 3, 4, 4, 0, time.UTC),
				ExpiresAt: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), RecheckCredentials: true, Previous: json.RawMessage(`{"v":1}`),
				VaultManaged: true, Unverified: true, Candidates: []RootCandidate{{Fields: map[string]any{"password": "next"}, ConnectionID: "N", State: CandidateRejected}},
			},
		},
		"heartbeat_v1.json": &Heartbeat{
			Version: 1, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), GapAt: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC),
		},
		"role_v1.json": &Role{
			Version: 1, Config: "edge", Vendor: "lacework", TTL: 15 * time.Minute, MaxTTL: time.Hour,
			Sharing: "shared", MaxWait: 30 * time.Second, MaxCredentials: 2, Revision: "R",
			Fields: map[string]any{"subaccount": "emea"},
		},
	} {
		golden, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		encoded, err := json.Marshal(record)
		require.NoError(t, err)
		require.JSONEq(t, string(golden), string(encoded), file)
	}
}

func TestRotationDue_UpdatedAt_DecidesByThePeriod(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		updatedAt time.Time
		due       bool
	}{
		"just updated":                      {now, false},
		"updated a period ago":              {now.Add(-25 * time.Hour), true},
		"updated by a clock that was ahead": {now.Add(365 * 24 * time.Hour), true},
		"updated two years ago":             {now.Add(-2 * 365 * 24 * time.Hour), true},
		"never recorded":                    {time.Time{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			config := &Config{AutomatedRotation: AutomatedRotation{RotationPeriod: 24 * time.Hour}, Root: RootState{UpdatedAt: test.updatedAt}}
			require.Equal(t, test.due, config.RotationDue(now))
			config.Retired = true
			require.False(t, config.RotationDue(now))
			config.Retired, config.RotationPeriod = false, 0
			require.False(t, config.RotationDue(now), "a config without a period")
		})
	}
}
