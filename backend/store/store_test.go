package store

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// requireConflict requires an error with status 409.
func requireConflict(t *testing.T, err error) {
	t.Helper()
	var coded logical.HTTPCodedError
	require.ErrorAs(t, err, &coded)
	require.Equal(t, http.StatusConflict, coded.Code())
}

func TestConfig_SecondRead_ReadsNoStorage(t *testing.T) {
	memory := &logical.InmemStorage{}
	putConfig(t, memory, Config{Address: "a"})
	storage, s := storagetest.Wrap(memory), New()
	for range 3 {
		config, err := s.Config(t.Context(), storage, "edge")
		require.NoError(t, err)
		require.Equal(t, "a", config.Address)
	}
	require.Equal(t, 1, storage.Count())
	s.InvalidateConfig("edge")
	_, err := s.Config(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 2, storage.Count(), "another node may have written the config")
}

func TestConfig_AbsentName_IsReadAgain(t *testing.T) {
	memory, s := &logical.InmemStorage{}, New()
	config, err := s.Config(t.Context(), memory, "edge")
	require.NoError(t, err)
	require.Nil(t, config)
	putConfig(t, memory, Config{})
	config, err = s.Config(t.Context(), memory, "edge")
	require.NoError(t, err)
	require.NotNil(t, config, "that there was none is not remembered")
}

// A slow read must not put into the cache what a write has replaced.
func TestConfig_WriteDuringARead_IsNotHiddenByIt(t *testing.T) {
	memory, s := &logical.InmemStorage{}, New()
	old := putConfig(t, memory, Config{Address: "old"})
	storage := storagetest.Wrap(memory)
	storage.After = func(ctx context.Context, _ storagetest.Operation) error {
		next := *old
		next.Address = "new"
		return s.CompareAndSwapConfig(ctx, memory, "edge", old, &next)
	}
	config, err := s.Config(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, "old", config.Address)
	config, err = s.Config(t.Context(), memory, "edge")
	require.NoError(t, err)
	require.Equal(t, "new", config.Address)
}

func TestConfig_FailedRead_IsReportedAndNotCached(t *testing.T) {
	requireEveryFailureReported(t, func(storage logical.Storage) { putConfig(t, storage, Config{}) },
		func(ctx context.Context, storage logical.Storage) error {
			config, err := New().Config(ctx, storage, "edge")
			if err == nil {
				require.NotNil(t, config)
			}
			return err
		})
	requireEveryFailureReported(t, func(logical.Storage) {}, func(ctx context.Context, storage logical.Storage) error {
		_, err := New().ConfigNames(ctx, storage)
		return err
	})
}

func TestConfigNames_Stored_AreListed(t *testing.T) {
	storage := &logical.InmemStorage{}
	putConfig(t, storage, Config{})
	names, err := New().ConfigNames(t.Context(), storage)
	require.NoError(t, err)
	require.Equal(t, []string{"edge"}, names)
}

func TestReadRecord_LaterOrDamaged_IsRefused(t *testing.T) {
	for key, readRecord := range map[string]func(context.Context, logical.Storage) (any, error){
		ConfigPrefix + "edge": func(ctx context.Context, s logical.Storage) (any, error) { return ReadConfig(ctx, s, "edge") },
		RolePrefix + "edge":   func(ctx context.Context, s logical.Storage) (any, error) { return ReadRole(ctx, s, "edge") },
		HeartbeatKey:          func(ctx context.Context, s logical.Storage) (any, error) { return ReadHeartbeat(ctx, s) },
	} {
		t.Run(key, func(t *testing.T) {
			storage := &logical.InmemStorage{}
			record, err := readRecord(t.Context(), storage)
			require.NoError(t, err)
			require.Nil(t, record, "there is none")
			putRecord(t, storage, key, `{"version":1}`)
			record, err = readRecord(t.Context(), storage)
			require.NoError(t, err)
			require.NotNil(t, record)
			putRecord(t, storage, key, `{"version":2}`)
			_, err = readRecord(t.Context(), storage)
			require.ErrorContains(t, err, "later version")
			putRecord(t, storage, key, `{"version":`)
			_, err = readRecord(t.Context(), storage)
			require.ErrorContains(t, err, "decoding "+key)
			_, err = readRecord(t.Context(), storagetest.FailNth(storage, 1))
			require.ErrorIs(t, err, storagetest.ErrFailed)
		})
	}
}

// Vault's storage refuses some of these names with an error that looks like an outage.
func TestReadRecord_InvalidName_DoesNotExist(t *testing.T) {
	for _, name := range []string{"", "..", "a..b", "a/b"} {
		storage := storagetest.Wrap(&logical.InmemStorage{})
		config, err := ReadConfig(t.Context(), storage, name)
		require.NoError(t, err)
		require.Nil(t, config)
		role, err := ReadRole(t.Context(), storage, name)
		require.NoError(t, err)
		require.Nil(t, role)
		require.Zero(t, storage.Count())
	}
}

func TestCompareAndSwap_StaleOrMissingOld_IsAConflict(t *testing.T) {
	storage, s := &logical.InmemStorage{}, New()
	requireConflict(t, s.CompareAndSwapConfig(t.Context(), storage, "edge", &Config{Revision: "gone"}, &Config{}))
	first := putConfig(t, storage, Config{Address: "first"})
	require.NotEmpty(t, first.Revision)
	requireConflict(t, s.CompareAndSwapConfig(t.Context(), storage, "edge", nil, &Config{}))
	second := *first
	second.Address = "second"
	require.NoError(t, s.CompareAndSwapConfig(t.Context(), storage, "edge", first, &second))
	require.NotEqual(t, first.Revision, second.Revision)
	requireConflict(t, s.CompareAndSwapConfig(t.Context(), storage, "edge", first, &Config{Address: "stale"}))
	config, err := s.Config(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, "second", config.Address)
	requireConflict(t, s.DeleteConfigIfUnchanged(t.Context(), storage, "edge", first))
	require.NoError(t, s.DeleteConfigIfUnchanged(t.Context(), storage, "edge", &second))
	config, err = s.Config(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Nil(t, config)
	require.NoError(t, s.DeleteConfigIfUnchanged(t.Context(), storage, "edge", &second), "deleting again succeeds")
}

func TestConfigWrite_EveryStorageFailure_IsReported(t *testing.T) {
	prepare := func(storage logical.Storage) {
		putRecord(t, storage, ConfigPrefix+"edge", `{"version":1,"revision":"r"}`)
	}
	for name, act := range map[string]func(context.Context, logical.Storage) error{
		"swap": func(ctx context.Context, storage logical.Storage) error {
			return New().CompareAndSwapConfig(ctx, storage, "edge", &Config{Revision: "r"}, &Config{})
		},
		"change": func(ctx context.Context, storage logical.Storage) error {
			_, err := New().ChangeConfig(ctx, storage, "edge", func(config *Config) { config.Retired = true })
			return err
		},
		"delete": func(ctx context.Context, storage logical.Storage) error {
			return New().DeleteConfigIfUnchanged(ctx, storage, "edge", &Config{Revision: "r"})
		},
	} {
		t.Run(name, func(t *testing.T) { requireEveryFailureReported(t, prepare, act) })
	}
	memory := &logical.InmemStorage{}
	err := New().CompareAndSwapConfig(t.Context(), storagetest.FailAfterNth(memory, 1, storagetest.Put), "edge", nil, &Config{})
	require.ErrorIs(t, err, ErrIndeterminate, "the write has happened although it reports a failure")
}

// lastPut remembers the entry that was written last. Vault's storage in memory does not keep SealWrap.
type lastPut struct {
	logical.InmemStorage
	entry *logical.StorageEntry
}

func (s *lastPut) Put(ctx context.Context, entry *logical.StorageEntry) error {
	s.entry = entry
	return s.InmemStorage.Put(ctx, entry)
}

func TestConfigWrite_RootCredential_IsSealWrapped(t *testing.T) {
	storage := &lastPut{}
	putConfig(t, storage, Config{Fields: map[string]any{"password": "secret"}})
	require.True(t, storage.entry.SealWrap)
}

func TestChangeConfig_ConfigIsGone_ReportsFalse(t *testing.T) {
	storage, s := &logical.InmemStorage{}, New()
	changed, err := s.ChangeConfig(t.Context(), storage, "edge", func(*Config) { require.Fail(t, "there is nothing to change") })
	require.NoError(t, err)
	require.False(t, changed)
	before := putConfig(t, storage, Config{})
	changed, err = s.ChangeConfig(t.Context(), storage, "edge", func(config *Config) { config.Retired = true })
	require.NoError(t, err)
	require.True(t, changed)
	after, err := s.Config(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.True(t, after.Retired)
	require.NotEqual(t, before.Revision, after.Revision)
}

func TestRole_Write_IsSeenByTheNextRead(t *testing.T) {
	memory, s := &logical.InmemStorage{}, New()
	storage := storagetest.Wrap(memory)
	write := func(ttl time.Duration) error {
		return s.WriteRole(t.Context(), storage, "reader", func(old *Role) (*Role, error) {
			if old == nil {
				return &Role{TTL: ttl}, nil
			}
			next := *old
			next.TTL = ttl
			return &next, nil
		})
	}
	for _, ttl := range []time.Duration{time.Minute, time.Hour} {
		require.NoError(t, write(ttl))
		for range 2 {
			role, err := s.Role(t.Context(), storage, "reader")
			require.NoError(t, err)
			require.Equal(t, ttl, role.TTL)
		}
	}
	puts := storage.Count(storagetest.Put)
	require.NoError(t, write(time.Hour))
	require.Equal(t, puts, storage.Count(storagetest.Put), "a write that changes nothing is not stored")

	require.NoError(t, memory.Delete(t.Context(), RolePrefix+"reader"))
	s.InvalidateRole("reader")
	role, err := s.Role(t.Context(), storage, "reader")
	require.NoError(t, err)
	require.Nil(t, role)
}

func TestRoleWrite_RefusedByTheMerge_StoresNothing(t *testing.T) {
	storage, refusal := storagetest.Wrap(&logical.InmemStorage{}), errors.New("ttl is above max_ttl")
	err := New().WriteRole(t.Context(), storage, "reader", func(*Role) (*Role, error) { return nil, refusal })
	require.Equal(t, refusal, err)
	require.Zero(t, storage.Count(storagetest.Writes...))
}

func TestRole_EveryStorageFailure_IsReported(t *testing.T) {
	prepare := func(storage logical.Storage) { putRecord(t, storage, RolePrefix+"reader", `{"version":1}`) }
	for name, act := range map[string]func(context.Context, logical.Storage) error{
		"read": func(ctx context.Context, storage logical.Storage) error {
			_, err := New().Role(ctx, storage, "reader")
			return err
		},
		"write": func(ctx context.Context, storage logical.Storage) error {
			return New().WriteRole(ctx, storage, "reader", func(*Role) (*Role, error) { return &Role{Config: "edge"}, nil })
		},
		"delete": func(ctx context.Context, storage logical.Storage) error {
			_, err := New().DeleteRole(ctx, storage, "reader")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { requireEveryFailureReported(t, prepare, act) })
	}
}

func TestDeleteRole_CachedRole_IsGone(t *testing.T) {
	storage, s := &logical.InmemStorage{}, New()
	require.NoError(t, s.WriteRole(t.Context(), storage, "reader", func(*Role) (*Role, error) { return &Role{Sharing: SharingShared}, nil }))
	role, err := s.Role(t.Context(), storage, "reader")
	require.NoError(t, err)
	require.True(t, role.IsShared())
	require.False(t, (&Role{Sharing: SharingExclusive}).IsShared())
	existed, err := s.DeleteRole(t.Context(), storage, "reader")
	require.NoError(t, err)
	require.True(t, existed)
	role, err = s.Role(t.Context(), storage, "reader")
	require.NoError(t, err)
	require.Nil(t, role)
}

func TestRole_FieldData_HasTheSchemaOfTheVendor(t *testing.T) {
	role := &Role{Fields: map[string]any{"scope": "read"}}
	require.Equal(t, "read", role.FieldData(vendor{}).Get("scope"))
}

func TestHeartbeat_EveryStorageFailure_IsReported(t *testing.T) {
	beat := Heartbeat{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	requireEveryFailureReported(t, func(logical.Storage) {}, func(ctx context.Context, storage logical.Storage) error {
		return WriteHeartbeat(ctx, storage, beat)
	})
	storage := &logical.InmemStorage{}
	require.NoError(t, WriteHeartbeat(t.Context(), storage, beat))
	stored, err := ReadHeartbeat(t.Context(), storage)
	require.NoError(t, err)
	require.Equal(t, &Heartbeat{Version: HeartbeatVersion, At: beat.At}, stored)
}

func TestIsSensitive_Field_IsMarkedByItsDisplay(t *testing.T) {
	require.False(t, IsSensitive(&framework.FieldSchema{}))
	require.False(t, IsSensitive(&framework.FieldSchema{DisplayAttrs: &framework.DisplayAttributes{}}))
	require.True(t, IsSensitive(&framework.FieldSchema{DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}}))
}

func TestSameRecord_StoredText_Decides(t *testing.T) {
	require.True(t, SameRecord(&Role{TTL: time.Hour}, &Role{TTL: time.Hour}))
	require.False(t, SameRecord(&Role{TTL: time.Hour}, &Role{TTL: time.Minute}))
	unstorable := map[string]any{"f": func() {}}
	require.False(t, SameRecord(&Config{Fields: unstorable}, &Config{Fields: unstorable}), "what cannot be stored is the same as nothing")
	require.False(t, SameRecord(&Config{Fields: unstorable}, &Config{}))
	require.False(t, SameRecord(&Config{}, &Config{Fields: unstorable}))
}
