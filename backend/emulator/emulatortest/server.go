// Package emulatortest supports tests with an emulated vendor, and tests of the emulators themselves.
//
// [Start] serves one vendor until the test ends. With the methods of [Server] a test sends requests, sets switches,
// performs actions, moves the clock and reads the history of credentials. [Suite] contains the tests that every
// vendor's emulator must pass. The package imports nothing of the secrets engine.
package emulatortest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Now is the time of the clock of [Start], which stands still until a test moves it. It is not a whole millisecond, so
// that tests can distinguish rounded times from exact times.
var Now = time.Date(2030, time.January, 2, 3, 4, 5, 678_901_234, time.UTC)

// Server is one emulated vendor in a test: an [emulator.Server], and methods that do not need the vendor's name. A
// method fails the test at once if the server returns an error, so only the test's own goroutine may call it. Methods
// that only count or list are safe for all goroutines.
type Server struct {
	*emulator.Server
	// T is the test that uses the server.
	T testing.TB
	// Client trusts the server's certificate.
	Client *http.Client

	vendor string
}

// Start serves a vendor over TLS on a clock that stands still at [Now], until the test ends.
func Start(t testing.TB, vendor emulator.Vendor) *Server {
	t.Helper()
	return StartWith(t, emulator.Config{Now: func() time.Time { return Now }}, vendor)
}

// StartWith serves a vendor with the settings in cfg, until the test ends.
func StartWith(t testing.TB, cfg emulator.Config, vendor emulator.Vendor) *Server {
	t.Helper()
	running, err := emulator.Start(cfg, vendor)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, running.Close()) })
	return Use(t, running, vendor.Name)
}

// Use returns a vendor of a running server for a test. The server keeps running when the test ends.
func Use(t testing.TB, running *emulator.Server, vendor string) *Server {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(running.CACertPEM()) {
		require.Empty(t, running.CACertPEM(), "the CA's certificate is not valid PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &Server{Server: running, T: t, Client: &http.Client{Transport: transport}, vendor: vendor}
}

// WithDefaults returns the vendor with other defaults of its switches. nameAndValue contains names and values in
// alternation.
func WithDefaults(vendor emulator.Vendor, nameAndValue ...string) emulator.Vendor {
	vendor.Switches = slices.Clone(vendor.Switches)
	for name, value := range pairs(nameAndValue) {
		i := slices.IndexFunc(vendor.Switches, func(s emulator.Switch) bool { return s.Name == name })
		if i < 0 {
			panic(fmt.Sprintf("emulatortest: %s has no switch %q", vendor.Name, name))
		}
		vendor.Switches[i].Default = value
	}
	return vendor
}

// Address is the URL of the vendor's server.
func (s *Server) Address() string { return s.URL(s.vendor) }

// AuthAddress is the URL of the vendor's authorization server, "" if it has no separate one.
func (s *Server) AuthAddress() string { return s.AuthURL(s.vendor) }

// Root returns the first root credential, by the names of the engine's config fields.
func (s *Server) Root() map[string]string { return s.State().Vendors[s.vendor].Credentials }

// Login returns the vendor's second way to log in, nil if it has none.
func (s *Server) Login() map[string]string { return s.State().Vendors[s.vendor].Login }

// Set sets switches. nameAndValue contains names and values in alternation.
func (s *Server) Set(nameAndValue ...string) {
	s.T.Helper()
	for name, value := range pairs(nameAndValue) {
		require.NoError(s.T, s.SetSwitch(s.vendor, name, value))
	}
}

// Act performs an action and returns its answer. nameAndValue contains the arguments' names and values in
// alternation.
func (s *Server) Act(action string, nameAndValue ...string) map[string]string {
	s.T.Helper()
	answer, err := s.Do(s.vendor, action, pairs(nameAndValue))
	require.NoError(s.T, err)
	return answer
}

// ActRefused requires that an action refuses its arguments. It fails the test if the vendor does not have the action
// or one of the arguments, since that is a mistake in the test.
func (s *Server) ActRefused(action string, nameAndValue ...string) {
	s.T.Helper()
	_, err := s.Do(s.vendor, action, pairs(nameAndValue))
	require.ErrorContains(s.T, err, fmt.Sprintf("action %q: ", action))
}

// InjectFault adds a fault of this vendor. It sets fault.Vendor.
func (s *Server) InjectFault(fault emulator.Fault) {
	s.T.Helper()
	fault.Vendor = s.vendor
	require.NoError(s.T, s.AddFault(fault))
}

// EndFaults deletes all faults of the vendor.
func (s *Server) EndFaults() { s.ClearFaults(s.vendor) }

// MoveClock moves the clock forward by d.
func (s *Server) MoveClock(d time.Duration) {
	s.T.Helper()
	require.NoError(s.T, s.Advance(d))
}

// Operations returns the operations of all requests, in the order of arrival.
func (s *Server) Operations() []string {
	operations := []string{}
	for _, request := range s.Requests(s.vendor) {
		operations = append(operations, request.Operation)
	}
	return operations
}

// Requested counts the requests of these operations. Without operations it counts all requests.
func (s *Server) Requested(operations ...string) int {
	count := 0
	for _, seen := range s.Operations() {
		if len(operations) == 0 || slices.Contains(operations, seen) {
			count++
		}
	}
	return count
}

// pairs returns a map of a list of names and values in alternation.
func pairs(nameAndValue []string) map[string]string {
	if len(nameAndValue)%2 != 0 {
		panic(fmt.Sprintf("emulatortest: a name without a value among %q", nameAndValue))
	}
	values := map[string]string{}
	for i := 0; i < len(nameAndValue); i += 2 {
		values[nameAndValue[i]] = nameAndValue[i+1]
	}
	return values
}
