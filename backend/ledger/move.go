package ledger

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// CloseOrigin refuses every later Reserve for a config at this origin, so that the config can be moved to another
// address. It fails with [*InUseError], and closes nothing, while credentials of the config may be alive. A request
// that has read the config before the move and reserves after it is refused too: an origin stays closed until
// OpenOrigin. It makes no vendor call, and reads storage if the config's entries are not in memory.
func (l *Ledger) CloseOrigin(ctx context.Context, storage logical.Storage, config, origin string) error {
	idx := l.index(config)
	if err := idx.load(ctx, storage); err != nil {
		return err
	}
	return idx.closeOrigin(origin, l.now())
}

// OpenOrigin reverts CloseOrigin: after a move that failed, or when the config is moved back.
func (l *Ledger) OpenOrigin(config, origin string) { l.index(config).openOrigin(origin) }

func (x *index) closeOrigin(origin string, now time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	used := 0
	for _, entry := range x.entries {
		if entry.OccupiesSlot(now) {
			used++
		}
	}
	if used > 0 {
		return &InUseError{Used: used}
	}
	x.closed[origin] = struct{}{}
	return nil
}

func (x *index) openOrigin(origin string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.closed, origin)
}
