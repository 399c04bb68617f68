package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// State holds the addresses and root credentials of a running [Server]. As JSON it is the state file.
type State struct {
	// CACertFile is the file in which [Server.WriteState] stores the CA's certificate, "" over plain HTTP.
	CACertFile string                 `json:"ca_cert_file"`
	ControlURL string                 `json:"control_url"`
	Vendors    map[string]VendorState `json:"vendors"`
}

// VendorState is one vendor's part of [State].
type VendorState struct {
	// URL is the engine's config field "address".
	URL string `json:"url"`
	// AuthURL is the engine's config field "auth_address", "" if the vendor has no separate authorization
	// server.
	AuthURL string `json:"auth_url,omitempty"`
	// Credentials are the root credential by the names of the engine's config fields.
	Credentials map[string]string `json:"credentials"`
	// Login is the vendor's second way to log in, nil if it has none.
	Login map[string]string `json:"login,omitempty"`
}

// State returns the addresses and root credentials. CACertFile is empty.
func (s *Server) State() State {
	state := State{ControlURL: s.controlURL, Vendors: map[string]VendorState{}}
	for name, v := range s.vendors {
		state.Vendors[name] = VendorState{
			URL: v.urls[EndpointURL], AuthURL: v.urls[EndpointAuthURL],
			Credentials: maps.Clone(v.service.Credentials), Login: maps.Clone(v.service.Login),
		}
	}
	return state
}

// WriteState writes the state file at path, and the CA's certificate to the same folder: "state.json" gets
// "state-ca.pem". Only the owner can read the files, since the state file holds the root credentials. Each
// file appears complete or not at all, and the state file appears last. remove deletes both.
func (s *Server) WriteState(path string) (remove func() error, err error) {
	state, written := s.State(), []string{}
	remove = func() error {
		var failed error
		for _, file := range written {
			if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
				failed = errors.Join(failed, fmt.Errorf("remove %s: %w", file, err))
			}
		}
		return failed
	}
	write := func(file string, content []byte) error {
		if err := writeWhole(file, content); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", file, err), remove())
		}
		written = append(written, file)
		return nil
	}
	if s.caPEM != nil {
		file, err := filepath.Abs(strings.TrimSuffix(path, filepath.Ext(path)) + "-ca.pem")
		if err != nil {
			return nil, fmt.Errorf("name the CA file: %w", err)
		}
		if err := write(file, s.caPEM); err != nil {
			return nil, err
		}
		state.CACertFile = file
	}
	content, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the state as JSON: %w", err), remove())
	}
	if err := write(path, append(content, '\n')); err != nil {
		return nil, err
	}
	return remove, nil
}

// writeWhole writes a file of mode 0600 under a temporary name and renames it to path.
func writeWhole(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
