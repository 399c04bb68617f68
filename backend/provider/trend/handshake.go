package trend

import (
	"context"
	"fmt"
	"sync"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// handshake reads the management key from the manager once in the life of the connection, before the first
// request that needs its result. The response carries the manager's time, which is needed to set the expiry of a
// key, and identifies the tenant, which shows whether a leased key is the engine's own. Concurrent callers share
// one request, so that a key that the manager rejects is tried once.
func (c *connection) handshake(ctx context.Context) error {
	if c.tenant.known() {
		return nil
	}
	_, err := shareFlight(ctx, c, opCurrent, "current", func(ctx context.Context) (*currentKey, error) {
		current, err := c.describeCurrent(ctx)
		return current, c.classifyCurrent(err)
	})
	return err
}

// shareFlight runs work, unless a caller with the same key runs it already: then both get its result. It returns
// when work or ctx ends. Work continues on a context of its own after the first caller's context has ended, because
// other callers wait for the same result. The HTTP client limits the duration of each request.
func shareFlight[T any](ctx context.Context, c *connection, op, key string, work func(context.Context) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, errCanceled(err)
	}
	detached := context.WithoutCancel(ctx)
	flight := c.flights.DoChan(key, func() (any, error) {
		return provider.CatchPanic(op, func() (T, error) { return work(detached) })
	})
	select {
	case result := <-flight:
		return result.Val.(T), result.Err
	case <-ctx.Done():
		return none, errCanceled(ctx.Err())
	}
}

// describeCurrent reads the management key and records its tenant. The error is not classified yet; see
// [connection.classifyCurrent].
func (c *connection) describeCurrent(ctx context.Context) (*currentKey, error) {
	current, err := c.api.describeCurrentKey(ctx)
	if err == nil {
		c.tenant.observe(tenantOf(current))
	}
	return current, err
}

// tenantOf identifies the tenant in which the management key creates keys. IDs of keys are unique only within a
// tenant. It is the tenant's GUID, or, where the manager returns none, the management key itself: a key belongs to
// one tenant for its whole life. It is empty if the manager returns neither.
func tenantOf(current *currentKey) string {
	switch {
	case current.TenantGUID != "":
		return "guid:" + current.TenantGUID
	case current.Created > 0:
		return fmt.Sprintf("key:%d created:%d", current.ID, current.Created)
	}
	return ""
}

// tenant is the tenant of the management key, once the manager has returned it. Safe for concurrent use.
type tenant struct {
	mu       sync.Mutex
	observed bool
	id       string
}

func (t *tenant) observe(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.observed, t.id = true, id
}

// known reports whether the manager has described the management key.
func (t *tenant) known() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.observed
}

// get returns what tenantOf returned, or "".
func (t *tenant) get() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.id
}

// owns reports whether the handle's ID is that of the leased key, without a request. The manager does not use an
// ID twice within a tenant (inferred: IDs increase), so it is enough that the handle and the management key have
// the same tenant.
func (t *tenant) owns(leased handle) bool { return leased.Tenant != "" && leased.Tenant == t.get() }
