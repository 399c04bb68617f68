package pool

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// openedProvider remembers what it was opened with. The account is the user at the login address.
type openedProvider struct {
	accountProvider
	config *provider.Config
}

func (openedProvider) Capabilities() provider.Capabilities {
	return provider.Capabilities{AccountFields: []string{"login_address", "username"}, AddressFields: []string{"login_address"}}
}

func (p openedProvider) ConfigFields() map[string]*framework.FieldSchema {
	fields := p.accountProvider.ConfigFields()
	fields["login_address"] = &framework.FieldSchema{Type: framework.TypeString, Default: "login.example"}
	fields["application"] = &framework.FieldSchema{Type: framework.TypeString}
	return fields
}

func (p openedProvider) Open(config provider.Config) (provider.Connection, error) {
	*p.config = config
	return &fakeConnection{}, nil
}

// newOpenPool returns a pool with one vendor, and what that was opened with.
func newOpenPool(options Options) (*Pool, *provider.Config) {
	config := &provider.Config{}
	options.Clock, options.Logger, options.BreakerPause = providertest.NewClock(), hclog.NewNullLogger, time.Minute
	options.Providers = map[string]provider.Provider{"vendor": openedProvider{config: config}, "plain": accountProvider{}}
	return New(options), config
}

func present() *store.Config {
	return &store.Config{
		Vendor: "vendor", Address: "a.example", CACert: "PEM", TLSServerName: "name", ConnectionID: "1",
		Fields: map[string]any{"username": "u", "password": "p"},
	}
}

func TestOpenNext_SamePlace_MayUseTheLogin(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(*store.Config)
		mayUse    bool
		ifVouched bool
	}{
		"another password":      {func(c *store.Config) { c.Fields = map[string]any{"username": "u", "password": "q"} }, true, true},
		"the same connection":   {func(c *store.Config) { c.ConnectionID = "1" }, false, false},
		"another address":       {func(c *store.Config) { c.Address = "b.example" }, false, true},
		"another login address": {func(c *store.Config) { c.Fields = map[string]any{"login_address": "b.example"} }, false, true},
		"other certificates":    {func(c *store.Config) { c.CACert = "" }, false, true},
		"another name":          {func(c *store.Config) { c.TLSServerName = "" }, false, true},
		"nothing is verified":   {func(c *store.Config) { c.TLSSkipVerify = true }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			storage := &logical.InmemStorage{}
			require.NoError(t, newSessionStore(storage, "edge", "1").Save(t.Context(), []byte("login")))
			p, opened := newOpenPool(Options{})
			next := present()
			next.ConnectionID = "2"
			test.change(next)
			_, err := p.OpenNext(storage, "edge", present(), next)
			require.NoError(t, err)
			require.Equal(t, test.mayUse, opened.Predecessor != nil)
			if test.mayUse {
				login, err := opened.Predecessor.Load(t.Context())
				require.NoError(t, err)
				require.Equal(t, "login", string(login))
			}
			_, err = p.OpenTrusted(storage, "edge", present(), next)
			require.NoError(t, err)
			require.Equal(t, test.ifVouched, opened.Predecessor != nil)
			_, err = p.OpenNext(storage, "edge", nil, next)
			require.NoError(t, err)
			require.Nil(t, opened.Predecessor)
		})
	}
}

func TestOpen_CountActive_CountsThisConfig(t *testing.T) {
	p, opened := newOpenPool(Options{})
	_, err := p.Open(nil, "edge", present())
	require.NoError(t, err)
	require.Nil(t, opened.CountActive, "the engine does not count")
	p, opened = newOpenPool(Options{CountActive: func(_ context.Context, _ logical.Storage, config string) (int, error) {
		return len(config), nil
	}})
	_, err = p.Open(nil, "edge", present())
	require.NoError(t, err)
	count, err := opened.CountActive(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, count)
}

func TestOpen_UnknownVendor_NamesTheField(t *testing.T) {
	p, _ := newOpenPool(Options{})
	_, err := p.Open(nil, "edge", &store.Config{Vendor: "other"})
	failure := &provider.Error{}
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "vendor", failure.Field)
}

// A vendor may name the fields of the account. Then other fields, such as the product's address, make no other root credential.
func TestRootID_AccountFields_DecideWhichRootItIs(t *testing.T) {
	p, _ := newOpenPool(Options{})
	base := p.RootID(present())
	for name, test := range map[string]struct {
		change func(*store.Config)
		same   bool
	}{
		"another address":       {func(c *store.Config) { c.Address = "b.example" }, true},
		"another application":   {func(c *store.Config) { c.Fields["application"] = "x" }, true},
		"the default":           {func(c *store.Config) { c.Fields["login_address"] = "https://LOGIN.example/" }, true},
		"another password":      {func(c *store.Config) { c.Fields["password"] = "q" }, false},
		"another user":          {func(c *store.Config) { c.Fields["username"] = "v" }, false},
		"another login address": {func(c *store.Config) { c.Fields["login_address"] = "b.example" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			changed := present()
			test.change(changed)
			require.Equal(t, test.same, p.RootID(changed) == base)
			plain, other := present(), changed
			plain.Vendor, other.Vendor = "plain", "plain"
			require.NotEqual(t, p.RootID(plain), p.RootID(other), "a vendor without account fields: each field counts")
		})
	}
	account := p.auth.accountOf(present())
	changed := present()
	changed.Fields["password"], changed.Address = "q", "b.example"
	require.Equal(t, account, p.auth.accountOf(changed))
	changed.Vendor = "plain"
	plain := present()
	plain.Vendor = "plain"
	require.NotEqual(t, p.auth.accountOf(plain), p.auth.accountOf(changed), "another address")
	changed.Address = "a.example"
	require.Equal(t, p.auth.accountOf(plain), p.auth.accountOf(changed))
}
