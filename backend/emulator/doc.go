// Package emulator serves imitations of security vendors' authentication APIs on loopback, each an HTTP
// service of what the vendor documents: real listeners, real TLS, real state, with the clock, the faults and
// every undocumented choice of the vendor under the control of a test.
//
// It exists because no vendor appliance can be had in a test. It imports nothing of the secrets engine and
// shares no code with the drivers, so that a misreading there is not repeated here.
//
// # Using it
//
//	srv, err := emulator.Start(emulator.Config{Seed: 1}, lacework.New(), ftd.New())
//	if err != nil { … }
//	defer srv.Close()
//	address, roots := srv.URL("ftd"), srv.CACertPEM()
//	err = srv.SetSwitch("ftd", "expired_token_status", "408")
//	err = srv.AddFault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
//	err = srv.Advance(time.Hour)
//	issued := srv.Credentials("ftd")
//
// The same controls are served over plain HTTP at [Server.ControlURL]; see [Server] for the calls.
//
// # Adding a vendor
//
// A vendor is one package with a function New that returns a [Vendor]: its name, its [Switch]es, and a
// constructor which is handed an [Env] and answers with a [Service]. Add the package to the list in
// emulator/all and it is in the command too. In the constructor:
//
//   - draw the root credentials from env.Random (they come from the seed, and stay over a reset), and put
//     them into Twin.Credentials by the names of the engine's config fields, and into Twin.Login if there
//     is another way in;
//   - give one [Endpoint] per server: Name is the member of the state file ([EndpointURL], or
//     [EndpointAuthURL] for a separate authorisation server), Path is appended to its URL ("/api"),
//     Handler is an ordinary http.Handler, Operation names the intent of a request whose path says too
//     little, ErrorBody shapes the body of an injected error as the vendor would;
//   - take the time from env.Now only: it is the vendor's own clock, moved by the control API and bent by
//     the switch clock_skew, which the core adds to every vendor together with the matching Date header;
//   - write everything that is issued into env.Book, and every early end with its reason; expiry the book
//     sees by itself;
//   - read undocumented choices with env.Switch, env.Enabled, env.Integer, env.Duration at the moment of use;
//   - offer what only a person at the console could do as an [Action];
//   - clear the state in Twin.Reset, but keep root credentials.
//
// The core calls handlers, actions and Reset of one vendor one at a time, under a lock of that vendor, with
// the request's body already read and the answer buffered: a twin needs no locks, and must not wait or
// start goroutines. Delays, dropped connections, the Date header and the request log are the core's work.
package emulator
