package pool

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// limitOf returns the limit of a root credential that is known, in requests per minute, zero without one.
func limitOf(p *pacers, root rootKey) int {
	limit := p.byRoot[root].limiter.Limit()
	if limit == rate.Inf {
		return 0
	}
	return int(limit*60 + 0.5)
}

func TestPacers_SharedRoot_SmallestLimitCounts(t *testing.T) {
	p, root, other := newPacers(providertest.NewClock()), keyOf(1), keyOf(2)
	for _, step := range []struct {
		does  string
		act   func()
		limit int
	}{
		{"the first config", func() { p.setLimit("a", root, 0) }, 0},
		{"one with a limit", func() { p.setLimit("b", root, 60) }, 60},
		{"the first again", func() { p.setLimit("a", root, 0) }, 60},
		{"a higher limit", func() { p.setLimit("c", root, 90) }, 60},
		{"a smaller one", func() { p.setLimit("a", root, 30) }, 30},
		{"a smaller limit elsewhere", func() { p.setLimit("d", other, 10) }, 30},
		{"one that is not stored", func() { p.get(root, 5) }, 30},
		{"a raised one", func() { p.setLimit("a", root, 70) }, 60},
		{"one leaves for another root credential", func() {
			p.setLimit("b", other, 20)
			require.Equal(t, 10, limitOf(p, other))
		}, 70},
		{"one is deleted", func() { p.forget("a") }, 90},
		{"the last is deleted", func() { p.forget("c") }, 90},
		{"an unknown one is deleted", func() { p.forget("c") }, 90},
		{"one that is not stored, without others", func() { p.get(root, 5) }, 5},
		{"one that was refused comes again", func() { p.get(root, 0) }, 0},
		{"a new one", func() { p.setLimit("e", root, 80) }, 80},
		{"it is deleted", func() { p.forget("e") }, 80},
		{"the next one", func() { p.setLimit("f", root, 0) }, 0},
	} {
		step.act()
		require.Equal(t, step.limit, limitOf(p, root), step.does)
	}
}

func TestPacers_ManyRoots_StayBounded(t *testing.T) {
	p := newPacers(providertest.NewClock())
	busy := p.get(keyOf(0), 60)
	for range int(burst.Seconds()) {
		require.NoError(t, busy.wait(t.Context(), priorityIssue))
	}
	p.setLimit("stored", keyOf(1), 60)
	stored := p.get(keyOf(1), 0)
	idle := p.get(keyOf(2), 60)
	for i := range maxRoots - 3 {
		p.get(keyOf(3+i), 60)
	}
	require.Len(t, p.byRoot, maxRoots)
	require.Same(t, idle, p.get(keyOf(2), 60), "there is room for all")
	p.get(keyOf(maxRoots), 60)
	require.Len(t, p.byRoot, 3, "the new one, and what is not idle")
	require.Same(t, busy, p.get(keyOf(0), 60), "a bucket that is not full is kept")
	require.Same(t, stored, p.get(keyOf(1), 60), "a stored config's is kept")
}

func TestPacers_Waiting_CountsTheQueue(t *testing.T) {
	q := newQueue(t)
	p := newPacers(q.clock)
	p.setLimit("a", keyOf(1), 60)
	require.Zero(t, p.waiting(keyOf(1)))
	require.Zero(t, p.waiting(keyOf(2)), "it is not known")
	p.byRoot[keyOf(1)].pacer = q.pacer
	q.add(t.Context(), "waits", priorityIssue)
	require.Equal(t, 1, p.waiting(keyOf(1)))
}

// storedConfigs is what the storage holds: an operation on the pool meets each state in turn, and the last one again.
type storedConfigs struct {
	states []*store.Config
	err    error
}

func (s *storedConfigs) read(context.Context, logical.Storage, string) (*store.Config, error) {
	if s.err != nil {
		return nil, s.err
	}
	state := s.states[0]
	if len(s.states) > 1 {
		s.states = s.states[1:]
	}
	return state, nil
}

// limited returns a config with a limit, and its revision.
func limited(perMinute int) *store.Config {
	config := present()
	config.RequestsPerMinute, config.Revision = perMinute, strconv.Itoa(perMinute)
	return config
}

func TestRefreshLimit_StoredAgain_LastStateCounts(t *testing.T) {
	stored := &storedConfigs{}
	p, _ := newOpenPool(Options{Stored: stored.read})
	root := p.auth.pacedOf(present())
	p.pacers.setLimit("other", root, 90)
	for _, step := range []struct {
		name   string
		states []*store.Config
		err    error
		limit  int
	}{
		{"stored", []*store.Config{limited(60)}, nil, 60},
		{"the storage fails", nil, errors.New("sealed"), 60},
		{"written again", []*store.Config{limited(60), limited(50), limited(40)}, nil, 40},
		{"deleted at the same time", []*store.Config{limited(60), nil}, nil, 90},
		{"created at the same time", []*store.Config{nil, limited(30)}, nil, 30},
		{"deleted", []*store.Config{nil}, nil, 90},
	} {
		stored.states, stored.err = step.states, step.err
		p.RefreshLimit(t.Context(), nil, "edge")
		require.Equal(t, step.limit, limitOf(p.pacers, root), step.name)
	}
}

// A write that was overtaken must not leave the limit of the config that it replaced, or its own.
func TestSwap_ConfigWasStoredAgain_KeepsTheLaterLimit(t *testing.T) {
	stored := &storedConfigs{states: []*store.Config{limited(60)}}
	p, _ := newOpenPool(Options{Stored: stored.read})
	p.Swap(t.Context(), nil, "edge", limited(10), limited(20), &fakeConnection{})
	require.Equal(t, 60, limitOf(p.pacers, p.auth.pacedOf(present())))
	stored.states = []*store.Config{limited(30), limited(30), nil}
	p.Swap(t.Context(), nil, "edge", limited(10), limited(30), &fakeConnection{})
	require.Empty(t, p.pacers.rootOf, "it was deleted at the same time")
}

// An overtaken write must not open the previous connection either: requests would pass at its limit.
func TestSwap_ConfigWasStoredAgain_OpensNothing(t *testing.T) {
	stored := &storedConfigs{states: []*store.Config{limited(60)}}
	p, opened := newOpenPool(Options{Stored: stored.read})
	p.Swap(t.Context(), nil, "edge", nil, limited(60), &fakeConnection{})
	before := p.open["edge"]
	p.Swap(t.Context(), nil, "edge", limited(10), limited(20), &fakeConnection{})
	require.Same(t, before, p.open["edge"])
	require.Nil(t, opened.Guard)
	require.Empty(t, opened.Name)
}

// The write's client may hang up once the config is stored.
func TestRefreshLimit_RequestEnded_IsApplied(t *testing.T) {
	p, _ := newOpenPool(Options{Stored: func(ctx context.Context, _ logical.Storage, _ string) (*store.Config, error) {
		return limited(60), ctx.Err()
	}})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p.RefreshLimit(ended, nil, "edge")
	require.Equal(t, 60, limitOf(p.pacers, p.auth.pacedOf(present())))
	next := &fakeConnection{}
	p.Swap(ended, nil, "edge", nil, limited(60), next)
	require.Same(t, next, p.open["edge"].Connection)
}

// A config can be created between the listing of the configs and the look at their limits.
func TestKeepLimits_NotListed_IsLookedUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		stored *store.Config
		exists bool
		limit  int
	}{
		{"deleted", nil, false, 90},
		{"created since the listing", limited(60), false, 60},
		{"listed", nil, true, 60},
	} {
		p, _ := newOpenPool(Options{Stored: (&storedConfigs{states: []*store.Config{test.stored}}).read})
		p.setLimit("edge", limited(60))
		p.setLimit("other", limited(90))
		p.KeepLimits(t.Context(), nil, func(name string) bool { return name == "other" || test.exists })
		require.Equal(t, test.limit, limitOf(p.pacers, p.auth.pacedOf(present())), test.name)
	}
}

// Another node has stored the config or its login again. Without the limit, all requests that wait would be sent at once.
func TestDetach_OfAConfig_KeepsItsLimit(t *testing.T) {
	p, _ := newOpenPool(Options{})
	p.setLimit("edge", limited(60))
	p.setLimit("other", limited(0))
	p.Detach("edge")
	require.Equal(t, 60, limitOf(p.pacers, p.auth.pacedOf(present())))
}

// A config keeps its connection when an address gets another spelling.
func TestPacers_SameAddressSpelledAgain_SamePacer(t *testing.T) {
	p, _ := newOpenPool(Options{})
	for _, vendor := range []string{"vendor", "plain"} {
		config, other := present(), present()
		config.Vendor, other.Vendor = vendor, vendor
		config.Fields["login_address"], other.Fields["login_address"] = "a.example", "https://A.example:443/"
		require.Equal(t, vendor == "vendor", p.auth.pacedOf(config) == p.auth.pacedOf(other), "the vendor knows that it is an address")
		require.Equal(t, "a.example", config.Fields["login_address"], "the config is not changed")
		other.Fields["login_address"] = "b.example"
		require.NotEqual(t, p.auth.pacedOf(config), p.auth.pacedOf(other))
		delete(other.Fields, "login_address")
		require.NotEqual(t, p.auth.pacedOf(config), p.auth.pacedOf(other))
	}
}

// The pacer of a config that is not stored yet makes room for others. Its connection must not keep it: the config may be
// stored afterwards.
func TestGuard_PacerMadeRoom_LooksItUpAgain(t *testing.T) {
	p, opened := newOpenPool(Options{})
	_, err := p.Open(nil, "edge", limited(60))
	require.NoError(t, err)
	for i := range maxRoots {
		p.pacers.get(keyOf(i), 0)
	}
	root := p.auth.pacedOf(present())
	require.NotContains(t, p.pacers.byRoot, root)
	p.setLimit("edge", limited(60))
	require.NoError(t, opened.Guard.Pace(t.Context(), "a.example:443"))
	require.InDelta(t, 5, p.pacers.byRoot[root].limiter.TokensAt(p.options.Clock.Now()), 0.01)
}
