package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"
)

const (
	// loadPage is how many entries are read before they are added to the index. It bounds the memory of a load.
	loadPage = 256

	// loadParallel is how many reads a load sends at the same time.
	loadParallel = 8

	// preloadParallel is how many configs are loaded at the same time without a request that waits for them.
	preloadParallel = 2

	// maxLoadWait bounds how long a request waits for a load. Vault's client waits for 60 seconds.
	maxLoadWait = 30 * time.Second

	// answerTime is kept of a request's deadline for its answer.
	answerTime = 2 * time.Second

	// maxRetryAfter bounds what LoadingError suggests.
	maxRetryAfter = time.Minute
)

// LoadingError is returned to a request that needs all entries of a config, while they are being read from storage
// after a start. The load goes on.
type LoadingError struct {
	// Loaded of Total entries have been read. Total is zero before they were listed.
	Loaded, Total int
	// RetryAfter is when the load is expected to end, from now: a second to a minute.
	RetryAfter time.Duration
}

// Error names the progress.
func (e *LoadingError) Error() string {
	return fmt.Sprintf("the ledger of the config is being loaded, %d of %d entries are read; try again in %s", e.Loaded, e.Total, e.RetryAfter)
}

// errDropped ends the load of an index that was dropped because another node has written.
var errDropped = errors.New("the index of the ledger was dropped")

// loading is one attempt to load an index. Its entries stay in the index when it fails, and the next one continues.
type loading struct {
	// shared is closed when the shared credentials that have holders are loaded, and done when all entries are. After a
	// failure, both are closed.
	shared, done chan struct{}
	err          error
}

// loaded returns the index of a config when it is loaded. It waits within the deadline of the context. It fails with
// LoadingError, and with a storage error.
func (l *Ledger) loaded(ctx context.Context, storage logical.Storage, config string) (*index, error) {
	return l.await(ctx, storage, config, func(run *loading) <-chan struct{} { return run.done })
}

// sharedLoaded is loaded, except that it waits only for the shared credentials that have holders. They are loaded
// first.
func (l *Ledger) sharedLoaded(ctx context.Context, storage logical.Storage, config string) (*index, error) {
	return l.await(ctx, storage, config, func(run *loading) <-chan struct{} { return run.shared })
}

func (l *Ledger) await(ctx context.Context, storage logical.Storage, config string, stage func(*loading) <-chan struct{}) (*index, error) {
	x := l.index(config)
	run := x.startLoad(l.options.Lifetime, storage)
	if run == nil {
		return x, nil
	}
	timer := time.NewTimer(loadWait(ctx))
	defer timer.Stop()
	for {
		select {
		case <-stage(run):
		case <-ctx.Done():
			return nil, x.progress()
		case <-timer.C:
			return nil, x.progress()
		}
		err := run.failure()
		if err == nil {
			return x, nil
		}
		if !errors.Is(err, errDropped) {
			return nil, err
		}
		x = l.index(config)
		if run = x.startLoad(l.options.Lifetime, storage); run == nil {
			return x, nil
		}
	}
}

// failure returns why the load has failed, or nil.
func (r *loading) failure() error {
	select {
	case <-r.done:
		return r.err
	default: // the shared credentials are loaded
		return nil
	}
}

// loadWait is how long a request waits for a load: it must have time left for its answer.
func loadWait(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return maxLoadWait
	}
	remaining := time.Until(deadline)
	return min(maxLoadWait, remaining-min(answerTime, remaining/4))
}

// Preload begins to load the entries of all configs, a few configs at a time, and returns at once. Requests do not wait
// for it: a load that a request needs begins automatically.
func (l *Ledger) Preload(storage logical.Storage) {
	go func() {
		names, err := l.Configs(l.options.Lifetime, storage)
		if err != nil {
			return // the background work needs the same entries, and reports the failure
		}
		var group errgroup.Group
		group.SetLimit(preloadParallel)
		for _, name := range names {
			group.Go(func() error {
				if run := l.index(name).startLoad(l.options.Lifetime, storage); run != nil {
					<-run.done
				}
				return nil
			})
		}
		_ = group.Wait() // the functions return no error
	}()
}

// startLoad returns the load that is running, or begins one. It returns nil when the index is loaded.
func (x *index) startLoad(lifetime context.Context, storage logical.Storage) *loading {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isLoaded {
		return nil
	}
	if x.loading == nil {
		run := &loading{shared: make(chan struct{}), done: make(chan struct{})}
		x.loading = run
		if x.loadStarted.IsZero() {
			x.loadStarted = x.now()
		}
		go x.load(lifetime, storage, run)
	}
	return x.loading
}

// progress returns how far the load is.
func (x *index) progress() *LoadingError {
	x.mu.Lock()
	defer x.mu.Unlock()
	result := &LoadingError{Loaded: x.total - len(x.pending), Total: x.total, RetryAfter: time.Second}
	if elapsed := x.now().Sub(x.loadStarted); result.Loaded > 0 {
		left := time.Duration(float64(elapsed) / float64(result.Loaded) * float64(len(x.pending)))
		result.RetryAfter = min(max(left.Round(time.Second), time.Second), maxRetryAfter)
	}
	return result
}

// load reads the entries in storage that are not known yet, page by page. It runs on the lifetime of the mount and not
// on that of a request, and is the only one of its index.
func (x *index) load(ctx context.Context, storage logical.Storage, run *loading) {
	first, err := x.listPending(ctx, storage)
	for err == nil {
		page, left := x.nextPage()
		if left <= x.total-first {
			closeOnce(run.shared)
		}
		if len(page) == 0 {
			break
		}
		var entries []Entry
		if entries, err = x.readPage(ctx, storage, page); err == nil {
			err = x.addPage(entries, len(page))
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case err != nil:
	case x.isDropped:
		err = errDropped
	default:
		x.finishLoad()
	}
	run.err, x.loading = err, nil
	close(run.done)
	closeOnce(run.shared)
}

// closeOnce closes a channel unless it is closed. Only one goroutine closes it.
func closeOnce(done chan struct{}) {
	select {
	case <-done:
	default:
		close(done)
	}
}

// listPending lists the entries, unless an earlier load has done it. The shared credentials that have holders come
// first: a reader waits for them. first is how many they are.
func (x *index) listPending(ctx context.Context, storage logical.Storage) (first int, err error) {
	x.mu.Lock()
	isListed, first := x.isListed, x.first
	x.mu.Unlock()
	if isListed {
		return first, nil
	}
	ids, err := storage.List(ctx, StoragePrefix+x.config+"/")
	if err != nil {
		return 0, fmt.Errorf("listing the ledger of config %q: %w", x.config, err)
	}
	if len(ids) > 0 {
		if first, err = sharedFirst(ctx, storage, ids); err != nil {
			return 0, err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.isListed, x.pending, x.total, x.first = true, ids, len(ids), first
	return first, nil
}

// sharedFirst moves the IDs of credentials that have holders to the front, and returns how many they are.
func sharedFirst(ctx context.Context, storage logical.Storage, ids []string) (int, error) {
	held, err := storage.List(ctx, HolderPrefix)
	if err != nil {
		return 0, fmt.Errorf("listing the shared credentials: %w", err)
	}
	shared := make(map[string]struct{}, len(held))
	for _, id := range held {
		shared[strings.TrimSuffix(id, "/")] = struct{}{}
	}
	first := 0
	for i, id := range ids {
		if _, ok := shared[id]; ok {
			ids[first], ids[i] = ids[i], ids[first]
			first++
		}
	}
	return first, nil
}

// nextPage returns the IDs that are read next, and how many are left with them. Shared credentials have pages of their
// own.
func (x *index) nextPage() (page []string, left int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	size := min(loadPage, len(x.pending))
	if shared := x.first - (x.total - len(x.pending)); shared > 0 {
		size = min(size, shared)
	}
	return slices.Clone(x.pending[:size]), len(x.pending)
}

// readPage reads entries. A record that cannot be read is an entry in StateUnreadable.
func (x *index) readPage(ctx context.Context, storage logical.Storage, ids []string) ([]Entry, error) {
	entries := make([]Entry, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(loadParallel)
	for i, id := range ids {
		group.Go(func() error {
			stored, err := storage.Get(ctx, key(x.config, id))
			if err != nil {
				return fmt.Errorf("reading ledger entry %s: %w", id, err)
			}
			if stored == nil {
				return nil // it was deleted after it was listed
			}
			if entry, err := decode(id, stored.Value); err == nil {
				entries[i] = entry.summary()
			} else {
				entries[i] = unreadable(x.config, strings.Clone(id), stored.Value, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(entries, func(entry Entry) bool { return entry.ID == "" }), nil
}

// addPage adds a page of entries that was read from storage: those that this process has not written or removed since.
func (x *index) addPage(entries []Entry, size int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isDropped {
		return errDropped
	}
	for i := range entries {
		entry := &entries[i]
		_, known := x.records[entry.ID]
		_, gone := x.removed[entry.ID]
		if !known && !gone {
			x.keep(entry)
		}
	}
	x.pending = x.pending[size:]
	return nil
}

// finishLoad is called with the lock held when all entries are in the index.
func (x *index) finishLoad() {
	x.isLoaded, x.removed, x.pending = true, nil, nil
	for id := range x.holders {
		if _, known := x.records[id]; !known {
			delete(x.holders, id)
		}
	}
}

// drop ends the use of an index after another node has written. Requests that wait are served by the next one.
func (x *index) drop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.isDropped = true
	for _, w := range x.waiters {
		w.err = errDropped
		close(w.ready)
	}
	x.waiters = nil
}
