package fortianalyzer

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// blockingStore is a session store whose next Save waits until proceed is closed, and closes saving before.
type blockingStore struct {
	providertest.Sessions
	once            sync.Once
	armed           bool
	saving, proceed chan struct{}
}

// Save implements provider.SessionStore.
func (s *blockingStore) Save(ctx context.Context, session []byte) error {
	if s.armed {
		s.once.Do(func() {
			close(s.saving)
			<-s.proceed
		})
	}
	return s.Sessions.Save(ctx, session)
}

// waitingContext closes waiting when a caller begins to wait for its end.
type waitingContext struct {
	context.Context
	once    sync.Once
	waiting chan struct{}
}

// Done implements context.Context.
func (c *waitingContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waiting) })
	return c.Context.Done()
}

// A second config obtains the token that the instance has just rejected for the first one. The first one joins its flight.
func TestAccount_JoinedFlightHasRejectedToken_IsReplaced(t *testing.T) {
	c := newCloud(t)
	store := &blockingStore{saving: make(chan struct{}), proceed: make(chan struct{})}
	open := func(connectionID string) *connection {
		config := c.config()
		config.ConnectionID, config.Shared = connectionID, func(string) provider.SessionStore { return store }
		return c.openConfig(config)
	}
	first, second := open("first"), open("second")
	rejected, err := first.account.token(t.Context(), first, "")
	require.NoError(t, err)
	c.Clock.Advance(10 * time.Minute)
	other, err := New().Open(c.Config(c.provider, nil)) // a program of another machine, whose token ends this one
	require.NoError(t, err)
	defer other.Close()
	c.issue(other.(*connection))

	store.armed = true
	joined := make(chan *accessToken, 1)
	go func() {
		held, _ := second.account.token(context.Background(), second, "")
		joined <- held
	}()
	<-store.saving
	ctx := &waitingContext{Context: t.Context(), waiting: make(chan struct{})}
	go func() {
		<-ctx.waiting
		close(store.proceed)
	}()
	replacement, err := first.account.token(ctx, first, rejected.value)
	require.NoError(t, err)
	require.Equal(t, rejected.value, (<-joined).value, "the second one cannot know that the token was rejected")
	require.NotEqual(t, rejected.value, replacement.value)
	c.requireGrants(2, 1)
}
