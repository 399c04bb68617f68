package pool

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// limitOf returns the limit of a root credential in requests per minute, zero without one.
func limitOf(p *pacers, root rootKey) int {
	limit := p.get(root, 0).limiter.Limit()
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
		{"one is deleted", func() { p.keep(func(name string) bool { return name != "a" }) }, 90},
		{"the last is deleted", func() { p.keep(func(string) bool { return false }) }, 90},
		{"a new one", func() { p.setLimit("e", root, 0) }, 0},
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
