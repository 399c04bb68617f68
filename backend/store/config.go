package store

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/hashicorp/go-secure-stdlib/strutil"
	"github.com/hashicorp/vault/sdk/logical"
)

// ConfigVersion is the schema version of a stored config.
const ConfigVersion = 1

// Config is a stored config, root credential included.
type Config struct {
	// Version is the schema version.
	Version int `json:"version"`
	// Vendor is the vendor's name. It never changes.
	Vendor string `json:"vendor"`
	// UID is made when the config is created: it tells a config from a later one of the same name.
	UID string `json:"uid"`
	// ConnectionID is made at every change of what a connection is opened with.
	ConnectionID string `json:"connection_id"`
	// SharingEpoch is the connection id since which readers share credentials, if rotations have made others
	// since then.
	SharingEpoch string `json:"sharing_epoch,omitempty"`
	// Revision is made at every change, to detect two changes at the same time.
	Revision string `json:"revision"`
	// RootMarker names the root credential at the vendor, if the engine has created it itself.
	RootMarker string `json:"root_marker,omitempty"`
	// Retired configs issue nothing and are deleted with their last credential.
	Retired bool `json:"retired,omitempty"`

	// Address is the vendor's host or URL, as the operator wrote it.
	Address string `json:"address"`
	// CACert is a PEM bundle to trust in place of the system's. Optional.
	CACert string `json:"ca_cert,omitempty"`
	// TLSServerName is the name that the server's certificate must carry. Optional.
	TLSServerName string `json:"tls_server_name,omitempty"`
	// TLSSkipVerify accepts any certificate.
	TLSSkipVerify bool `json:"tls_skip_verify,omitempty"`
	// RequestTimeout bounds one HTTP exchange.
	RequestTimeout time.Duration `json:"request_timeout_ns"`
	// MaxRetries is how often an idempotent request is repeated.
	MaxRetries int `json:"max_retries"`
	// MaxCredentials is how many credentials may be live at the same time; 0 is unlimited.
	MaxCredentials int `json:"max_credentials"`
	// RequestsPerMinute limits the requests of the root credential; 0 is unlimited.
	RequestsPerMinute int `json:"requests_per_minute"`
	// AutomatedRotation is when the root credential is rotated.
	AutomatedRotation
	// AllowedRoles are the names of the roles that may draw on the config, and patterns with *. Nil allows all roles,
	// an empty list none.
	AllowedRoles []string `json:"allowed_roles,omitzero"`
	// CustomMetadata is the operator's own.
	CustomMetadata map[string]string `json:"custom_metadata,omitempty"`

	// TrustID is a part of the origin. It is made when a write changes the TLS trust although credentials may be live whose
	// root credential the writer need not know: see RootReplacedAt. Empty until then.
	TrustID string `json:"trust_id,omitempty"`
	// RootReplacedAt is when a write last replaced the root credential by another one. Its writer need not know the
	// credentials that were issued before. Zero if no write did.
	RootReplacedAt time.Time `json:"root_replaced_at,omitzero"`

	// Fields are the vendor's own, by the schema of its ConfigFields.
	Fields map[string]any `json:"fields"`
	// Root is the state of the root credential's rotation.
	Root RootState `json:"root,omitzero"`
}

// WithTrust returns a copy of the config that trusts other certificates or expects another name in the server's
// certificate. Its connection is another one, and readers go on sharing their credentials.
func (c *Config) WithTrust(caCert, tlsServerName string) *Config {
	next := *c
	next.CACert, next.TLSServerName = caCert, tlsServerName
	if next.SharingEpoch == "" {
		next.SharingEpoch = next.ConnectionID
	}
	next.ConnectionID = rand.Text()
	return &next
}

// ReadConfig reads a config from storage, past the cache. It returns nil when there is none of that name.
func ReadConfig(ctx context.Context, storage logical.Storage, name string) (*Config, error) {
	if CheckName(name) != nil {
		return nil, nil // no record has such a name, and some of them Vault's storage refuses to look up
	}
	var entry Config
	found, err := read(ctx, storage, ConfigPrefix+name, &entry)
	if err != nil || !found {
		return nil, err
	}
	if entry.Version > ConfigVersion {
		return nil, versionError(ConfigPrefix + name)
	}
	return &entry, nil
}

// AllowsRole reports whether a role of this name may draw on the config. Names are case-sensitive.
func (c *Config) AllowsRole(name string) bool {
	return c.AllowedRoles == nil || strutil.StrListContainsGlob(c.AllowedRoles, name)
}
