package fortisiem_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// check runs a check that must succeed.
func (a *appliance) check(connection provider.Connection) *provider.CheckResult {
	a.T.Helper()
	result, err := connection.Check(a.T.Context())
	require.NoError(a.T, err)
	return result
}

func TestSpareToken_AfterCheck_IsFirstCredential(t *testing.T) {
	for name, restarts := range map[string]bool{"same process": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, "single_issue", "yes")
			store := &providertest.Sessions{}
			connection := a.openKeeping(store, nil)
			result := a.check(connection)
			require.Len(t, result.Warnings, 1)
			require.Contains(t, result.Warnings[0], "which the next read gets")
			if restarts {
				connection = a.openKeeping(store, nil)
			}
			a.Clock.Advance(time.Minute)
			credential := a.issue(connection)
			require.Equal(t, "Bearer", credential.TokenType)
			require.Equal(t, []int{200}, a.statuses("oauth_token"))
			require.WithinDuration(t, a.Clock.Now().Add(14*time.Minute), credential.ExpiresAt, 2*time.Second)
			require.Empty(t, store.Saved(), "the token is leased only once")
			failure := a.refused(connection)
			require.Contains(t, failure.Remedy, "sharing=shared")
			require.Contains(t, a.refused(a.openKeeping(store, nil)).Remedy, "sharing=shared")
		})
	}
}

func TestSpareToken_ConcurrentReads_OneGetsIt(t *testing.T) {
	a := newAppliance(t)
	connection := a.openKeeping(&providertest.Sessions{}, nil)
	a.check(connection)
	a.Set("token_interval", "0s") // the clock of these tests moves with each wait
	tokens := make([]string, 4)
	var group errgroup.Group
	for i := range tokens {
		group.Go(func() error {
			credential, err := connection.Issue(t.Context(), request)
			if err == nil {
				tokens[i] = credential.Token
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	seen := map[string]bool{}
	for _, token := range tokens {
		require.False(t, seen[token])
		seen[token] = true
	}
	require.Len(t, a.statuses("oauth_token"), 4)
}

func TestSpareToken_TooShort_IsLastResort(t *testing.T) {
	for single, want := range map[string][]int{"no": {200, 200}, "yes": {200, 400}} {
		a := newAppliance(t, "single_issue", single)
		connection := a.openKeeping(&providertest.Sessions{}, nil)
		a.check(connection)
		a.Clock.Advance(10 * time.Minute) // of 15
		credential := a.issue(connection)
		require.Equal(t, want, a.statuses("oauth_token"))
		require.Equal(t, single == "yes", len(credential.Warnings) == 1, "the lease is shorter than requested")
	}
}

func TestSpareToken_RemainingLife_DecidesIfItIsLeased(t *testing.T) {
	for name, c := range map[string]struct {
		remaining, lifetime time.Duration
		leased              bool
	}{
		"as long as requested":      {5 * time.Minute, 5 * time.Minute, true},
		"shorter than requested":    {5*time.Minute - 1, 5 * time.Minute, false},
		"half of a new token":       {7*time.Minute + 30*time.Second, 10 * time.Minute, true},
		"less than half":            {7*time.Minute + 29*time.Second, 10 * time.Minute, false},
		"a second, for as long":     {time.Second, time.Second, true},
		"half a second, for longer": {time.Second / 2, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			connection := a.openKeeping(&providertest.Sessions{}, nil)
			checked := a.check(connection)
			a.Clock.Set(checked.Issued.ExpiresAt.Add(-c.remaining))
			credential, err := connection.Issue(t.Context(), provider.IssueRequest{Marker: "vault-1", Lifetime: c.lifetime})
			require.NoError(t, err)
			require.Equal(t, c.leased, credential.Token == checked.Issued.Token)
		})
	}
}

// A token of one second is better than none. The lease of a shorter one could not be used.
func TestSpareToken_LastSecond_IsUsedForLackOfOthers(t *testing.T) {
	for remaining, used := range map[time.Duration]bool{time.Second: true, time.Second - 1: false} {
		a := newAppliance(t, "single_issue", "yes")
		connection := a.openKeeping(&providertest.Sessions{}, nil)
		checked := a.check(connection)
		a.Clock.Set(checked.Issued.ExpiresAt.Add(-remaining))
		again, err := connection.Check(t.Context())
		require.Equal(t, used, err == nil, "%v", err)
		if used {
			require.Contains(t, again.Warnings[0], "issued no other access token")
		}

		a = newAppliance(t, "single_issue", "yes")
		connection = a.openKeeping(&providertest.Sessions{}, nil)
		checked = a.check(connection)
		a.Clock.Set(checked.Issued.ExpiresAt.Add(-remaining))
		credential, err := connection.Issue(t.Context(), request)
		require.Equal(t, used, err == nil, "%v", err)
		if used {
			require.Equal(t, checked.Issued.Token, credential.Token)
		}
	}
}

func TestLogout_SpareTokenEnded_IsNotRevoked(t *testing.T) {
	for remaining, revocations := range map[time.Duration]int{time.Second: 1, time.Second - 1: 0, -time.Second: 0} {
		a := newAppliance(t, "revoke_route", "yes")
		store := &providertest.Sessions{}
		connection := a.openKeeping(store, map[string]any{"revoke_url": a.Address() + revokePath})
		checked := a.check(connection)
		a.Clock.Set(checked.Issued.ExpiresAt.Add(-remaining))
		before := a.Requested()
		require.NoError(t, connection.Logout(t.Context()))
		require.Equal(t, revocations, a.Requested()-before, remaining)
		require.Empty(t, store.Saved())
	}
}

func TestSpareToken_Unusable_IsReplaced(t *testing.T) {
	for name, prepare := range map[string]func(a *appliance, store *providertest.Sessions) (changes map[string]any){
		"expired": func(a *appliance, _ *providertest.Sessions) map[string]any {
			a.Clock.Advance(15 * time.Minute)
			return nil
		},
		"ended":      func(a *appliance, _ *providertest.Sessions) map[string]any { a.Act("reset_secret"); return nil },
		"no JSON":    func(_ *appliance, store *providertest.Sessions) map[string]any { store.Put([]byte("{")); return nil },
		"no version": func(_ *appliance, store *providertest.Sessions) map[string]any { store.Put([]byte("{}")); return nil },
		"of another client": func(a *appliance, _ *providertest.Sessions) map[string]any {
			made := a.Act("create_client")
			return map[string]any{"client_id": made["client_id"], "client_secret": made["client_secret"]}
		},
		"not readable": func(_ *appliance, store *providertest.Sessions) map[string]any {
			store.Fail(errors.New("sealed"))
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t, "resetting_secret_kills_tokens", "yes")
			store := &providertest.Sessions{}
			a.check(a.openKeeping(store, nil))
			changes := prepare(a, store)
			a.Clock.Advance(10 * time.Second) // another connection does not know when the check sent its request
			if name == "ended" {
				require.Equal(t, provider.ClassUnauthenticated, a.refused(a.openKeeping(store, changes)).Class)
				require.Empty(t, store.Saved())
				return
			}
			a.issue(a.openKeeping(store, changes))
			require.Equal(t, []int{200, 200}, a.statuses("oauth_token"))
		})
	}
}

func TestSpareToken_NotRemoved_IsNotLeased(t *testing.T) {
	a := newAppliance(t)
	store := &providertest.Sessions{}
	connection := a.openKeeping(store, nil)
	a.check(connection)
	store.Fail(errors.New("sealed"))
	a.issue(connection)
	require.Equal(t, []int{200, 200}, a.statuses("oauth_token"), "it could be leased again after a restart")
}

func TestCheck_Repeated_KeepsOneSpareToken(t *testing.T) {
	a := newAppliance(t, "revoke_route", "yes")
	store := &providertest.Sessions{}
	connection := a.openKeeping(store, map[string]any{"revoke_url": a.Address() + revokePath})
	for range 3 {
		a.check(connection)
		require.Equal(t, 1, a.Live(emulator.KindLeased))
	}
	require.NoError(t, connection.Logout(t.Context()))
	require.Zero(t, a.Live(emulator.KindLeased))
	require.Empty(t, store.Saved())
}

func TestCheck_SingleIssue_UsesSpareToken(t *testing.T) {
	a := newAppliance(t, "single_issue", "yes")
	store := &providertest.Sessions{}
	connection := a.openKeeping(store, nil)
	first := a.check(connection)
	again := a.check(connection)
	require.Equal(t, first.Details, again.Details)
	require.Equal(t, first.Identity, again.Identity)
	require.Contains(t, again.Warnings[0], "issued no other access token")
	a.issue(connection)
	_, err := connection.Check(t.Context())
	require.Equal(t, provider.ClassInvalid, refusal(t, err).Class)
}

func TestCheck_TokenNotStored_IsReported(t *testing.T) {
	a := newAppliance(t)
	store := &providertest.Sessions{}
	store.Fail(errors.New("sealed"))
	result := a.check(a.openKeeping(store, nil))
	require.Len(t, result.Warnings, 1)
	require.Contains(t, result.Warnings[0], "not leased")
}

func TestLogout_SpareTokenNotRevoked_IsError(t *testing.T) {
	a := newAppliance(t)
	store := &providertest.Sessions{}
	connection := a.openKeeping(store, map[string]any{"revoke_url": a.Address() + revokePath})
	a.check(connection)
	require.Equal(t, "revoke_url", refusal(t, connection.Logout(t.Context())).Field)
	require.NotEmpty(t, store.Saved(), "for another attempt")
}

func TestIssue_SpareNames_AreUnderstood(t *testing.T) {
	for _, form := range []string{"jwt", "opaque"} {
		for _, unit := range []string{"auto", "seconds"} {
			a := newAppliance(t, "answer_names", "spare", "token_form", form)
			credential := a.issue(a.open(map[string]any{"expires_in_unit": unit}))
			require.WithinDuration(t, a.Clock.Now().Add(15*time.Minute), credential.ExpiresAt, 2*time.Second, "expiresIn is in minutes")
		}
	}
}
