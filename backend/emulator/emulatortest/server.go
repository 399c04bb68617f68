// Package emulatortest is for tests with an emulated vendor, and for the tests of the emulators themselves.
//
// [Start] serves one vendor for the length of a test. [Server] is what such a test does with it: send requests, set
// switches, act as a person at the console, move the clock, look into the book of credentials. [Suite] holds the
// tests that every vendor's emulator must pass alike. The package imports nothing of the secrets engine.
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

// Now is where the clock of [Start] stands until a test moves it. It is no whole millisecond, so that a time which the
// vendor rounds can be told from one that it does not.
var Now = time.Date(2030, time.January, 2, 3, 4, 5, 678_901_234, time.UTC)

// Server is one emulated vendor that a test has to itself: an [emulator.Server], and methods that need not be told the
// vendor's name. They fail the test at once when the server refuses, and so are for the goroutine of the test; those
// that only count or list may be called from any.
type Server struct {
	*emulator.Server
	// T is the test that has the server.
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

// StartWith serves a vendor as cfg says, until the test ends.
func StartWith(t testing.TB, cfg emulator.Config, vendor emulator.Vendor) *Server {
	t.Helper()
	running, err := emulator.Start(cfg, vendor)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, running.Close()) })
	return Use(t, running, vendor.Name)
}

// Use gives a vendor of a server that is running to a test, and leaves it running when the test ends.
func Use(t testing.TB, running *emulator.Server, vendor string) *Server {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(running.CACertPEM()) {
		require.Empty(t, running.CACertPEM(), "a server over TLS has a certificate to trust")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &Server{Server: running, T: t, Client: &http.Client{Transport: transport}, vendor: vendor}
}

// WithDefaults returns the vendor with other defaults of its switches, given as name and value in turn.
func WithDefaults(vendor emulator.Vendor, nameAndValue ...string) emulator.Vendor {
	vendor.Switches = slices.Clone(vendor.Switches)
	for name, value := range inTurn(nameAndValue) {
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

// AuthAddress is the URL of the vendor's authorisation server, "" if it has none of its own.
func (s *Server) AuthAddress() string { return s.AuthURL(s.vendor) }

// Root returns the first root credential, by the names of the engine's config fields.
func (s *Server) Root() map[string]string { return s.State().Vendors[s.vendor].Credentials }

// Login returns the vendor's other way in, nil if it has none.
func (s *Server) Login() map[string]string { return s.State().Vendors[s.vendor].Login }

// Set changes switches, given as name and value in turn.
func (s *Server) Set(nameAndValue ...string) {
	s.T.Helper()
	for name, value := range inTurn(nameAndValue) {
		require.NoError(s.T, s.SetSwitch(s.vendor, name, value))
	}
}

// Act carries out an action, with arguments given as name and value in turn, and returns its answer.
func (s *Server) Act(action string, nameAndValue ...string) map[string]string {
	s.T.Helper()
	answer, err := s.Do(s.vendor, action, inTurn(nameAndValue))
	require.NoError(s.T, err)
	return answer
}

// ActRefused demands that an action refuses its arguments. An action or argument that does not exist at all is a
// mistake in the test, and fails it.
func (s *Server) ActRefused(action string, nameAndValue ...string) {
	s.T.Helper()
	_, err := s.Do(s.vendor, action, inTurn(nameAndValue))
	require.ErrorContains(s.T, err, fmt.Sprintf("action %q: ", action))
}

// InjectFault adds a fault to the vendor's.
func (s *Server) InjectFault(fault emulator.Fault) {
	s.T.Helper()
	fault.Vendor = s.vendor
	require.NoError(s.T, s.AddFault(fault))
}

// EndFaults takes back all faults of the vendor's.
func (s *Server) EndFaults() { s.ClearFaults(s.vendor) }

// MoveClock moves the clock forward.
func (s *Server) MoveClock(d time.Duration) {
	s.T.Helper()
	require.NoError(s.T, s.Advance(d))
}

// Operations returns the operations of all requests, in order.
func (s *Server) Operations() []string {
	operations := []string{}
	for _, request := range s.Requests(s.vendor) {
		operations = append(operations, request.Operation)
	}
	return operations
}

// Requested counts the requests of these operations, all requests when none is named.
func (s *Server) Requested(operations ...string) int {
	count := 0
	for _, seen := range s.Operations() {
		if len(operations) == 0 || slices.Contains(operations, seen) {
			count++
		}
	}
	return count
}

// inTurn makes a map of names and values that are given in turn.
func inTurn(nameAndValue []string) map[string]string {
	if len(nameAndValue)%2 != 0 {
		panic(fmt.Sprintf("emulatortest: a name without a value among %q", nameAndValue))
	}
	given := map[string]string{}
	for i := 0; i < len(nameAndValue); i += 2 {
		given[nameAndValue[i]] = nameAndValue[i+1]
	}
	return given
}
