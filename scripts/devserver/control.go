package devserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Control is a client of the vendor emulator's control API: what the vendors issued and saw, and the
// faults, clock and switches that a test sets. It is written from the documented JSON and shares no
// code with the emulator. It is safe for concurrent use.
type Control struct {
	base   string
	client *http.Client
}

// NewControl returns a client for the control API at base, the control_url of the state file.
func NewControl(base string) *Control {
	return &Control{
		base: strings.TrimSuffix(base, "/"),
		// The emulator answers from memory; one that takes this long has stopped.
		client: &http.Client{Timeout: 30 * time.Second},
	}
}

// Credential is something that a vendor issued, without its secrets.
type Credential struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`       // "login" for the engine's own sessions, "leased" for what it hands out
	Marker    string     `json:"marker"`     // the label that the engine put on it, if the vendor has a place for one
	IssuedAt  time.Time  `json:"issued_at"`  // on the emulator's clock
	ExpiresAt *time.Time `json:"expires_at"` // nil if it never expires
	EndedAt   *time.Time `json:"ended_at"`   // nil while it lives
	EndedBy   string     `json:"ended_by"`   // "" while it lives, else "revoked", "expired", "evicted", …
	Live      bool       `json:"live"`
}

// Request is a call that a vendor received.
type Request struct {
	At        time.Time `json:"at"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"`
	Operation string    `json:"operation"` // what the body asked for, where one path serves many purposes
}

// Fault makes a vendor misbehave on a route. Its parts are applied in the order of the fields; at least
// one of them must say what goes wrong.
type Fault struct {
	// Vendor is the one to misbehave.
	Vendor string `json:"vendor"`
	// Route is "METHOD path", a path, or an operation of the request log; a * stands for any run of
	// characters.
	Route string `json:"route"`
	// Skip lets that many matching requests pass first.
	Skip int `json:"skip,omitempty"`
	// Times is how many requests are hit; 0 means all until the faults are cleared.
	Times int `json:"times,omitempty"`
	// Delay serves the request this much later, in real time.
	Delay time.Duration `json:"-"`
	// DropBefore cuts the connection before the request is served: it had no effect.
	DropBefore bool `json:"drop_before,omitempty"`
	// DropAfter cuts the connection after the request was served: it had its effect, unheard.
	DropAfter bool `json:"drop_after,omitempty"`
	// Status answers with this HTTP status instead of serving the request.
	Status int `json:"status,omitempty"`
	// Body answers with this text instead of the real one.
	Body string `json:"body,omitempty"`
	// Headers are set on the answer, such as Retry-After.
	Headers map[string]string `json:"headers,omitempty"`
	// BodyBytes pads the answer with spaces to that length, which is not announced.
	BodyBytes int64 `json:"body_bytes,omitempty"`
	// Truncate sends only half of the answer.
	Truncate bool `json:"truncate,omitempty"`
	// Stall sends half of the answer, and no more until the client gives up.
	Stall bool `json:"stall,omitempty"`
	// Drip sends the answer a byte at a time, with this pause after each.
	Drip time.Duration `json:"-"`
}

// Switch is one of a vendor's open questions, and the answer it gives at the moment.
type Switch struct {
	Vendor  string   `json:"vendor"`
	Name    string   `json:"name"`
	Value   string   `json:"value"`
	Default string   `json:"default"`
	Allowed []string `json:"allowed"`
	Meaning string   `json:"meaning"`
}

// Credentials returns everything that vendor ever issued, in the order of issue.
func (c *Control) Credentials(ctx context.Context, vendor string) ([]Credential, error) {
	var answer struct {
		Credentials []Credential `json:"credentials"`
	}
	err := c.call(ctx, http.MethodGet, "/credentials?vendor="+url.QueryEscape(vendor), nil, &answer)
	return answer.Credentials, err
}

// Requests returns every request that vendor received, in order.
func (c *Control) Requests(ctx context.Context, vendor string) ([]Request, error) {
	var answer struct {
		Requests []Request `json:"requests"`
	}
	err := c.call(ctx, http.MethodGet, "/requests?vendor="+url.QueryEscape(vendor), nil, &answer)
	return answer.Requests, err
}

// AddFault makes a vendor misbehave from now on.
func (c *Control) AddFault(ctx context.Context, f Fault) error {
	wire := struct {
		Fault
		Delay string `json:"delay,omitempty"`
		Drip  string `json:"drip,omitempty"`
	}{Fault: f}
	if f.Delay != 0 {
		wire.Delay = f.Delay.String()
	}
	if f.Drip != 0 {
		wire.Drip = f.Drip.String()
	}
	return c.call(ctx, http.MethodPost, "/faults", wire, nil)
}

// ClearFaults ends all misbehaviour of vendor.
func (c *Control) ClearFaults(ctx context.Context, vendor string) error {
	return c.call(ctx, http.MethodDelete, "/faults?vendor="+url.QueryEscape(vendor), nil, nil)
}

// Act does what only a person at the vendor's console could do, such as changing a password. The
// emulator's GET /actions lists the actions with their arguments.
func (c *Control) Act(ctx context.Context, vendor, action string, arguments map[string]string) (map[string]string, error) {
	body := map[string]any{"vendor": vendor, "action": action, "arguments": arguments}
	var answer map[string]string
	err := c.call(ctx, http.MethodPost, "/actions", body, &answer)
	return answer, err
}

// Advance moves the clock of all vendors forward by d. Vault's own clock stays where it is.
func (c *Control) Advance(ctx context.Context, d time.Duration) error {
	return c.call(ctx, http.MethodPost, "/clock", map[string]any{"advance": d.String()}, nil)
}

// SetSwitch chooses how vendor behaves where its documents leave that open.
func (c *Control) SetSwitch(ctx context.Context, vendor, name, value string) error {
	return c.call(ctx, http.MethodPost, "/switches", map[string]any{"vendor": vendor, "name": name, "value": value}, nil)
}

// Switches lists the switches of all vendors.
func (c *Control) Switches(ctx context.Context) ([]Switch, error) {
	var answer struct {
		Switches []Switch `json:"switches"`
	}
	err := c.call(ctx, http.MethodGet, "/switches", nil, &answer)
	return answer.Switches, err
}

// Reset forgets all credentials, requests, faults and switches of all vendors. The root credentials
// of the state file work again.
func (c *Control) Reset(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/reset", map[string]any{}, nil)
}

// call sends body, if there is one, as JSON and decodes the answer into answer, if wanted.
func (c *Control) call(ctx context.Context, method, path string, body, answer any) error {
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("emulator control: %s %s: %w", method, path, err)
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return fmt.Errorf("emulator control: %s %s: %w", method, path, err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("emulator control: %w (has the emulator stopped?)", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("emulator control: %s %s: read the answer: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("emulator control: %s %s: %s: %s", method, path, response.Status, strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("emulator control: %s %s: the answer is not as documented: %w", method, path, err)
	}
	return nil
}
