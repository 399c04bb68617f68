package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// bytesPerEntry is what the index may take of memory for each entry.
const bytesPerEntry = 200

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestIndex_HundredThousandEntries_AreSmall(t *testing.T) {
	const entries = 100_000
	storage := &logical.InmemStorage{}
	fill(t, storage, "edge", entries, func(i int, entry *Entry) {
		entry.CreatedAt = start.Add(time.Duration(i) * time.Millisecond)
		entry.ExpiresAt = entry.CreatedAt.Add(time.Hour)
	})
	before := heapInUse()
	l := newLedger()
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, entries, used)
	size := int(heapInUse()-before) / entries
	t.Logf("%d bytes an entry", size)
	require.LessOrEqual(t, size, bytesPerEntry)
	runtime.KeepAlive(l)
	runtime.KeepAlive(storage)
}

// Once it is loaded, no count reads storage, at any size.
func TestIndex_Loaded_CountsReadNoStorage(t *testing.T) {
	for _, entries := range []int{10, 3000} {
		storage := storagetest.Wrap(&logical.InmemStorage{})
		fill(t, storage, "edge", entries, nil)
		l := newLedger()
		_, err := l.Used(t.Context(), storage, "edge")
		require.NoError(t, err)
		reads := storage.Count(storagetest.Get, storagetest.List)
		for i := range 20 {
			_, err = l.Reserve(t.Context(), storage, intent(fmt.Sprint(i), entries))
			_, full := errors.AsType[*LimitError](err)
			require.True(t, full)
			_, err = l.Stats(t.Context(), storage, "edge")
			require.NoError(t, err)
			_, err = l.Due(t.Context(), storage, "edge")
			require.NoError(t, err)
		}
		require.Equal(t, reads, storage.Count(storagetest.Get, storagetest.List))
	}
}

// entryModel counts the entries of a config one by one.
type entryModel map[string]Entry

func (m entryModel) check(t *testing.T, l *Ledger, storage logical.Storage, now time.Time) {
	t.Helper()
	want, byRole, failing, inUse := 0, map[string]int{}, 0, 0
	var since time.Time
	states := map[State]int{}
	for _, entry := range m {
		states[entry.State]++
		if entry.Attempts > 0 {
			failing++
			first := entry.FailingSince
			if first.IsZero() {
				first = entry.CreatedAt
			}
			since = earlier(since, first)
		}
		if !entry.Check {
			inUse++
		}
		if entry.OccupiesSlot(now) {
			want++
			byRole[entry.Role]++
		}
	}
	stats, err := l.Stats(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, Stats{Total: len(m), ByState: states, Used: want, InUse: inUse, Failing: failing, FailingSince: since}, stats)
	x := l.index("edge")
	for _, role := range []string{"a", "b"} {
		require.Equal(t, byRole[role], x.usedBy(role), role)
	}
	for id, entry := range m {
		known, ok := l.Peek("edge", id)
		require.True(t, ok)
		require.Equal(t, entry.summary(), known)
	}
	var due []string
	for id, entry := range m {
		if at := testSchedule(&entry); !at.At.After(now) || now.Before(at.NotBefore) {
			due = append(due, id)
		}
	}
	listed, err := l.Due(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Subset(t, listed, due)
	listed, err = l.Due(t.Context(), storage, "edge") // the first one may have found out that an entry of the future has gone
	require.NoError(t, err)
	if !slices.ContainsFunc(due, func(id string) bool { return now.Before(testSchedule(new(m[id])).NotBefore) }) {
		require.ElementsMatch(t, due, listed, "without an entry of the future, no more than that")
	}
}

func testSchedule(entry *Entry) Schedule {
	return Schedule{At: entry.LeaseExpiresAt, NotBefore: entry.CreatedAt.Add(-time.Minute)}
}

// random changes an entry in any way that the engine can.
func (m entryModel) random(r *rand.Rand, id string, now time.Time) Entry {
	entry, known := m[id]
	if !known {
		entry = Entry{Version: 1, ID: id, Config: "edge", Marker: "vault-x-" + id, CreatedAt: now}
	}
	entry.Role = []string{"a", "b"}[r.IntN(2)]
	entry.Origin = []string{"", "o1", "o2"}[r.IntN(3)]
	entry.ShareKey = []string{"", "k1", "k2"}[r.IntN(3)]
	entry.State = states[r.IntN(len(states)-1)]
	entry.ExpiresAt = now.Add(time.Duration(r.IntN(200)-50) * time.Minute)
	entry.LeaseExpiresAt = now.Add(time.Duration(r.IntN(200)-50) * time.Minute)
	entry.ExpiryNotEnforced, entry.SlotReleased = r.IntN(4) == 0, r.IntN(4) == 0
	entry.Attempts, entry.LastError = r.IntN(2), []string{"", "no answer"}[r.IntN(2)]
	entry.Revision++
	entry.Check, entry.FailingSince = r.IntN(4) == 0, []time.Time{{}, now}[r.IntN(2)]
	if r.IntN(5) == 0 {
		entry.Marker = "another-" + id + "-name"
	}
	return entry
}

// The counters and heaps agree with a count one by one, after any changes and after jumps of the clock in both directions.
func TestIndex_RandomChanges_CountsAreExact(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	l := New(Options{Now: clock.Now, Schedule: testSchedule})
	_, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	model := entryModel{}
	for range 3000 {
		id := fmt.Sprintf("id%02d", r.IntN(40))
		switch r.IntN(5) {
		case 0:
			clock.Advance(time.Duration(r.IntN(120)-50) * time.Minute)
		case 1:
			require.NoError(t, l.Remove(t.Context(), storage, "edge", id))
			delete(model, id)
		default:
			model[id] = model.random(r, id, clock.Now())
			l.index("edge").set(new(model[id]))
		}
		model.check(t, l, storage, clock.Now())
	}
	for id := range model {
		require.NoError(t, l.Remove(t.Context(), storage, "edge", id))
	}
	x := l.index("edge")
	require.Empty(t, x.groups)
	require.Empty(t, x.roles)
	require.Empty(t, x.byShareKey)
	require.Zero(t, x.occupied+x.checks+len(x.failing)+len(x.expiring.records)+len(x.expired.records)+len(x.dueHeap.records))
}

func TestPage_Filters_WalkAllEntriesOnce(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	fill(t, storage, "edge", 25, func(i int, entry *Entry) {
		entry.Requester = requester
		if i%5 == 0 {
			entry.Role, entry.State = "other", StateRevoking
		}
	})
	for filter, want := range map[Filter]int{
		{}: 25, {Role: "other"}: 5, {State: StateLive}: 20, {Role: "other", State: StateLive}: 0, {Role: "none"}: 0,
	} {
		var ids []string
		after := ""
		for more := true; more; {
			var entries []Entry
			var err error
			entries, more, err = l.Page(t.Context(), storage, "edge", after, 4, filter)
			require.NoError(t, err)
			require.LessOrEqual(t, len(entries), 4)
			for _, entry := range entries {
				require.Nil(t, entry.Handle)
				require.Equal(t, requester, entry.Requester, "it is not in memory")
				ids = append(ids, entry.ID)
				after = entry.ID
			}
		}
		require.Len(t, ids, want)
		require.IsIncreasing(t, append([]string{""}, ids...))
	}
}

// benchmarkLedger returns a loaded ledger with n live entries.
func benchmarkLedger(b *testing.B, n int) (*Ledger, logical.Storage) {
	b.Helper()
	storage := &logical.InmemStorage{}
	fill(b, storage, "edge", n, func(_ int, entry *Entry) { entry.CreatedAt = start })
	l := New(Options{Now: providertest.NewClock().Now, Schedule: testSchedule})
	_, err := l.Used(b.Context(), storage, "edge")
	require.NoError(b, err)
	return l, storage
}

var benchmarkSizes = []int{1_000, 10_000, 100_000}

// BenchmarkReserve takes and gives back a slot of a config with a limit.
func BenchmarkReserve(b *testing.B) {
	for _, n := range benchmarkSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, storage := benchmarkLedger(b, n)
			b.ReportAllocs()
			for b.Loop() {
				_, err := l.Reserve(b.Context(), storage, intent("new", 2*n))
				require.NoError(b, err)
				require.NoError(b, l.Remove(b.Context(), storage, "edge", "new"))
			}
		})
	}
}

// BenchmarkReserveRefused asks for a slot of a config that has none.
func BenchmarkReserveRefused(b *testing.B) {
	for _, n := range benchmarkSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, storage := benchmarkLedger(b, n)
			b.ReportAllocs()
			for b.Loop() {
				_, err := l.Reserve(b.Context(), storage, intent("new", n))
				require.Error(b, err)
			}
		})
	}
}

// BenchmarkDue looks for work of a config that has none.
func BenchmarkDue(b *testing.B) {
	for _, n := range benchmarkSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, storage := benchmarkLedger(b, n)
			b.ReportAllocs()
			for b.Loop() {
				ids, err := l.Due(b.Context(), storage, "edge")
				require.NoError(b, err)
				require.Empty(b, ids)
			}
		})
	}
}

// BenchmarkLoad reads all entries of a config after a start.
func BenchmarkLoad(b *testing.B) {
	for _, n := range benchmarkSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, storage := benchmarkLedger(b, n)
			b.ReportAllocs()
			for b.Loop() {
				_, err := newLedger().Used(b.Context(), storage, "edge")
				require.NoError(b, err)
			}
		})
	}
}

// A refusal costs the same at any number of entries: it looks at the first of a heap, and copies no entry.
func TestReserve_RefusedAtAnySize_AllocatesTheSame(t *testing.T) {
	allocations := func(entries int) float64 {
		storage := &logical.InmemStorage{}
		fill(t, storage, "edge", entries, func(_ int, entry *Entry) { entry.LeaseExpiresAt = start.Add(30 * time.Minute) })
		l := newLedger()
		_, err := l.Used(t.Context(), storage, "edge")
		require.NoError(t, err)
		return testing.AllocsPerRun(20, func() {
			_, err := l.Reserve(t.Context(), storage, intent("refused", entries))
			full, ok := errors.AsType[*LimitError](err)
			require.True(t, ok)
			require.Equal(t, start.Add(30*time.Minute), full.NextFree)
		})
	}
	require.InDelta(t, allocations(10), allocations(5000), 2)
}
