package ledger

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"
)

// CloseOrigin begins a move of a config away from an origin: it refuses every later Reserve there. It fails with
// [*InUseError], and closes nothing, while the config has credentials that may be alive or may still appear, except
// for those of checks, unless force is true. The caller must call OpenOrigin or LeaveOrigin when it is known whether the config was moved. A
// request that has read the config before the move and reserves after it is refused too. CloseOrigin makes no vendor
// call, and reads storage if the config's entries are not in memory.
func (l *Ledger) CloseOrigin(ctx context.Context, storage logical.Storage, config, origin string, force bool) error {
	x := l.index(config)
	if !force {
		var err error
		if x, err = l.loaded(ctx, storage, config); err != nil {
			return err
		}
	}
	return x.closeOrigin(origin, force)
}

// OpenOrigin ends a move that has failed. The origin stays closed while another move away from it is running, and
// after one that has succeeded.
func (l *Ledger) OpenOrigin(config, origin string) { l.index(config).endMove(origin, false) }

// LeaveOrigin ends a move that has succeeded. The origin stays closed until the config is moved back to it; see
// EnterOrigin.
func (l *Ledger) LeaveOrigin(config, origin string) { l.index(config).endMove(origin, true) }

// EnterOrigin allows Reserve at an origin that the config has left earlier.
func (l *Ledger) EnterOrigin(config, origin string) { l.index(config).enterOrigin(origin) }

func (x *index) closeOrigin(origin string, force bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.now()
	var inUse InUseError
	for _, r := range x.records {
		entry := r.entry(x.config)
		if !entry.Check && (entry.State == StateSearching || entry.MayBeAlive(now)) {
			inUse.add(&entry)
		}
	}
	if err := inUse.err(); err != nil && !force {
		return err
	}
	x.leaving[origin]++
	x.dispatch() // the requests that wait at the origin are refused
	return nil
}

func (x *index) endMove(origin string, left bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.leaving[origin]--; x.leaving[origin] <= 0 {
		delete(x.leaving, origin)
	}
	if left {
		x.left[origin] = struct{}{}
	}
}

func (x *index) enterOrigin(origin string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.left, origin)
}

// isClosed reports whether nothing is reserved at an origin. It is called with the lock held.
func (x *index) isClosed(origin string) bool {
	_, left := x.left[origin]
	return left || x.leaving[origin] > 0
}
