package provider

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
)

// Config holds the settings of a connection.
type Config struct {
	// Name is the config's name in the mount. Messages contain it.
	Name string
	// Address is the vendor's host or URL, as the operator wrote it.
	Address string
	// CACert is a PEM bundle of certificates to trust instead of the system's. Optional.
	CACert string
	// TLSServerName is the name that the server's certificate must carry instead of the address's host.
	// Optional.
	TLSServerName string
	// TLSSkipVerify accepts any certificate.
	TLSSkipVerify bool
	// RequestTimeout limits one HTTP exchange.
	RequestTimeout time.Duration
	// MaxRetries is how many times an idempotent request is sent again.
	MaxRetries int
	// RetryWait is the wait before the first of them, in real time. It doubles with each further one. Zero means the
	// HTTP client's own.
	RetryWait time.Duration
	// Fields holds the vendor's own fields, by the schema of ConfigFields.
	Fields *framework.FieldData
	// ConnectionID identifies the config with its present settings. It stays the same across restarts, and a
	// config that is written with other settings gets another one.
	ConnectionID string
	// Sessions stores the engine's own login at the vendor, if there is one, across restarts.
	Sessions SessionStore
	// Predecessor stores the login of the connection that this one replaces, if both send it to the same place: the
	// address and the TLS trust are the same. A driver may use that login instead of making another one. It does not
	// end it in Logout. Optional.
	Predecessor SessionStore
	// CountActive returns the number of live credentials under this config, including those that are being issued.
	// It makes no network call. Nil if that is not known.
	CountActive func(ctx context.Context) (int, error)
	// Shared returns the store of a login that several configs of the mount share. All connections of the mount
	// that pass the same key get the same store, and two vendors never share one. The key may be of any length
	// and holds no secret. Nil if nothing is stored.
	Shared func(key string) SessionStore
	// Logger is for this connection. A driver never logs a secret, sent or received.
	Logger hclog.Logger
	// Clock is the source of time.
	Clock Clock
	// UserAgent is the value of the User-Agent header of all requests.
	UserAgent string
	// Guard is asked before each request. Optional.
	Guard RequestGuard
	// AllowAddresses are the addresses to which requests are sent although they are loopback, link-local or metadata
	// addresses, and for which http is accepted. The plugin's environment lists them.
	AllowAddresses AddressRanges
	// Auth keeps what is known of rejected root credentials across connections. Optional; see
	// [Config.AuthBackoff].
	Auth AuthMemory
}

// SessionStore stores a few hundred bytes for a connection across restarts and failovers: the engine's own login
// at a vendor that limits sessions or logins, or a credential that a check has created and no lease holds yet. The content is as secret as the root credential and is stored like it.
// Implementations are safe for concurrent use.
type SessionStore interface {
	// Load returns the last saved content, or nil.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces the stored content. Nil deletes it.
	Save(ctx context.Context, session []byte) error
}

// Clock is a source of time that a test can control.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// After returns a channel that receives a value after the duration d, as time.After does.
	After(d time.Duration) <-chan time.Time
}

// SystemClock is the Clock of the machine.
type SystemClock struct{}

// Now returns the wall clock's time in UTC, without a monotonic reading: after the machine was suspended, the
// monotonic clock lags behind the clocks of the vendors, by which credentials expire.
func (SystemClock) Now() time.Time { return time.Now().UTC().Round(0) }

// Elapsed returns the time since the process began, by the monotonic clock. It does not change when the wall clock
// is set, and may not include the time for which the machine was suspended.
func (SystemClock) Elapsed() time.Duration { return time.Since(started) }

// started is when the process began, with a monotonic reading.
var started = time.Now()

// After returns time.After(d).
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
