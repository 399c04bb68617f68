package emulator

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Names of a service's endpoints. They are also the members of the state file.
const (
	// EndpointURL is the server whose URL goes into the engine's config field "address".
	EndpointURL = "url"
	// EndpointAuthURL is a separate authorization server, config field "auth_address".
	EndpointAuthURL = "auth_url"
)

// Vendor describes an emulated vendor before it is started. The package documentation describes how to write
// one.
type Vendor struct {
	// Name is the value of the engine's config field "vendor".
	Name string
	// Switches are the choices that the vendor's documents leave open.
	Switches []Switch
	// New makes the service. [Start] calls it once.
	New func(env *Env) Service
}

// Service is the running emulation of one vendor. The server calls its functions one at a time.
type Service struct {
	// Endpoints are the vendor's servers; one of them is named [EndpointURL].
	Endpoints []Endpoint
	// Credentials are the first root credential, by the names of the engine's config fields. Reset returns to
	// them if the vendor's API has changed the root credential.
	Credentials map[string]string
	// Login is a second way to log in, for vendors whose root credential is created with one. May be nil.
	Login map[string]string
	// Actions are the steps that the vendor allows only at its console. May be empty.
	Actions []Action
	// Reset clears everything that was issued or changed, except the first root credentials. May be nil.
	Reset func()
}

// Endpoint is one server of a vendor, on a port of its own.
type Endpoint struct {
	// Name is [EndpointURL] or [EndpointAuthURL].
	Name string
	// Path is appended to the URL in the state file, such as "/api". May be empty.
	Path string
	// Handler answers requests. Their bodies are already in memory, at most 8 MiB.
	Handler http.Handler
	// Operation names the intent of a request, for the request log and for the routes of faults; body is the
	// request's body. May be nil. The server calls it without the vendor's lock, so it must not use the
	// service's state.
	Operation func(r *http.Request, body []byte) string
	// ErrorBody returns content type and body of an injected error, for a [Fault] with a status and no body.
	// May be nil; the body is empty then.
	ErrorBody func(status int) (contentType string, body []byte)
}

// Action is a control call that does a step at the vendor's console.
type Action struct {
	Name        string `json:"name"`
	Description string `json:"meaning"`
	// Arguments are the names that Do accepts. Do must treat each as optional, or return an error that names
	// the missing one.
	Arguments []string `json:"arguments,omitempty"`
	// Do performs the action. Its result is the answer of the control call; nil means no members.
	Do func(arguments map[string]string) (map[string]string, error) `json:"-"`
}

// Env gives a service its clock, switches, random bytes and history. The vendor's lock guards it.
type Env struct {
	// Random is the vendor's own stream of repeatable bytes.
	Random *Random
	// History records the credentials that the vendor issues.
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

// skew is the error of the vendor's clock: how far it is ahead of the emulated time.
func (e *Env) skew() time.Duration { return e.quirks.duration(SwitchClockSkew) }

// Switch returns the value of a switch. Like Enabled, Integer and Duration, it panics if the vendor has not
// declared the switch.
func (e *Env) Switch(name string) string { return e.quirks.value(name) }

// Enabled reports whether the value of a yes-or-no switch is [Yes].
func (e *Env) Enabled(name string) bool { return e.quirks.value(name) == Yes }

// Integer returns the value of a switch of [KindInteger].
func (e *Env) Integer(name string) int {
	n, err := strconv.Atoi(e.quirks.value(name))
	if err != nil {
		panic("emulator: switch " + name + " holds no number")
	}
	return n
}

// Duration returns the value of a switch of [KindDuration].
func (e *Env) Duration(name string) time.Duration { return e.quirks.duration(name) }

// WriteJSON answers with status and v as JSON, content type application/json.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("emulator: answer cannot be written as JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // w is a buffer, or a client that has hung up
}
