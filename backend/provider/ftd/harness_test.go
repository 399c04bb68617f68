package ftd_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	ftdemulator "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

const (
	// nextPassword satisfies the emulated device's rules.
	nextPassword = "Next-Passw0rd-of-admin"

	// readUsers and changeUser are routes of faults.
	readUsers  = "GET */object/users"
	changeUser = "PUT */object/users/*"

	// listing is the operation that lists the device's sessions.
	listing = "action/activeusersessions"
)

// connection has all methods of an FTD connection.
type connection interface {
	provider.Connection
	provider.Renewer
	provider.Revoker
	provider.MarkerRevoker
	provider.Lister
	provider.RootRotator
}

// device is an emulated device, together with the settings of connections to it.
type device struct {
	*emulatortest.Server
	address  string            // of the device, or of a proxy in front of it
	driver   provider.Provider // of all connections; nil means one for each
	clock    *providertest.Clock
	sessions *providertest.Sessions // the session store of all connections
	fields   map[string]any
	random   io.Reader
	log      bytes.Buffer // of all connections
	timeout  time.Duration
	auth     provider.AuthMemory                // of all connections; may be nil
	active   *int                               // the number of leased tokens that the engine knows, or nil
	count    func(context.Context) (int, error) // used if active is nil
}

// newDevice starts an emulated device. The test stops it.
func newDevice(t testing.TB) *device {
	t.Helper()
	clock := providertest.NewClock()
	d := &device{
		Server: emulatortest.StartWith(t, emulator.Config{Seed: 1, Now: clock.Now, PlainHTTP: true}, ftdemulator.New()),
		clock:  clock, sessions: &providertest.Sessions{}, fields: map[string]any{}, random: rand.Reader, timeout: 10 * time.Second,
	}
	d.address = d.Address()
	for name, value := range d.Root() {
		d.fields[name] = value
	}
	return d
}

// open returns a new connection. All connections of a device use one session store.
func (d *device) open() connection {
	d.T.Helper()
	return d.openWithStore(d.sessions)
}

// openWithStore returns a new connection that uses another session store.
func (d *device) openWithStore(store provider.SessionStore) connection {
	d.T.Helper()
	return d.openAfter(store, nil)
}

// openCounting returns a connection of an engine that counts its tokens with count.
func (d *device) openCounting(count func(context.Context) (int, error)) connection {
	d.T.Helper()
	d.count = count
	return d.open()
}

// openNext returns a connection that replaces those of open, as after a config write.
func (d *device) openNext() (connection, *providertest.Sessions) {
	d.T.Helper()
	store := &providertest.Sessions{}
	return d.openAfter(store, d.sessions), store
}

// openAfter returns a new connection with a session store and the store of its predecessor.
func (d *device) openAfter(store, predecessor provider.SessionStore) connection {
	d.T.Helper()
	driver := d.driver
	if driver == nil {
		driver = ftd.NewWithRandom(d.random)
	}
	countActive := d.count
	if d.active != nil {
		countActive = func(context.Context) (int, error) { return *d.active, nil }
	}
	opened, err := driver.Open(provider.Config{
		Name: "edge", Address: d.address, RequestTimeout: d.timeout, AllowAddresses: providertest.Loopback(),
		Fields:   &framework.FieldData{Raw: d.fields, Schema: driver.ConfigFields()},
		Sessions: store, Predecessor: predecessor, CountActive: countActive, Auth: d.auth, Clock: d.clock,
		Logger: hclog.New(&hclog.LoggerOptions{Output: &d.log, Level: hclog.Trace}),
	})
	require.NoError(d.T, err)
	d.T.Cleanup(opened.Close)
	return opened.(connection)
}

// evictLogin ends all sessions of the engine: five users log in to the web interface, and three of them log out again.
func (d *device) evictLogin() {
	for i := range 5 {
		answer := d.Act("ui_login")
		if i > 1 {
			defer d.Act("ui_logout", "id", answer["id"])
		}
	}
}

var requireClass = providertest.RequireClass

// request returns a request for a token that lives one hour.
func request(marker string) provider.IssueRequest {
	return provider.IssueRequest{Marker: marker, Lifetime: time.Hour}
}

// issue issues a token, which must succeed.
func issue(t *testing.T, c provider.Connection, marker string) *provider.Credential {
	t.Helper()
	credential, err := c.Issue(t.Context(), request(marker))
	require.NoError(t, err)
	return credential
}

// rotate changes the password to nextPassword. It checks what holds for every outcome: the change is sent at most once,
// and neither the log nor the error contains a password.
func rotate(t *testing.T, d *device, c connection) (*provider.RotatedRoot, error) {
	t.Helper()
	rotated, err := c.RotateRoot(t.Context(), "va-edge-1", map[string]any{"password": nextPassword})
	assert.LessOrEqual(t, d.changes(), 1)
	output := d.log.String()
	if err != nil {
		output += err.Error()
	}
	assert.NotContains(t, output, nextPassword)
	assert.NotContains(t, output, d.fields["password"])
	return rotated, err
}

// changes counts requests that change a user.
func (d *device) changes() int {
	count := 0
	for _, request := range d.Requests("ftd") {
		if request.Method == http.MethodPut {
			count++
		}
	}
	return count
}

// requirePassword requires that the device accepts the password.
func (d *device) requirePassword(password any) {
	d.T.Helper()
	d.EndFaults()
	d.fields["password"] = password
	_, err := d.open().Check(d.T.Context())
	require.NoError(d.T, err)
}

// useProxy puts a proxy between new connections and the device. The proxy passes each request to onRequest and each
// answer to onAnswer. Either may be nil.
func (d *device) useProxy(onRequest func(*http.Request, []byte), onAnswer func(*http.Response) error) {
	d.T.Helper()
	target, err := url.Parse(d.Address())
	require.NoError(d.T, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ModifyResponse: onAnswer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(d.T, err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if onRequest != nil {
			onRequest(r, body)
		}
		proxy.ServeHTTP(w, r)
	}))
	d.T.Cleanup(server.Close)
	d.address = server.URL
}

// evicted counts the sessions that the device has ended for a new one.
func (d *device) evicted() int {
	count := 0
	for _, credential := range d.Issued() {
		if credential.EndedBy == emulator.EndedEvicted {
			count++
		}
	}
	return count
}

// requestWithActive returns a request of an engine that already leases this many tokens.
func requestWithActive(active int) provider.IssueRequest {
	next := request(fmt.Sprintf("va-%d", active+1))
	next.ActiveCount = active
	return next
}

// panickingStore is a session store that panics in Save, and in Load unless loads is true.
type panickingStore struct{ loads bool }

// Load implements [provider.SessionStore].
func (s panickingStore) Load(context.Context) ([]byte, error) {
	if s.loads {
		return nil, nil
	}
	panic("index out of range")
}

// Save implements [provider.SessionStore].
func (panickingStore) Save(context.Context, []byte) error { panic("index out of range") }

// errOf is the error of a call that also returns whether it found something.
func errOf(_ bool, err error) error { return err }
