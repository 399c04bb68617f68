package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// configPrefix is where configs are stored. With its slash it is seal-wrapped.
const configPrefix = "config/"

// configVersion is the schema version of the stored record.
const configVersion = 1

// configEntry is a stored config, root credential included.
type configEntry struct {
	Version int    `json:"version"`
	Vendor  string `json:"vendor"`
	// UID is made when the config is created: it tells a config from a later one of the same
	// name.
	UID string `json:"uid"`
	// ConnectionID is made at every change of what a connection is opened with.
	ConnectionID string `json:"connection_id"`
	// SharingEpoch is the generation since which readers share credentials, if rotations have made others since.
	SharingEpoch string `json:"sharing_epoch,omitempty"`
	// Revision is made at every change, to detect that two were made at once.
	Revision string `json:"revision"`
	// RootMarker names the root credential at the vendor, if the engine has made it itself.
	RootMarker string `json:"root_marker,omitempty"`
	// Retired configs issue nothing and stay until their last credential is gone.
	Retired bool `json:"retired,omitempty"`

	Address        string        `json:"address"`
	CACert         string        `json:"ca_cert,omitempty"`
	TLSServerName  string        `json:"tls_server_name,omitempty"`
	TLSSkipVerify  bool          `json:"tls_skip_verify,omitempty"`
	RequestTimeout time.Duration `json:"request_timeout_ns"`
	MaxRetries     int           `json:"max_retries"`
	MaxCredentials int           `json:"max_credentials"`
	// RotationPeriod is how often the root credential is replaced; 0 is never.
	RotationPeriod time.Duration     `json:"rotation_period_ns,omitempty"`
	CustomMetadata map[string]string `json:"custom_metadata,omitempty"`

	// Fields are the vendor's own, by the schema of its ConfigFields.
	Fields map[string]any `json:"fields"`
	// Root is where the rotation of the root credential stands.
	Root rootState `json:"root,omitzero"`
}

// config returns a stored config, or nil when there is none of that name.
func (b *backend) config(ctx context.Context, storage logical.Storage, name string) (*configEntry, error) {
	return b.configs.get(ctx, name, func(ctx context.Context, name string) (*configEntry, error) {
		return readConfig(ctx, storage, name)
	})
}

func readConfig(ctx context.Context, storage logical.Storage, name string) (*configEntry, error) {
	var entry configEntry
	found, err := readRecord(ctx, storage, configPrefix+name, &entry)
	if err != nil || !found {
		return nil, err
	}
	if entry.Version > configVersion {
		return nil, fmt.Errorf("%s%s was written by a later version of the plugin", configPrefix, name)
	}
	return &entry, nil
}

func (b *backend) putConfig(ctx context.Context, storage logical.Storage, name string, entry *configEntry) error {
	entry.Revision = rand.Text()
	stored, err := logical.StorageEntryJSON(configPrefix+name, entry)
	if err != nil {
		return fmt.Errorf("encoding config %q: %w", name, err)
	}
	stored.SealWrap = true
	defer b.configs.forget(name)
	if err := storage.Put(ctx, stored); err != nil {
		return fmt.Errorf("storing config %q: %w: %w", name, errIndeterminate, err)
	}
	return nil
}

// errIndeterminate is in the chain of an error of a write, which may have taken place all the same: a leader that is
// deposed while it writes cannot tell.
var errIndeterminate = errors.New("it may be stored all the same")

// openConnection opens a connection for a config. It makes no network call.
func (b *backend) openConnection(storage logical.Storage, name string, entry *configEntry) (provider.Connection, error) {
	vendor, ok := b.providers[entry.Vendor]
	if !ok {
		return nil, &provider.Error{
			Class:   provider.ClassInvalid,
			Field:   "vendor",
			Message: fmt.Sprintf("this version of the plugin does not support the vendor %q", entry.Vendor),
		}
	}
	return vendor.Open(provider.Config{
		Name:           name,
		Address:        entry.Address,
		CACert:         entry.CACert,
		TLSServerName:  entry.TLSServerName,
		TLSSkipVerify:  entry.TLSSkipVerify,
		RequestTimeout: entry.RequestTimeout,
		MaxRetries:     entry.MaxRetries,
		Fields:         &framework.FieldData{Raw: entry.Fields, Schema: vendor.ConfigFields()},
		Sessions:       newSessionStore(storage, name, entry.ConnectionID),
		Logger:         b.Logger().Named(entry.Vendor).With("config", name),
		Clock:          b.clock,
		UserAgent:      "vault-plugin-secrets-vendorauth/" + Version,
	})
}

// verifyRoot logs in for real. A driver's panic is an error.
func verifyRoot(ctx context.Context, vendor string, conn provider.Connection) (*provider.CheckResult, error) {
	return provider.CatchPanic(vendor+": check", func() (*provider.CheckResult, error) { return conn.Check(ctx) })
}

// acquireConfig returns the config and its connection for a request on behalf of a credential. The
// caller must release the connection. It waits while the root credential is being rotated, and after a
// rotation that was interrupted it first finds out which root credential is in force.
func (b *backend) acquireConfig(ctx context.Context, storage logical.Storage, name string) (*configEntry, *connection, error) {
	for {
		entry, err := b.config(ctx, storage, name)
		if err != nil {
			return nil, nil, err
		}
		if entry == nil {
			return nil, nil, &provider.Error{
				Class:   provider.ClassInvalid,
				Message: "the config does not exist",
				Remedy:  fmt.Sprintf("write it to config/%s", name),
			}
		}
		conn, freed, err := b.connections.tryAcquire(storage, name, entry)
		if err != nil {
			return nil, nil, err
		}
		if conn != nil {
			if len(entry.Root.Candidates) == 0 {
				return entry, conn, nil
			}
			if rests, err := b.roots.backingOff(name, entry.Revision, b.clock.Now()); rests {
				if err != nil {
					conn.release()
					return nil, nil, err
				}
				return entry, conn, nil
			}
			if !entry.Root.inDoubt() && !conn.takeAuthFailure() {
				return entry, conn, nil
			}
			conn.release()
			if err := b.resolveRoot(ctx, storage, name); err != nil {
				return nil, nil, err
			}
			continue
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, nil, &provider.Error{
				Class: provider.ClassUnavailable, Message: "the root credential is being rotated", Remedy: "try again", Err: ctx.Err(),
			}
		}
	}
}

// readRecord decodes a stored record. It reports false when there is none.
func readRecord(ctx context.Context, storage logical.Storage, key string, record any) (bool, error) {
	stored, err := storage.Get(ctx, key)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", key, err)
	}
	if stored == nil {
		return false, nil
	}
	if err := stored.DecodeJSON(record); err != nil {
		return false, fmt.Errorf("decoding %s: %w", key, err)
	}
	return true, nil
}
