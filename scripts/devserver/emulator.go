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

// emulatorDeadline bounds the emulator's start, which takes well under a second.
const emulatorDeadline = 30 * time.Second

// State is what the vendor emulator writes once it accepts connections: where its vendors are, and
// the root credentials that they accept.
type State struct {
	// CACertFile is the PEM file of the authority that signed the vendors' certificates; empty when
	// they serve plain HTTP.
	CACertFile string `json:"ca_cert_file"`
	// ControlURL is the base of the control API, see [Control].
	ControlURL string `json:"control_url"`
	// Vendors has one entry a vendor, by the value of the config field "vendor".
	Vendors map[string]VendorState `json:"vendors"`
}

// VendorState says how to reach one emulated vendor.
type VendorState struct {
	// URL goes into the config field "address".
	URL string `json:"url"`
	// AuthURL goes into the config field "auth_address", for the vendors that have one.
	AuthURL string `json:"auth_url"`
	// Credentials are the root credential, by config field.
	Credentials map[string]string `json:"credentials"`
	// Login is another root credential from which the vendor's own can be made, by config field.
	Login map[string]string `json:"login"`
}

// CACert returns the PEM text of the authority that signed the vendors' certificates.
func (s State) CACert() (string, error) {
	text, err := os.ReadFile(s.CACertFile)
	if err != nil {
		return "", fmt.Errorf("read the emulator's CA certificate: %w", err)
	}
	return string(text), nil
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
		// A file that is not JSON yet is being written; if it never will be, the deadline says so.
		return json.Unmarshal(text, &state) == nil && state.ControlURL != "", nil
	})
	if err != nil {
		return nil, State{}, errors.Join(err, p.stop())
	}
	return p, state, nil
}
