package emulator

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Names of a twin's servers, which are members of the state file.
const (
	// EndpointURL is the server whose URL goes into the engine's config field "address".
	EndpointURL = "url"
	// EndpointAuthURL is a separate authorisation server, config field "auth_address".
	EndpointAuthURL = "auth_url"
)

// Vendor describes an emulated vendor before it is started. Package documentation tells how to write one.
type Vendor struct {
	// Name is the value of the engine's config field "vendor".
	Name string
	// Switches are the choices that the vendor's documents leave open.
	Switches []Switch
	// New makes the twin. It is called once per server start.
	New func(env *Env) Service
}

// Service is a running imitation of one vendor. Its functions are called one at a time.
type Service struct {
	// Endpoints are the vendor's servers; one of them is named [EndpointURL].
	Endpoints []Endpoint
	// Credentials are the first root credential, by the names of the engine's config fields. A vendor whose
	// root can be changed over its API goes back to these at Reset.
	Credentials map[string]string
	// Login is another way in, for vendors whose root credential is made from one. May be nil.
	Login map[string]string
	// Actions are what only a person at the vendor's console could do. May be empty.
	Actions []Action
	// Reset forgets everything that was issued or changed, except the first root credentials.
	Reset func()
}

// Endpoint is one server of a vendor, which gets a port of its own.
type Endpoint struct {
	// Name is [EndpointURL] or [EndpointAuthURL].
	Name string
	// Path is appended to the URL in the state file, such as "/api". May be empty.
	Path string
	// Handler answers requests. Their bodies are in memory already, at most 8 MiB.
	Handler http.Handler
	// Operation names the intent of a request, for the request log and for the routes of faults; body is
	// what the handler will read. May be nil. It is called without the vendor's lock, and must be pure.
	Operation func(r *http.Request, body []byte) string
	// ErrorBody gives content type and body of an injected error that was asked for by status alone. May be
	// nil, then the body is empty.
	ErrorBody func(status int) (contentType string, body []byte)
}

// Action is a control call that stands for a person at the vendor's console.
type Action struct {
	Name        string `json:"name"`
	Description string `json:"meaning"`
	// Arguments are the names that Do understands; it must treat each as optional or say that it is missing.
	Arguments []string `json:"arguments,omitempty"`
	// Do acts. What it returns is the answer of the control call.
	Do func(arguments map[string]string) (map[string]string, error) `json:"-"`
}

// Env is what the core lends to a twin. It is guarded by the lock of the vendor.
type Env struct {
	// Random is the vendor's own stream of repeatable bytes.
	Random *Random
	// History records what the vendor issues.
	History *History

	clock  *Clock
	quirks *quirks
}

// newEnv makes the environment of one vendor.
func newEnv(v Vendor, clock *Clock, seed uint64) (*Env, error) {
	values, err := newQuirks(v.Switches)
	if err != nil {
		return nil, err
	}
	env := &Env{Random: newRandom(seed, v.Name), clock: clock, quirks: values}
	env.History = &History{env: env}
	env.History.reset()
	return env, nil
}

// Now is the time on the vendor's own clock, in UTC.
func (e *Env) Now() time.Time { return e.clock.Now().Add(e.skew()) }

// skew is how far the vendor's clock is wrong.
func (e *Env) skew() time.Duration { return e.quirks.duration(SwitchClockSkew) }

// Switch returns the value of a switch. Like the readers below it panics when the switch was not declared.
func (e *Env) Switch(name string) string { return e.quirks.value(name) }

// Enabled tells whether a yes-or-no switch says yes.
func (e *Env) Enabled(name string) bool { return e.quirks.value(name) == Yes }

// Integer returns the value of a switch that holds a number.
func (e *Env) Integer(name string) int {
	n, err := strconv.Atoi(e.quirks.value(name))
	if err != nil {
		panic("emulator: switch " + name + " holds no number")
	}
	return n
}

// Duration returns the value of a switch that holds a length of time.
func (e *Env) Duration(name string) time.Duration { return e.quirks.duration(name) }

// WriteJSON answers with status and v as JSON, content type application/json.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("emulator: answer cannot be written as JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the writer is a buffer of the core, or a client that went away
}
