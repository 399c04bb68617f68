// Package emulator serves emulations of security vendors' authentication APIs on loopback. Each emulation is
// an HTTP service that does what the vendor documents: real listeners, real TLS, real state. A test controls
// the clock, the faults, and every choice that the vendor's documents leave open.
//
// The package exists because a test cannot have a vendor's appliance. It imports nothing of the secrets
// engine and shares no code with the drivers, so that the emulation does not repeat a driver's
// misunderstanding of the vendor's documents.
//
// # Using it
//
//	srv, err := emulator.Start(emulator.Config{Seed: 1}, lacework.New(), ftd.New())
//	if err != nil { … }
//	defer srv.Close()
//	address, roots := srv.URL("ftd"), srv.CACertPEM()
//	err = srv.SetSwitch("ftd", "ended_token_status", "408")
//	err = srv.AddFault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
//	err = srv.Advance(time.Hour)
//	issued := srv.Credentials("ftd")
//
// The server offers the same controls over plain HTTP at [Server.ControlURL]; see [Server] for the calls.
//
// # Adding a vendor
//
// A vendor is one package with a function New that returns a [Vendor]: its name, its [Switch]es, and a
// constructor that receives an [Env] and returns a [Service]. Add the package to the list in emulator/all;
// the command then serves it too. In the constructor:
//
//   - draw the root credentials from env.Random (they depend on the seed, and a reset keeps them). Put them
//     into Service.Credentials under the names of the engine's config fields, and into Service.Login if the
//     vendor has a second way to log in;
//   - return one [Endpoint] per server: Name is the member of the state file ([EndpointURL], or
//     [EndpointAuthURL] for a separate authorization server), Path is appended to its URL ("/api"), Handler
//     is an ordinary http.Handler, Operation names the intent of a request whose path does not name it,
//     ErrorBody writes the body of an injected error in the vendor's form;
//   - take the time from env.Now only: it is the vendor's own clock. The control API advances it, and the
//     switch clock_skew, which every vendor has, shifts it together with the Date header;
//   - record every issued credential in env.History, and every early end with its reason. The history
//     records expiry without help;
//   - read undocumented choices with env.Switch, env.Enabled, env.Integer, env.Duration at the time of use;
//   - offer the steps that the vendor allows only at its console as an [Action];
//   - clear the state in Service.Reset, but keep the root credentials.
//
// The package calls the handlers, actions and Reset of one vendor one at a time, under the vendor's lock. It
// has read the request's body by then, and it buffers the answer. So a service needs no locks, and must not
// wait or start goroutines. The package itself does delays, dropped connections, the Date header and the
// request log.
package emulator
