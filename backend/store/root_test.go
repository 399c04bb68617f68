package store

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// password returns the fields of a root credential.
func password(value string) map[string]any { return map[string]any{"password": value} }

func candidateOf(value string, state CandidateState) RootCandidate {
	return RootCandidate{Fields: password(value), ConnectionID: "c-" + value, State: state}
}

// fieldsAndStates returns what identifies candidates, in their order.
func fieldsAndStates(candidates []RootCandidate) []string {
	var found []string
	for _, candidate := range candidates {
		found = append(found, candidate.Fields["password"].(string)+" "+string(candidate.State))
	}
	return found
}

func TestRootState_Text_NamesWhatIsOpen(t *testing.T) {
	require.Equal(t, "current", (&RootState{}).String())
	require.Equal(t, "current", (&RootState{Candidates: []RootCandidate{candidateOf("a", CandidateRejected)}}).String())
	require.Equal(t, "previous_not_revoked", (&RootState{Previous: json.RawMessage(`{}`)}).String())
	pending := RootState{Previous: json.RawMessage(`{}`), Candidates: []RootCandidate{candidateOf("a", CandidatePending)}}
	require.Equal(t, "in_doubt", pending.String())
}

func TestRootState_Put_ReplacesSameFieldsOrState(t *testing.T) {
	before := []RootCandidate{candidateOf("a", CandidateRejected), candidateOf("b", CandidateInvalid), candidateOf("c", CandidatePrevious)}
	state := RootState{Candidates: before}
	state.Put(candidateOf("d", CandidateRejected))
	require.Equal(t, []string{"b invalid", "c previous", "d rejected"}, fieldsAndStates(state.Candidates))
	state.Put(candidateOf("b", CandidatePending))
	require.Equal(t, []string{"c previous", "d rejected", "b pending"}, fieldsAndStates(state.Candidates))
	require.Equal(t, []string{"a rejected", "b invalid", "c previous"}, fieldsAndStates(before), "copies of a config share the list")
}

func TestRootState_ResolveInDoubt_ChangesThePendingOne(t *testing.T) {
	state := RootState{Candidates: []RootCandidate{candidateOf("a", CandidateInvalid), candidateOf("b", CandidatePending)}}
	require.True(t, state.InDoubt())
	state.ResolveInDoubt(CandidateRejected)
	require.Equal(t, []string{"a invalid", "b rejected"}, fieldsAndStates(state.Candidates))
	require.False(t, state.InDoubt())
	state.ResolveInDoubt(CandidatePrevious)
	require.Equal(t, []string{"a invalid", "b rejected"}, fieldsAndStates(state.Candidates))
}

// A request that arrives late must not set another password than the one that was proposed last.
func TestRootState_NextPending_ProposesAgain(t *testing.T) {
	for _, state := range []CandidateState{CandidateRejected, CandidatePending} {
		root := RootState{Candidates: []RootCandidate{candidateOf("x", CandidateInvalid), candidateOf("a", state)}}
		require.Equal(t, candidateOf("a", CandidatePending), root.NextPending(password("fresh")))
	}
	for _, state := range []CandidateState{CandidateInvalid, CandidatePrevious} {
		root := RootState{Candidates: []RootCandidate{candidateOf("a", state)}}
		next := root.NextPending(password("fresh"))
		require.Equal(t, password("fresh"), next.Fields)
		require.Equal(t, CandidatePending, next.State)
		require.NotEmpty(t, next.ConnectionID)
	}
}

func TestRootState_ProbeOrder_HasThePendingOneFirst(t *testing.T) {
	state := RootState{Candidates: []RootCandidate{
		candidateOf("a", CandidatePrevious), candidateOf("b", CandidatePending), candidateOf("c", CandidateRejected),
	}}
	first, last := state.ProbeOrder()
	require.Equal(t, []string{"b pending"}, fieldsAndStates(first))
	require.Equal(t, []string{"c rejected", "a previous"}, fieldsAndStates(last))
	state.ResolveInDoubt(CandidateInvalid)
	first, last = state.ProbeOrder()
	require.Equal(t, []string{"b invalid", "c rejected", "a previous"}, fieldsAndStates(first))
	require.Empty(t, last)
}

func TestRootState_HasKeptRoots_SeesCandidatesAndVault(t *testing.T) {
	require.False(t, (&RootState{}).HasKeptRoots())
	require.True(t, (&RootState{VaultManaged: true}).HasKeptRoots())
	require.True(t, (&RootState{Candidates: []RootCandidate{candidateOf("a", CandidateInvalid)}}).HasKeptRoots())
}

func TestSuppliedByOperator_OnlyVaultKnowsTheOld_KeepsIt(t *testing.T) {
	now := at(14, 12)
	old := &Config{ConnectionID: "c-old", Fields: map[string]any{"username": "admin", "password": "old", "domain": "d"}}
	supplied := map[string]any{"password": "typed", "request_timeout": 5}
	for name, test := range map[string]struct {
		root RootState
		old  *Config
		kept []string
	}{
		"only Vault knows it":   {RootState{VaultManaged: true}, old, []string{"old previous"}},
		"never verified":        {RootState{VaultManaged: true, Unverified: true}, old, nil},
		"known to the operator": {RootState{}, old, nil},
		"a new config":          {RootState{VaultManaged: true}, nil, nil},
		"a rotation in doubt":   {RootState{Candidates: []RootCandidate{candidateOf("n", CandidatePending)}}, old, []string{"n rejected"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := test.root
			root.ExpiresAt = at(30, 0)
			root.SuppliedByOperator(test.old, supplied, vendor{}, now)
			require.Equal(t, test.kept, fieldsAndStates(root.Candidates))
			require.True(t, root.Unverified)
			require.Equal(t, now, root.UpdatedAt)
			require.Zero(t, root.ExpiresAt, "the expiry of another root credential")
			if len(test.kept) == 1 && test.root.VaultManaged {
				require.Equal(t, RootCandidate{Fields: password("old"), ConnectionID: "c-old", State: CandidatePrevious}, root.Candidates[0])
			}
			root.MarkVerified()
			require.False(t, root.HasKeptRoots())
			require.False(t, root.Unverified)
		})
	}
}

// Readers go on sharing their credential after a rotation and after a change of the trust.
func TestConfig_NewConnection_KeepsTheSharingEpoch(t *testing.T) {
	config := &Config{ConnectionID: "first", RootMarker: "m", Fields: map[string]any{"username": "admin", "password": "old"}}
	trusted := config.WithTrust("PEM", "name")
	require.Equal(t, "first", trusted.SharingEpoch)
	require.NotEqual(t, "first", trusted.ConnectionID)
	require.Equal(t, "PEM name", trusted.CACert+" "+trusted.TLSServerName)
	require.Equal(t, "first", trusted.WithTrust("", "").SharingEpoch)

	rotated := config.WithRoot(candidateOf("new", CandidatePending), at(2, 0))
	require.Equal(t, "first", rotated.SharingEpoch)
	require.Equal(t, "c-new", rotated.ConnectionID)
	require.Equal(t, map[string]any{"username": "admin", "password": "new"}, rotated.Fields)
	require.Empty(t, rotated.RootMarker)
	require.Equal(t, "first", rotated.WithRoot(candidateOf("newer", CandidatePending), at(3, 0)).SharingEpoch)
	require.Equal(t, "old", config.Fields["password"], "the config that was copied is unchanged")
}

func TestReplacedInPlace_EveryState_KeepsWhatMayReturn(t *testing.T) {
	now := at(14, 12)
	for name, test := range map[string]struct {
		unverified bool
		candidates []RootCandidate
		to         CandidateState
		kept       []string
		rotated    bool
	}{
		"a rotation": {false, []RootCandidate{candidateOf("new", CandidatePending)}, CandidatePending, []string{"old previous"}, true},
		"a second rotation": {
			false, []RootCandidate{candidateOf("older", CandidatePrevious), candidateOf("new", CandidatePending)}, CandidatePending,
			[]string{"old previous"}, true,
		},
		"the device returned": {
			false, []RootCandidate{candidateOf("x", CandidatePending), candidateOf("new", CandidatePrevious)}, CandidatePrevious,
			[]string{"x rejected", "old previous"}, false,
		},
		"a root that was never verified": {true, nil, CandidatePending, []string{"old previous"}, true},
		"never verified, with an accepted one": {
			true, []RootCandidate{candidateOf("good", CandidatePrevious)}, CandidatePending, []string{"good previous"}, true,
		},
		"never verified, with a rejected one": {
			true, []RootCandidate{candidateOf("bad", CandidateRejected)}, CandidatePending, []string{"bad rejected", "old previous"}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := &Config{ConnectionID: "c-old", Fields: password("old"), Root: RootState{Unverified: test.unverified, Candidates: test.candidates}}
			next := config.ReplacedInPlace(candidateOf("new", test.to), now)
			require.Equal(t, test.kept, fieldsAndStates(next.Root.Candidates))
			require.Equal(t, test.rotated, next.Root.RotatedAt.Equal(now))
			require.True(t, next.Root.VaultManaged)
			require.True(t, next.Root.RecheckCredentials)
			require.False(t, next.Root.Unverified)
			require.Equal(t, password("new"), next.Fields)
		})
	}
}

func TestRootIntents_PutAndClear_ConcernOneMarker(t *testing.T) {
	storage, s := &logical.InmemStorage{}, New()
	first, second := RootIntent{Marker: "a", At: at(1, 0)}, RootIntent{Marker: "b", At: at(2, 0), Replaced: true}
	require.NoError(t, s.PutRootIntent(t.Context(), storage, "edge", first))
	require.NoError(t, s.PutRootIntent(t.Context(), storage, "edge", second))
	intents, err := s.RootIntents(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, []RootIntent{first, second}, intents)
	require.NoError(t, s.ClearRootIntent(t.Context(), storage, "edge", "a"))
	intents, err = s.RootIntents(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, []RootIntent{second}, intents)
	names, err := s.RootIntentConfigs(t.Context(), storage)
	require.NoError(t, err)
	require.Equal(t, []string{"edge"}, names)
	require.NoError(t, s.ClearRootIntent(t.Context(), storage, "edge", "b"))
	names, err = s.RootIntentConfigs(t.Context(), storage)
	require.NoError(t, err)
	require.Empty(t, names, "an empty record is deleted")
}

func TestRootIntents_EveryStorageFailure_IsReported(t *testing.T) {
	s := New()
	for name, act := range map[string]func(context.Context, logical.Storage) error{
		"put": func(ctx context.Context, storage logical.Storage) error {
			return s.PutRootIntent(ctx, storage, "edge", RootIntent{})
		},
		"clear": func(ctx context.Context, storage logical.Storage) error {
			return s.ClearRootIntent(ctx, storage, "edge", "a")
		},
		"list": func(ctx context.Context, storage logical.Storage) error {
			_, err := s.RootIntentConfigs(ctx, storage)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			requireEveryFailureReported(t, func(storage logical.Storage) {
				require.NoError(t, s.PutRootIntent(t.Context(), storage, "edge", RootIntent{Marker: "a"}))
			}, act)
		})
	}
}

func TestRootIntent_InProgress_EndsAfterTheLongestRequest(t *testing.T) {
	intent := RootIntent{At: at(1, 0)}
	require.True(t, intent.InProgress(at(1, 0).Add(90*time.Second)), "a request of Vault lasts up to 90 seconds")
	require.False(t, intent.InProgress(at(1, 1)))
}

func TestOrigin_EveryAddressField_IsPartOfIt(t *testing.T) {
	config := &Config{Vendor: "v", Address: "a.example", Fields: map[string]any{"api_address": "b.example", "password": "p"}}
	origin := config.Origin(vendor{})
	same := *config
	same.Address, same.Fields = "https://A.example/", map[string]any{"api_address": "b.example", "password": "other"}
	require.Equal(t, origin, same.Origin(vendor{}), "another spelling and another password are the same place")
	require.NoError(t, config.CheckOrigin(vendor{}, origin))
	for _, changed := range []Config{
		{Vendor: "w", Address: "a.example", Fields: config.Fields},
		{Vendor: "v", Address: "c.example", Fields: config.Fields},
		{Vendor: "v", Address: "a.example", Fields: map[string]any{"api_address": "c.example"}},
		{Vendor: "v", Address: "a.example", Fields: map[string]any{"login_address": "b.example"}},
	} {
		require.NotEqual(t, origin, changed.Origin(vendor{}))
		require.Equal(t, provider.ClassInvalid, provider.ClassOf(changed.CheckOrigin(vendor{}, origin)))
	}
	require.Equal(t, provider.ClassInvalid, provider.ClassOf(config.CheckOrigin(nil, origin)), "the vendor of the config is unknown")
}

func TestAllowsRole_NamesAndPatterns_AreCaseSensitive(t *testing.T) {
	require.True(t, (&Config{}).AllowsRole("edge"), "without a list, all may")
	require.False(t, (&Config{AllowedRoles: []string{}}).AllowsRole("edge"), "an empty list allows none")
	config := &Config{AllowedRoles: []string{"admin", "edge-*"}}
	require.True(t, config.AllowsRole("admin"))
	require.True(t, config.AllowsRole("edge-1"))
	require.False(t, config.AllowsRole("Admin"))
	require.False(t, config.AllowsRole("edge"))
}

// Only a rotation that was refused or in doubt may still change the root credential at the vendor.
func TestMarkAccepted_UnverifiedRoot_KeepsLateCandidates(t *testing.T) {
	rejected := RootCandidate{Fields: map[string]any{"password": "next"}, State: CandidateRejected}
	previous := RootCandidate{Fields: map[string]any{"password": "before"}, State: CandidatePrevious}
	root := RootState{VaultManaged: true, Unverified: true, Candidates: []RootCandidate{previous, rejected}}
	shared := root
	require.True(t, root.MarkAccepted())
	require.Equal(t, RootState{Candidates: []RootCandidate{rejected}}, root)
	require.Equal(t, []RootCandidate{previous, rejected}, shared.Candidates, "configs are copied")
	require.False(t, root.MarkAccepted(), "it is known")

	for _, other := range []RootState{
		{VaultManaged: true},
		{VaultManaged: true, Unverified: true, Candidates: []RootCandidate{{State: CandidatePending}}},
	} {
		unchanged := other
		require.False(t, other.MarkAccepted())
		require.Equal(t, unchanged, other)
	}
}
