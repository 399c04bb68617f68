package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxControlBody is the longest body of a control request, in bytes.
const maxControlBody = 4 << 20

// controlError is an error of the control API with its HTTP status.
type controlError struct {
	status  int
	message string
}

// Error implements error.
func (e *controlError) Error() string { return e.message }

// badRequest is the error of a malformed control request.
func badRequest(err error) error { return &controlError{http.StatusBadRequest, err.Error()} }

// controlCalls returns the calls of the control API by method and path. They are described at [Server].
func (s *Server) controlCalls() map[string]func(*http.Request) (any, error) {
	return map[string]func(*http.Request) (any, error){
		"GET /credentials": s.getCredentials,
		"GET /requests":    s.getRequests,
		"GET /faults":      s.getFaults,
		"POST /faults":     s.postFaults,
		"DELETE /faults":   s.deleteFaults,
		"GET /clock":       s.getClock,
		"POST /clock":      s.postClock,
		"GET /switches":    s.getSwitches,
		"POST /switches":   s.postSwitches,
		"GET /actions":     s.getActions,
		"POST /actions":    s.postActions,
		"POST /reset":      s.postReset,
	}
}

// controlHandler serves the control API.
func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	for pattern, call := range s.controlCalls() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := call(r)
			if err != nil {
				status := http.StatusInternalServerError
				if refused, ok := errors.AsType[*controlError](err); ok {
					status = refused.status
				}
				WriteJSON(w, status, map[string]string{"error": err.Error()})
				return
			}
			WriteJSON(w, http.StatusOK, answer)
		})
	}
	return mux
}

// read decodes the body of a control request into v. It refuses unknown members: if it ignored a misspelt
// member of a fault, a test could pass that tests nothing.
func read(r *http.Request, v any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxControlBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return badRequest(fmt.Errorf("read the request: %w", err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badRequest(errors.New("read the request: more than one JSON value"))
	}
	return nil
}

// known returns an error if the server does not serve the vendor that a control request names.
func (s *Server) known(vendor string) error {
	if vendor == "" {
		return badRequest(errors.New("vendor is missing"))
	}
	if _, ok := s.vendors[vendor]; !ok {
		return &controlError{http.StatusNotFound, fmt.Sprintf("vendor %q is not served; there are %v", vendor, s.names)}
	}
	return nil
}

// named returns the vendor that a query names, or all vendors if it names none.
func (s *Server) named(r *http.Request) ([]string, error) {
	vendor := r.URL.Query().Get("vendor")
	if vendor == "" {
		return s.names, nil
	}
	return []string{vendor}, s.known(vendor)
}

func (s *Server) getCredentials(r *http.Request) (any, error) {
	vendor := r.URL.Query().Get("vendor")
	if err := s.known(vendor); err != nil {
		return nil, err
	}
	return map[string]any{"credentials": s.Credentials(vendor)}, nil
}

// getRequests answers with the log, or with its end: after=N leaves out the first N requests. total counts all.
func (s *Server) getRequests(r *http.Request) (any, error) {
	vendor := r.URL.Query().Get("vendor")
	if err := s.known(vendor); err != nil {
		return nil, err
	}
	requests := s.Requests(vendor)
	total := len(requests)
	if after := r.URL.Query().Get("after"); after != "" {
		skip, err := strconv.Atoi(after)
		if err != nil || skip < 0 {
			return nil, badRequest(fmt.Errorf("after must be a number of requests, not %q", after))
		}
		requests = requests[min(skip, total):]
	}
	return map[string]any{"requests": requests, "total": total}, nil
}

// wireFault is the JSON form of a [Fault] in the control API.
type wireFault struct {
	Vendor            string            `json:"vendor"`
	Route             string            `json:"route"`
	Skip              int               `json:"skip,omitempty"`
	Times             int               `json:"times,omitempty"`
	Delay             string            `json:"delay,omitempty"`
	FinishAfterHangup bool              `json:"finish_after_hangup,omitempty"`
	DropBefore        bool              `json:"drop_before,omitempty"`
	DropAfter         bool              `json:"drop_after,omitempty"`
	Status            int               `json:"status,omitempty"`
	ActBefore         bool              `json:"act_before,omitempty"`
	Body              json.RawMessage   `json:"body,omitempty"`
	Headers           map[string]string `json:"headers,omitempty"`
	BodyBytes         int64             `json:"body_bytes,omitempty"`
	Truncate          bool              `json:"truncate,omitempty"`
	Stall             bool              `json:"stall,omitempty"`
	Drip              string            `json:"drip,omitempty"`
}

// fault converts the JSON form, and checks the fault.
func (f wireFault) fault() (Fault, error) {
	fault := Fault{
		Vendor: f.Vendor, Route: f.Route, Skip: f.Skip, Times: f.Times, DropBefore: f.DropBefore,
		DropAfter: f.DropAfter, Status: f.Status, Header: f.Headers, BodyBytes: f.BodyBytes,
		Truncate: f.Truncate, Stall: f.Stall, FinishAfterHangup: f.FinishAfterHangup, ActBefore: f.ActBefore,
	}
	for _, pause := range []struct {
		name, text string
		target     *time.Duration
	}{{"delay", f.Delay, &fault.Delay}, {"drip", f.Drip, &fault.Drip}} {
		if pause.text == "" {
			continue
		}
		d, err := time.ParseDuration(pause.text)
		if err != nil {
			return Fault{}, fmt.Errorf("%s: %w", pause.name, err)
		}
		*pause.target = d
	}
	if len(f.Body) > 0 {
		body := string(f.Body)
		var text string
		if err := json.Unmarshal(f.Body, &text); err == nil && body != "null" {
			body = text
		}
		fault.Body = &body
	}
	return fault, fault.check()
}

// newWireFault converts a fault to its JSON form.
func newWireFault(f Fault) (wireFault, error) {
	w := wireFault{
		Vendor: f.Vendor, Route: f.Route, Skip: f.Skip, Times: f.Times, DropBefore: f.DropBefore,
		DropAfter: f.DropAfter, Status: f.Status, Headers: f.Header, BodyBytes: f.BodyBytes,
		Truncate: f.Truncate, Stall: f.Stall, FinishAfterHangup: f.FinishAfterHangup, ActBefore: f.ActBefore,
	}
	if f.Delay > 0 {
		w.Delay = f.Delay.String()
	}
	if f.Drip > 0 {
		w.Drip = f.Drip.String()
	}
	if f.Body != nil {
		body, err := json.Marshal(*f.Body)
		if err != nil {
			return wireFault{}, fmt.Errorf("show a fault: %w", err)
		}
		w.Body = body
	}
	return w, nil
}

func (s *Server) getFaults(r *http.Request) (any, error) {
	vendors, err := s.named(r)
	if err != nil {
		return nil, err
	}
	list := []wireFault{}
	for _, vendor := range vendors {
		for _, fault := range s.Faults(vendor) {
			shown, err := newWireFault(fault)
			if err != nil {
				return nil, err
			}
			list = append(list, shown)
		}
	}
	return map[string]any{"faults": list}, nil
}

func (s *Server) postFaults(r *http.Request) (any, error) {
	var wire wireFault
	if err := read(r, &wire); err != nil {
		return nil, err
	}
	if err := s.known(wire.Vendor); err != nil {
		return nil, err
	}
	fault, err := wire.fault()
	if err != nil {
		return nil, badRequest(err)
	}
	return wire, s.AddFault(fault)
}

func (s *Server) deleteFaults(r *http.Request) (any, error) {
	vendors, err := s.named(r)
	if err != nil {
		return nil, err
	}
	for _, vendor := range vendors {
		s.ClearFaults(vendor)
	}
	return map[string]any{"faults": []wireFault{}}, nil
}

func (s *Server) getClock(*http.Request) (any, error) {
	return map[string]any{"now": s.Now(), "offset": s.clock.Offset().String()}, nil
}

func (s *Server) postClock(r *http.Request) (any, error) {
	var wire struct {
		Advance string `json:"advance"`
	}
	if err := read(r, &wire); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(wire.Advance)
	if err != nil {
		return nil, badRequest(fmt.Errorf("advance: %w", err))
	}
	if err := s.Advance(d); err != nil {
		return nil, badRequest(err)
	}
	return s.getClock(r)
}

func (s *Server) getSwitches(r *http.Request) (any, error) {
	vendors, err := s.named(r)
	if err != nil {
		return nil, err
	}
	list := []SwitchValue{}
	for _, vendor := range vendors {
		list = append(list, s.Switches(vendor)...)
	}
	return map[string]any{"switches": list}, nil
}

func (s *Server) postSwitches(r *http.Request) (any, error) {
	var wire struct {
		Vendor string `json:"vendor"`
		Name   string `json:"name"`
		Value  string `json:"value"`
	}
	if err := read(r, &wire); err != nil {
		return nil, err
	}
	if err := s.known(wire.Vendor); err != nil {
		return nil, err
	}
	if err := s.SetSwitch(wire.Vendor, wire.Name, wire.Value); err != nil {
		return nil, badRequest(err)
	}
	return wire, nil
}

func (s *Server) getActions(r *http.Request) (any, error) {
	vendors, err := s.named(r)
	if err != nil {
		return nil, err
	}
	type shown struct {
		Vendor string `json:"vendor"`
		Action
	}
	list := []shown{}
	for _, vendor := range vendors {
		for _, action := range s.must(vendor).service.Actions {
			list = append(list, shown{vendor, action})
		}
	}
	return map[string]any{"actions": list}, nil
}

func (s *Server) postActions(r *http.Request) (any, error) {
	var wire struct {
		Vendor    string            `json:"vendor"`
		Action    string            `json:"action"`
		Arguments map[string]string `json:"arguments"`
	}
	if err := read(r, &wire); err != nil {
		return nil, err
	}
	if err := s.known(wire.Vendor); err != nil {
		return nil, err
	}
	answer, err := s.Do(wire.Vendor, wire.Action, wire.Arguments)
	if err != nil {
		return nil, badRequest(err)
	}
	if answer == nil {
		answer = map[string]string{}
	}
	return answer, nil
}

func (s *Server) postReset(*http.Request) (any, error) {
	s.Reset()
	return map[string]any{}, nil
}
