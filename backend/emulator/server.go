package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Config holds the settings of a [Server]. The zero value means TLS on 127.0.0.1, seed 0, no latency, no log.
type Config struct {
	// Listen is the loopback address to listen on, 127.0.0.1 if empty. The kernel chooses the ports.
	Listen string
	// PlainHTTP serves the vendors without TLS. The control API never has TLS.
	PlainHTTP bool
	// Seed determines the root credentials and all other random values, except the certificates.
	Seed uint64
	// Latency delays every request to a vendor, in real time. It must not be negative.
	Latency time.Duration
	// Now is the source of the emulated clock, [time.Now] if nil.
	Now func() time.Time
	// Logger receives a line per request at debug level, never a secret. Nil means no log.
	Logger *slog.Logger
}

// Server serves emulated vendors, each endpoint on a port of its own, and the control API on another:
//
//	GET    /credentials?vendor=V   {"credentials": [Credential, …]}
//	GET    /requests?vendor=V      {"requests": [Request, …]}
//	GET    /faults[?vendor=V]      {"faults": […]}: the active faults with their remaining counts
//	POST   /faults                 {"vendor", "route", "status", "body", "delay": "2s",
//	                               "finish_after_hangup": true, "drop_before": true, "drop_after": true,
//	                               "act_before": true,
//	                               "headers": {…}, "body_bytes", "truncate": true, "stall": true,
//	                               "drip": "50ms", "skip", "times"}: see [Fault]; "body" is a string,
//	                               which the server sends as it is, or any other JSON value
//	DELETE /faults[?vendor=V]      deletes the faults, and changes nothing else
//	GET    /clock                  {"now", "offset"}
//	POST   /clock                  {"advance": "30m"}
//	GET    /switches[?vendor=V]    {"switches": [SwitchValue, …]}
//	POST   /switches               {"vendor", "name", "value"}
//	GET    /actions[?vendor=V]     {"actions": […]}
//	POST   /actions                {"vendor", "action", "arguments": {…}}
//	POST   /reset                  deletes credentials, requests and faults, resets clock and switches;
//	                               keeps root credentials and ports
//
// The control API answers 400 to a malformed request and 404 to an unknown vendor, with {"error": "…"}. The
// methods of Server do the same from Go. They are safe for concurrent use. They panic on a vendor that the
// server does not serve, since that is a mistake in the test.
type Server struct {
	clock      *Clock
	caPEM      []byte
	controlURL string
	names      []string
	vendors    map[string]*vendor

	stop     context.CancelFunc
	servers  []*http.Server
	serving  sync.WaitGroup
	requests drain
}

// Start serves the vendors until [Server.Close]. When it returns, all ports accept connections.
func Start(cfg Config, vendors ...Vendor) (*Server, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ip := net.ParseIP(cfg.Listen)
	if ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listen on %q: not a loopback address such as 127.0.0.1 or ::1; "+
			"the emulator issues credentials without protection and must not be reachable from a network", cfg.Listen)
	}
	if cfg.Latency < 0 {
		return nil, fmt.Errorf("latency %s is negative", cfg.Latency)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{clock: newClock(cfg.Now), vendors: map[string]*vendor{}, stop: stop}
	var tlsConfig *tls.Config
	if !cfg.PlainHTTP {
		leaf, caPEM, err := newCertificate(ip)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.caPEM, tlsConfig = caPEM, &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
	}
	for _, described := range vendors {
		if err := s.serveVendor(ctx, cfg, tlsConfig, described); err != nil {
			return nil, errors.Join(fmt.Errorf("serve %s: %w", described.Name, err), s.Close())
		}
	}
	controlURL, err := s.serve(ctx, cfg.Listen, nil, s.controlHandler())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve the control API: %w", err), s.Close())
	}
	s.controlURL = controlURL
	return s, nil
}

// serveVendor makes a vendor's service and serves its endpoints.
func (s *Server) serveVendor(ctx context.Context, cfg Config, tlsConfig *tls.Config, described Vendor) error {
	if _, twice := s.vendors[described.Name]; twice || described.Name == "" {
		return fmt.Errorf("vendor name %q is empty or taken", described.Name)
	}
	env, err := newEnv(described, s.clock, cfg.Seed)
	if err != nil {
		return err
	}
	v := &vendor{name: described.Name, env: env, service: described.New(env), urls: map[string]string{}, faults: newFaults(ctx)}
	for _, e := range v.service.Endpoints {
		if _, twice := v.urls[e.Name]; twice || e.Name != EndpointURL && e.Name != EndpointAuthURL {
			return fmt.Errorf("endpoint name %q is unknown or taken", e.Name)
		}
		base, err := s.serve(ctx, cfg.Listen, tlsConfig, &endpoint{
			Endpoint: e, vendor: v, clock: s.clock, latency: cfg.Latency, logger: cfg.Logger,
		})
		if err != nil {
			return err
		}
		v.urls[e.Name] = base + e.Path
	}
	if v.urls[EndpointURL] == "" {
		return fmt.Errorf("endpoint %q is missing", EndpointURL)
	}
	s.vendors[v.name] = v
	s.names = append(s.names, v.name)
	return nil
}

// serve listens on a port that the kernel chooses, and returns its URL.
func (s *Server) serve(ctx context.Context, listen string, tlsConfig *tls.Config, h http.Handler) (string, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(listen, "0"))
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	// HTTP/1.1 only: with HTTP/2, a fault that drops a connection would also break the client's other requests.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           s.requests.handler(h),
		Protocols:         protocols,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: 30 * time.Second,
		// Tests provoke clients that refuse the certificate; the server's messages about them are of no use.
		ErrorLog:    log.New(io.Discard, "", 0),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.servers = append(s.servers, server)
	address := url.URL{Scheme: "http", Host: listener.Addr().String()}
	run := func() error { return server.Serve(listener) }
	if tlsConfig != nil {
		address.Scheme = "https"
		run = func() error { return server.ServeTLS(listener, "", "") }
	}
	s.serving.Go(func() { _ = run() }) // returns http.ErrServerClosed after Close
	return address.String(), nil
}

// Close stops the server at once: it ends all active requests and closes their connections. When it returns,
// no request is active, and no vendor acts any more.
func (s *Server) Close() error {
	s.stop()
	var failed error
	for _, server := range s.servers {
		failed = errors.Join(failed, server.Close())
	}
	s.requests.close()
	s.serving.Wait()
	return failed
}

// Reset deletes credentials, requests and faults of all vendors, and resets clock and switches. It keeps root
// credentials and ports. It ends active requests that have taken a fault with FinishAfterHangup, before their
// vendor acts.
func (s *Server) Reset() {
	s.clock.reset() // first, since services date their initial credentials by it
	for _, v := range s.vendors {
		v.mu.Lock()
		v.env.quirks.reset()
		v.env.History.reset()
		v.faults.reset()
		v.requests.clear()
		if v.service.Reset != nil {
			v.service.Reset()
		}
		v.mu.Unlock()
	}
}

// must returns a vendor by name. It panics if the server does not serve the vendor.
func (s *Server) must(name string) *vendor {
	v, ok := s.vendors[name]
	if !ok {
		panic(fmt.Sprintf("emulator: vendor %q is not served; there are %v", name, s.Vendors()))
	}
	return v
}

// Vendors returns the names of the vendors in the order of the call of [Start].
func (s *Server) Vendors() []string { return slices.Clone(s.names) }

// ControlURL is the base of the control API.
func (s *Server) ControlURL() string { return s.controlURL }

// CACertPEM is the CA's certificate, which clients must trust, in PEM. It is nil over plain HTTP.
func (s *Server) CACertPEM() []byte { return slices.Clone(s.caPEM) }

// URL is the address of the vendor's server.
func (s *Server) URL(vendor string) string { return s.must(vendor).urls[EndpointURL] }

// AuthURL is the address of the vendor's authorization server, "" if it has no separate one.
func (s *Server) AuthURL(vendor string) string { return s.must(vendor).urls[EndpointAuthURL] }

// Credentials returns all credentials that the vendor has issued, in the order of issue.
func (s *Server) Credentials(vendor string) []Credential {
	v := s.must(vendor)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.env.History.list()
}

// Requests returns the requests that reached the vendor, in the order of arrival, at most the last 100,000.
func (s *Server) Requests(vendor string) []Request { return s.must(vendor).requests.list() }

// Switches returns the vendor's switches with their values.
func (s *Server) Switches(vendor string) []SwitchValue {
	v := s.must(vendor)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.env.quirks.list(v.name)
}

// SetSwitch sets one switch of a vendor. It returns an error if the vendor does not have the switch, or the
// switch cannot have the value.
func (s *Server) SetSwitch(vendor, name, value string) error {
	v := s.must(vendor)
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.env.quirks.set(name, value)
}

// AddFault appends a fault to the active ones. The server applies to a request the first fault that matches.
// AddFault returns an error if the fault is invalid or has no effect.
func (s *Server) AddFault(fault Fault) error {
	v := s.must(fault.Vendor)
	if err := fault.check(); err != nil {
		return fmt.Errorf("add a fault: %w", err)
	}
	v.faults.add(fault)
	return nil
}

// Faults returns the vendor's active faults with their remaining counts.
func (s *Server) Faults(vendor string) []Fault { return s.must(vendor).faults.list() }

// ClearFaults deletes the vendor's faults and changes nothing else. Requests that have taken a fault keep it.
func (s *Server) ClearFaults(vendor string) { s.must(vendor).faults.clear() }

// Now is the emulated time, without a vendor's clock skew.
func (s *Server) Now() time.Time { return s.clock.Now() }

// Advance moves the clock of all vendors forward by d. It returns an error for a negative d.
func (s *Server) Advance(d time.Duration) error { return s.clock.Advance(d) }

// Do performs one of the vendor's [Action]s. It returns an error if the vendor does not have the action, or the
// action does not accept the arguments.
func (s *Server) Do(vendor, action string, arguments map[string]string) (map[string]string, error) {
	v := s.must(vendor)
	wanted := slices.IndexFunc(v.service.Actions, func(a Action) bool { return a.Name == action })
	if wanted < 0 {
		return nil, fmt.Errorf("%s has no action %q", vendor, action)
	}
	a := v.service.Actions[wanted]
	for name := range arguments {
		if !slices.Contains(a.Arguments, name) {
			return nil, fmt.Errorf("action %q has no argument %q", action, name)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	answer, err := a.Do(arguments)
	if err != nil {
		return nil, fmt.Errorf("action %q: %w", action, err)
	}
	return answer, nil
}
