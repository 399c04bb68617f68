package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// emulatorDeadline bounds the emulator's start, which takes less than a second on an idle machine.
const emulatorDeadline = 30 * time.Second

// State is the vendor emulator's state file, which it writes once it accepts connections: the addresses of its vendors, and
// the root credentials that they accept.
type State struct {
	// CACertFile is the PEM file of the CA that signed the vendors' certificates. Empty when they serve plain HTTP.
	CACertFile string `json:"ca_cert_file"`
	// ControlURL is the base of the control API, see [Control].
	ControlURL string `json:"control_url"`
	// Vendors has one entry for each vendor, by the value of the config field "vendor".
	Vendors map[string]VendorState `json:"vendors"`
}

// VendorState holds the addresses and root credentials of one emulated vendor.
type VendorState struct {
	// URL is the value of the config field "address".
	URL string `json:"url"`
	// AuthURL is the value of the config field "auth_address". Empty for a vendor without that field.
	AuthURL string `json:"auth_url"`
	// Credentials holds the root credential, by config field.
	Credentials map[string]string `json:"credentials"`
	// Login is a login from which the engine can create the root credential, by config field. Empty for a vendor without it.
	Login map[string]string `json:"login"`
}

// CACert returns the PEM text of CACertFile.
func (s State) CACert() (string, error) {
	text, err := os.ReadFile(s.CACertFile)
	if err != nil {
		return "", fmt.Errorf("read the emulator's CA certificate: %w", err)
	}
	return string(text), nil
}

// ConfigFields returns the fields of a vendor's config, as an operator writes them for this emulator.
func (s State) ConfigFields(vendor string) (map[string]any, error) {
	served, ok := s.Vendors[vendor]
	if !ok {
		return nil, fmt.Errorf("the emulator does not serve %s", vendor)
	}
	ca, err := s.CACert()
	if err != nil {
		return nil, err
	}
	fields := map[string]any{"vendor": vendor, "address": served.URL, "ca_cert": ca}
	if served.AuthURL != "" {
		fields["auth_address"] = served.AuthURL
	}
	for field, value := range served.Credentials {
		fields[field] = value
	}
	return fields, nil
}

// startEmulator starts the vendor emulator with its files in dir, and waits until it serves.
func startEmulator(ctx context.Context, binary, dir string, args []string) (*process, State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, State{}, fmt.Errorf("make the emulator's directory: %w", err)
	}
	stateFile := filepath.Join(dir, "state.json")
	args = append([]string{"-state", stateFile}, args...)
	p, err := startProcess("the vendor emulator", filepath.Join(dir, "emulator.log"), os.Environ(), binary, args...)
	if err != nil {
		return nil, State{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, emulatorDeadline)
	defer cancel()
	var state State
	err = p.await(ctx, "its state file", func(context.Context) (bool, error) {
		text, err := os.ReadFile(stateFile)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		// A file that is not JSON is still being written.
		return json.Unmarshal(text, &state) == nil && state.ControlURL != "", nil
	})
	if err != nil {
		return nil, State{}, errors.Join(err, p.stop())
	}
	return p, state, nil
}

// StartEmulator starts the vendor emulator alone, with its files in dir, and waits until it serves. The caller must call stop.
func StartEmulator(ctx context.Context, binary, dir string, args ...string) (state State, stop func() error, err error) {
	p, state, err := startEmulator(ctx, binary, dir, args)
	if err != nil {
		return State{}, nil, err
	}
	return state, p.stop, nil
}
