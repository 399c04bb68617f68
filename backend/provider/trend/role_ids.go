package trend

import (
	"context"
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// roleIDLifetime is how long a connection uses the ID of an administrator role without a new search. An
	// administrator can give the name to another role; after this time, new keys get that role.
	roleIDLifetime = 10 * time.Minute

	// maxRoleIDs limits the number of remembered IDs.
	maxRoleIDs = 256
)

// roleIDs remembers the IDs of administrator roles by name, so that not every key costs a search. Safe for
// concurrent use.
type roleIDs struct {
	clock provider.Clock

	mu    sync.Mutex
	known map[string]roleID
}

// roleID is the ID of a role, and when it was found.
type roleID struct {
	id      int
	foundAt time.Time
}

// get returns the remembered ID of the role with this name, or 0.
func (r *roleIDs) get(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	// An age below zero means that the clock was set back, so the age is not known.
	found, ok := r.known[name]
	if age := r.clock.Now().Sub(found.foundAt); !ok || age < 0 || age >= roleIDLifetime {
		return 0
	}
	return found.id
}

// put remembers an ID. When there are too many, it forgets the others first.
func (r *roleIDs) put(name string, id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxRoleIDs || r.known == nil {
		r.known = make(map[string]roleID)
	}
	r.known[name] = roleID{id, r.clock.Now()}
}

// forget removes the ID of a role that the manager no longer accepts.
func (r *roleIDs) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, name)
}

// roleID returns the ID of the administrator role that a key gets. It searches for the role's name unless the ID
// is remembered. Concurrent callers share one search.
func (c *connection) roleID(ctx context.Context, settings keySettings) (int, error) {
	if settings.roleID != 0 {
		return settings.roleID, nil
	}
	name := settings.roleName
	if id := c.roleIDs.get(name); id != 0 {
		return id, nil
	}
	return shareFlight(ctx, c, opSearchRoles, "role "+name, func(ctx context.Context) (int, error) {
		id, err := c.api.findRoleID(ctx, name)
		if err != nil {
			return 0, c.classify(ctx, err, rightsRoles+", or use "+fieldRoleID+" in the role")
		}
		c.roleIDs.put(name, id)
		return id, nil
	})
}
