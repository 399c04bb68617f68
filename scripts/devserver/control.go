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

// Control is a client of the vendor emulator's control API: the credentials that the vendors issued, the requests that
// they received, and the faults, clock and switches that a test sets. It follows the documented JSON and shares no code
// with the emulator. It is safe for concurrent use.
type Control struct {
	base   string
	client *http.Client
}

// NewControl returns a client for the control API at base, the control_url of the state file.
func NewControl(base string) *Control {
	return &Control{
		base: strings.TrimSuffix(base, "/"),
		// The emulator answers from memory: without an answer in this time, it hangs.
		client: &http.Client{Timeout: 30 * time.Second},
	}
}

// Credential is a session or credential that a vendor issued, without its secrets.
type Credential struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`       // "login" for the engine's own sessions, "leased" for credentials that it leases
	Marker    string     `json:"marker"`     // the engine's marker, if the vendor stores one
	IssuedAt  time.Time  `json:"issued_at"`  // on the emulator's clock
	ExpiresAt *time.Time `json:"expires_at"` // nil if it never expires
	EndedAt   *time.Time `json:"ended_at"`   // nil while it is live
	EndedBy   string     `json:"ended_by"`   // "" while it is live, else "revoked", "expired", "evicted", …
	Live      bool       `json:"live"`
}

// Request is a request that a vendor received.
type Request struct {
	At        time.Time `json:"at"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"`
	Operation string    `json:"operation"` // the name of the operation: one path can serve several
}

// Fault makes requests to a vendor fail. The emulator applies the fields in their order. At least one of the fields after
// Times must be set.
type Fault struct {
	// Vendor is the name of the vendor.
	Vendor string `json:"vendor"`
	// Route is "METHOD path", a path, or an operation of the request log. A * matches any number of characters.
	Route string `json:"route"`
	// Skip is the number of matching requests that are served before the first fault.
	Skip int `json:"skip,omitempty"`
	// Times is the number of requests that fail; 0 means all until the faults are cleared.
	Times int `json:"times,omitempty"`
	// Delay delays the request by this much real time. When the client gives up before, the request is not served.
	Delay time.Duration `json:"-"`
	// FinishAfterHangup serves a delayed request although the client has closed the connection: it has its effect after
	// the client's timeout.
	FinishAfterHangup bool `json:"finish_after_hangup,omitempty"`
	// DropBefore closes the connection before the request is served: it has no effect.
	DropBefore bool `json:"drop_before,omitempty"`
	// DropAfter closes the connection after the request was served: it has its effect, and the answer is lost.
	DropAfter bool `json:"drop_after,omitempty"`
	// Status answers with this HTTP status instead of serving the request.
	Status int `json:"status,omitempty"`
	// ActBefore serves the request, and then answers with Status or Body instead of the vendor's answer.
	ActBefore bool `json:"act_before,omitempty"`
	// Body answers with this text instead of the vendor's answer.
	Body string `json:"body,omitempty"`
	// Headers are set on the answer, such as Retry-After.
	Headers map[string]string `json:"headers,omitempty"`
	// BodyBytes pads the answer with spaces to that length, and sends no Content-Length.
	BodyBytes int64 `json:"body_bytes,omitempty"`
	// Truncate sends half of the answer and closes the connection.
	Truncate bool `json:"truncate,omitempty"`
	// Stall sends half of the answer and waits until the client gives up.
	Stall bool `json:"stall,omitempty"`
	// Drip sends the answer one byte at a time, with this pause after each byte.
	Drip time.Duration `json:"-"`
}

// Switch is a behaviour that the vendor's documents leave open, and the current choice.
type Switch struct {
	Vendor  string   `json:"vendor"`
	Name    string   `json:"name"`
	Value   string   `json:"value"`
	Default string   `json:"default"`
	Allowed []string `json:"allowed"`
	Meaning string   `json:"meaning"`
}

// Credentials returns every credential that the vendor has issued, in the order of issue.
func (c *Control) Credentials(ctx context.Context, vendor string) ([]Credential, error) {
	var answer struct {
		Credentials []Credential `json:"credentials"`
	}
	err := c.call(ctx, http.MethodGet, "/credentials?vendor="+url.QueryEscape(vendor), nil, &answer)
	return answer.Credentials, err
}

// Requests returns every request that the vendor has received, in order.
func (c *Control) Requests(ctx context.Context, vendor string) ([]Request, error) {
	var answer struct {
		Requests []Request `json:"requests"`
	}
	err := c.call(ctx, http.MethodGet, "/requests?vendor="+url.QueryEscape(vendor), nil, &answer)
	return answer.Requests, err
}

// RequestCount returns how many requests the vendor has received since the emulator's start or last reset.
func (c *Control) RequestCount(ctx context.Context, vendor string) (int, error) {
	var answer struct {
		Total int `json:"total"`
	}
	err := c.call(ctx, http.MethodGet, "/requests?after=1000000000&vendor="+url.QueryEscape(vendor), nil, &answer)
	return answer.Total, err
}

// AddFault adds a fault.
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

// ClearFaults removes all faults of the vendor.
func (c *Control) ClearFaults(ctx context.Context, vendor string) error {
	return c.call(ctx, http.MethodDelete, "/faults?vendor="+url.QueryEscape(vendor), nil, nil)
}

// Act performs an action that a person would perform at the vendor's console, such as changing a password, and returns its
// results. The emulator's GET /actions lists the actions with their arguments.
func (c *Control) Act(ctx context.Context, vendor, action string, arguments map[string]string) (map[string]string, error) {
	body := map[string]any{"vendor": vendor, "action": action, "arguments": arguments}
	var answer map[string]string
	err := c.call(ctx, http.MethodPost, "/actions", body, &answer)
	return answer, err
}

// Advance advances the clock of all vendors by d. It does not change Vault's clock.
func (c *Control) Advance(ctx context.Context, d time.Duration) error {
	return c.call(ctx, http.MethodPost, "/clock", map[string]any{"advance": d.String()}, nil)
}

// SetSwitch sets a switch of the vendor; see [Switch].
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

// Reset deletes all credentials, recorded requests and faults of all vendors, and sets all switches to their defaults. The
// root credentials of the state file work again.
func (c *Control) Reset(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/reset", map[string]any{}, nil)
}

// call sends a request, with body as JSON unless it is nil, and decodes the answer into answer unless that is nil.
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
		return fmt.Errorf("emulator control: %s %s: the answer does not have the documented form: %w", method, path, err)
	}
	return nil
}
