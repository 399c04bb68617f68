package store

import (
	"context"
	"sync"
)

// cache keeps decoded storage entries by name, so that a warm request reads no storage. Entries are
// shared and must not be changed. Absent entries are not remembered: names come from requests, and
// memory must not grow by asking for what does not exist.
type cache[T any] struct {
	mu      sync.RWMutex
	entries map[string]*T
	// writes counts changes, so that a value that was read before a change is not kept after it.
	writes uint64
}

func newCache[T any]() *cache[T] { return &cache[T]{entries: make(map[string]*T)} }

// get returns the entry of that name, from memory or by load. Nil without error means that there is
// none.
func (c *cache[T]) get(ctx context.Context, name string, load func(context.Context, string) (*T, error)) (*T, error) {
	c.mu.RLock()
	entry, ok := c.entries[name]
	writes := c.writes
	c.mu.RUnlock()
	if ok {
		return entry, nil
	}
	entry, err := load(ctx, name)
	if err != nil || entry == nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writes == writes {
		c.entries[name] = entry
	}
	return entry, nil
}

// forget drops the entry of that name. It is called after every change in storage.
func (c *cache[T]) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	delete(c.entries, name)
}
