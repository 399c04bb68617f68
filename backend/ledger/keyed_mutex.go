package ledger

import "sync"

// keyedMutex is a mutex for each key in use. A caller never holds the locks of two keys at once.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[string]*countedMutex
}

type countedMutex struct {
	sync.Mutex
	users int
}

// lock locks the key and returns the function that unlocks it.
func (k *keyedMutex) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = make(map[string]*countedMutex)
	}
	held, ok := k.locks[key]
	if !ok {
		held = &countedMutex{}
		k.locks[key] = held
	}
	held.users++
	k.mu.Unlock()
	held.Lock()
	return func() {
		held.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if held.users--; held.users == 0 {
			delete(k.locks, key)
		}
	}
}
