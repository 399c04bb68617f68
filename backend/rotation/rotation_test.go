package rotation_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// silentVendor does not answer: each call lasts until its context ends.
type silentVendor struct{ provider.Provider }

func (silentVendor) Capabilities() provider.Capabilities { return provider.Capabilities{} }

func (silentVendor) ConfigFields() map[string]*framework.FieldSchema { return nil }

func (silentVendor) Open(provider.Config) (provider.Connection, error) {
	return &silentConnection{}, nil
}

// silentConnection is a connection to a silentVendor, and to one whose login is used once.
type silentConnection struct {
	provider.Connection
	closed atomic.Int32
	undone atomic.Int32
}

func (c *silentConnection) Close() { c.closed.Add(1) }

func (c *silentConnection) RevokeMarker(ctx context.Context, _ string) (bool, error) {
	<-ctx.Done()
	return false, &provider.Error{Class: provider.ClassUnavailable, Message: "no answer", Err: ctx.Err()}
}

func (c *silentConnection) RevokeRoot(ctx context.Context, _ string) error {
	_, err := c.RevokeMarker(ctx, "")
	return err
}

func (c *silentConnection) NeedsBootstrap() bool { return true }

func (c *silentConnection) Bootstrap(context.Context, string) (*provider.Bootstrapped, error) {
	return &provider.Bootstrapped{Fields: map[string]any{}, Undo: func(ctx context.Context) error {
		c.undone.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}}, nil
}

// newRotator returns a rotator of a mount whose vendor is silent.
func newRotator(random io.Reader) *rotation.Rotator {
	providers := map[string]provider.Provider{"vendor": silentVendor{}}
	return rotation.New(rotation.Options{
		Lifetime: context.Background(), Store: store.New(), Markers: &marker.Mount{}, Providers: providers,
		Pool:  pool.New(pool.Options{Providers: providers, Clock: provider.SystemClock{}, Logger: hclog.NewNullLogger, BreakerPause: time.Minute}),
		Clock: provider.SystemClock{}, Random: random, Logger: hclog.NewNullLogger,
		SendEvent: func(context.Context, string, ...string) {},
	})
}

var config = &store.Config{Vendor: "vendor", UID: "1", ConnectionID: "1", RootMarker: "va-1-config"}

// A seal cancels the requests and the background work, and waits for them.
func TestRevokeOrphanedRoots_Canceled_ReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, storage := newRotator(rand.Reader), &logical.InmemStorage{}
		for _, orphan := range []string{"va-1-first", "va-1-second"} {
			require.NoError(t, r.Store.PutRootIntent(t.Context(), storage, "edge", store.RootIntent{Marker: orphan}))
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, cancel)
		began := time.Now()
		require.Len(t, r.RevokeOrphanedRoots(ctx, storage, "edge", config), 2)
		require.Equal(t, 10*time.Second, time.Since(began))

		began = time.Now()
		require.Len(t, r.RevokeOrphanedRoots(t.Context(), storage, "edge", config), 2)
		require.Equal(t, 30*time.Second, time.Since(began), "for all of them")
		intents, err := r.Store.RootIntents(t.Context(), storage, "edge")
		require.NoError(t, err)
		require.Len(t, intents, 2, "the background work tries again")
	})
}

func TestRevokeRoot_VendorSilent_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, began := newRotator(rand.Reader), time.Now()
		require.Error(t, r.RevokeRoot(t.Context(), &logical.InmemStorage{}, "edge", config))
		require.Equal(t, 30*time.Second, time.Since(began))
	})
}

// The login that creates a root credential is closed whatever fails.
func TestBootstrap_CannotBegin_ClosesTheLogin(t *testing.T) {
	for name, test := range map[string]struct {
		random  io.Reader
		storage logical.Storage
	}{
		"no random bytes":  {iotest.ErrReader(errors.New("no entropy")), &logical.InmemStorage{}},
		"no mount id":      {rand.Reader, storagetest.FailNth(&logical.InmemStorage{}, 1, storagetest.Put)},
		"intent not saved": {rand.Reader, storagetest.FailNth(&logical.InmemStorage{}, 2, storagetest.Put)},
	} {
		t.Run(name, func(t *testing.T) {
			entry, login := *config, &silentConnection{}
			_, _, err := newRotator(test.random).Bootstrap(t.Context(), test.storage, "edge", &entry, login, login)
			require.Error(t, err)
			require.Equal(t, int32(1), login.closed.Load())
		})
	}
}

func TestBootstrap_NotStoredAndCanceled_ReturnsAfterASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entry, login := *config, &silentConnection{}
		r, storage := newRotator(rand.Reader), &logical.InmemStorage{}
		_, stored, err := r.Bootstrap(t.Context(), storage, "edge", &entry, login, login)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		began := time.Now()
		stored(ctx, errors.New("not stored"))
		require.Equal(t, 6*time.Second, time.Since(began))
		require.Equal(t, int32(1), login.undone.Load())
		require.Equal(t, int32(1), login.closed.Load())
		intents, err := r.Store.RootIntents(t.Context(), storage, "edge")
		require.NoError(t, err)
		require.Len(t, intents, 1, "the next write of the config revokes it")
	})
}
