package pool

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// accountProvider has a user and a password.
type accountProvider struct{ provider.Provider }

func (accountProvider) Capabilities() provider.Capabilities { return provider.Capabilities{} }

func (accountProvider) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"username": {Type: framework.TypeString},
		"password": {Type: framework.TypeString, DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
	}
}

// account is a user at an emulated vendor.
type account struct {
	provider.Connection
	clock    *providertest.Clock
	pool     *Pool
	password string // the right one
	sent     map[string]int
}

func newAccount() *account {
	clock := providertest.NewClock()
	return &account{clock: clock, password: "right", sent: map[string]int{}, pool: New(Options{
		Clock: clock, Logger: hclog.NewNullLogger, BreakerPause: time.Minute,
		Providers: map[string]provider.Provider{"vendor": accountProvider{}},
	})}
}

// login is a connection with a password.
type login struct {
	*account
	password string
}

func (l login) Check(context.Context) (*provider.CheckResult, error) {
	l.sent[l.password]++
	if l.password != l.account.password {
		return nil, &provider.Error{Class: provider.ClassUnauthenticated, Message: "wrong password"}
	}
	return &provider.CheckResult{}, nil
}

// write verifies a config write with a user and a password.
func (a *account) write(user, password string) error {
	entry := &store.Config{Vendor: "vendor", Address: "vendor:443", Fields: map[string]any{"username": user, "password": password}}
	_, err := a.pool.VerifyNewRoot(context.Background(), user, entry, login{a, password})
	return err
}

func TestVerifyNewRoot_WrongPasswords_AreLimitedPerAccount(t *testing.T) {
	a := newAccount()
	for i := range 6 {
		require.Error(t, a.write("admin", fmt.Sprint("wrong", i)))
	}
	require.Len(t, a.sent, maxRejections)
	err := a.write("admin", "right")
	require.ErrorIs(t, err, provider.ErrNotSent)
	require.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
	require.Equal(t, accountWindow, provider.RetryAfterOf(err))
	require.ErrorContains(t, err, "may lock it")
	require.Error(t, a.write("another user", "wrong"))
	require.Equal(t, 1, a.sent["wrong"], "accounts are counted apart")

	a.clock.Advance(accountWindow)
	require.NoError(t, a.write("admin", "right"))
}

func TestVerifyNewRoot_SamePasswordAgain_IsNotSent(t *testing.T) {
	a := newAccount()
	for range 10 {
		require.Error(t, a.write("admin", "wrong"))
	}
	require.Equal(t, 1, a.sent["wrong"])
	a.clock.Advance(minRejectedPause)
	require.Error(t, a.write("admin", "wrong"))
	require.Equal(t, 2, a.sent["wrong"])
	a.clock.Advance(minRejectedPause)
	require.ErrorIs(t, a.write("admin", "wrong"), provider.ErrNotSent, "the pause doubles")
}

// The stored root credential is no further one of the account. Its own rejection counts.
func TestVerifyStoredRoot_WrongWritesBefore_IsSent(t *testing.T) {
	a := newAccount()
	for i := range maxRejections {
		require.Error(t, a.write("admin", fmt.Sprint("wrong", i)))
	}
	verify := func(password string) error {
		entry := &store.Config{Vendor: "vendor", Address: "vendor:443", Fields: map[string]any{"username": "admin", "password": password}}
		_, err := a.pool.VerifyStoredRoot(t.Context(), "edge", entry, login{a, password})
		return err
	}
	require.NoError(t, verify("right"))
	require.ErrorIs(t, verify("wrong0"), provider.ErrNotSent)
	require.Equal(t, 1, a.sent["wrong0"], "its rejection is remembered")
}

// The vendor has accepted a login since: it counts wrong passwords from zero, and so does the engine.
func TestVerifyNewRoot_AcceptedSince_IsSentAgain(t *testing.T) {
	right := &store.Config{Vendor: "vendor", Address: "vendor:443", Fields: map[string]any{"username": "admin", "password": "right"}}
	for name, accept := range map[string]func(*account) error{
		"check": func(a *account) error {
			_, err := a.pool.Check(t.Context(), a.pool.wrap("edge", login{a, "right"}, right, 1), "vendor")
			return err
		},
		"stored root": func(a *account) error {
			_, err := a.pool.VerifyStoredRoot(t.Context(), "edge", right, login{a, "right"})
			return err
		},
		"candidate": func(a *account) error {
			_, err := a.pool.VerifyCandidate(t.Context(), "edge", right, login{a, "right"})
			return err
		},
		"write": func(a *account) error {
			a.clock.Advance(accountWindow)
			return a.write("admin", "right")
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount()
			for i := range maxRejections {
				require.Error(t, a.write("admin", fmt.Sprint("wrong", i)))
			}
			require.ErrorContains(t, a.write("admin", "right"), "may lock it")
			require.NoError(t, accept(a))
			require.NoError(t, a.write("admin", "right"))
			for i := range maxRejections {
				require.NotContains(t, a.write("admin", fmt.Sprint("other", i)).Error(), "may lock it")
			}
			require.ErrorContains(t, a.write("admin", "one more"), "may lock it", "the limit counts from zero")
		})
	}
}

func TestVerifyNewRoot_ClockSetBack_ForgetsRejections(t *testing.T) {
	a := newAccount()
	a.clock.Advance(24 * time.Hour)
	for i := range maxRejections {
		require.Error(t, a.write("admin", fmt.Sprint("wrong", i)))
	}
	a.clock.Advance(-24 * time.Hour)
	require.NoError(t, a.write("admin", "right"))
}

func TestCheck_RejectedPassword_IsSentAFewTimesAnHour(t *testing.T) {
	a := newAccount()
	entry := &store.Config{Vendor: "vendor", Address: "vendor:443", Fields: map[string]any{"username": "admin", "password": "wrong"}}
	conn := a.pool.wrap("edge", login{a, "wrong"}, entry, 1)
	for range 60 {
		for range 10 {
			_, err := a.pool.Check(t.Context(), conn, "vendor")
			require.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(err))
		}
		a.clock.Advance(time.Minute)
	}
	require.Equal(t, 5, a.sent["wrong"], "after 0, 2, 6, 14 and 30 minutes")
	a.password = "wrong" // corrected at the vendor
	a.clock.Advance(maxRejectedPause)
	_, err := a.pool.Check(t.Context(), conn, "vendor")
	require.NoError(t, err)
	_, err = a.pool.Check(t.Context(), conn, "vendor")
	require.NoError(t, err, "the rejections are forgotten")
}

// The vendor may change to a candidate late, so that one rejection is no reason to wait. Further ones are.
func TestVerifyCandidate_Rejected_IsSentAFewTimesAnHour(t *testing.T) {
	a := newAccount()
	entry := &store.Config{Vendor: "vendor", Address: "vendor:443", Fields: map[string]any{"username": "admin", "password": "candidate"}}
	verify := func() error {
		_, err := a.pool.VerifyCandidate(t.Context(), "edge", entry, login{a, "candidate"})
		return err
	}
	for range 60 {
		for range 10 {
			require.Equal(t, provider.ClassUnauthenticated, provider.ClassOf(verify()))
		}
		a.clock.Advance(time.Minute)
	}
	require.Equal(t, 5, a.sent["candidate"], "at once, twice, and after 4, 12 and 28 minutes")
	a.pool.ForgetRejections(entry) // the vendor is asked to change to it
	a.password = "candidate"
	require.NoError(t, verify())
}

// The remedy of a remembered rejection names the config of the caller, not the one that saw the rejection.
func TestAuthMemory_TwoConfigsOneRoot_RemediesNameTheirOwn(t *testing.T) {
	a := newAccount()
	root := a.pool.auth.rootOf(&store.Config{Vendor: "vendor", Address: "vendor:443"})
	first := rootMemory{memory: a.pool.auth, key: root, config: "first"}.Backoff(0, 0)
	second := rootMemory{memory: a.pool.auth, key: root, config: "second"}.Backoff(0, 0)
	first.Observe(&provider.Error{Class: provider.ClassUnauthenticated, Remedy: "check password in config/first"}, a.clock.Now())
	require.ErrorContains(t, second.Err(a.clock.Now()), "check password in config/second")
	require.ErrorContains(t, first.Err(a.clock.Now()), "check password in config/first")
	second.Reset()
	require.NoError(t, first.Err(a.clock.Now()))
}

func TestRootID_OtherSettings_IsTheSame(t *testing.T) {
	a := newAccount()
	entry := &store.Config{Vendor: "vendor", Address: "vendor:443", Fields: map[string]any{"username": "admin", "password": "secret"}}
	changed := *entry
	changed.Revision, changed.ConnectionID, changed.CACert = "2", "2", "other"
	require.Equal(t, a.pool.RootID(entry), a.pool.RootID(&changed))
	changed.Fields = map[string]any{"username": "admin", "password": "other"}
	require.NotEqual(t, a.pool.RootID(entry), a.pool.RootID(&changed))
	require.NotContains(t, a.pool.RootID(entry), "secret")
}
