package ftd

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// storedVersion is the version of the layout of storedSession.
const storedVersion = 1

// storedSession is a session as it is kept over restarts. Address and user bind it: a session is never used
// for another device or in another user's name, whatever becomes of the config.
type storedSession struct {
	Version     int       `json:"v"`
	Address     string    `json:"address"`
	Username    string    `json:"username"`
	Access      string    `json:"access_token"`
	AccessEnds  time.Time `json:"access_expires_at"`
	Refresh     string    `json:"refresh_token,omitempty"`
	RefreshEnds time.Time `json:"refresh_expires_at,omitzero"`
}

// sessionStore reads and writes sessions in a provider.SessionStore.
type sessionStore struct {
	store    provider.SessionStore
	address  string
	username string
	timeout  time.Duration // of one access: a flight has no deadline of its own
	logger   hclog.Logger
}

// load returns the stored session, or nil when there is none that is ours.
func (s sessionStore) load(ctx context.Context) (*session, error) {
	if s.store == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	content, err := s.store.Load(ctx)
	if err != nil {
		// Going on without would log in a second time and take another of the device's sessions.
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opLogin, Message: "the stored login could not be read from Vault's storage", Err: err,
		}
	}
	if len(content) == 0 {
		return nil, nil
	}
	var stored storedSession
	if err := json.Unmarshal(content, &stored); err != nil || stored.Version != storedVersion || stored.Access == "" || !httpclient.ValidToken(stored.Access) {
		s.logger.Warn("the stored login cannot be understood and is not used", "version", stored.Version)
		return nil, nil
	}
	if stored.Address != s.address || stored.Username != s.username {
		s.logger.Warn("the stored login is of another device or user and is not used")
		return nil, nil
	}
	return &session{
		access: stored.Access, accessEnds: stored.AccessEnds,
		refresh: stored.Refresh, refreshEnds: stored.RefreshEnds,
	}, nil
}

// save replaces what is stored; nil deletes it.
func (s sessionStore) save(ctx context.Context, held *session) error {
	if s.store == nil {
		return nil
	}
	var content []byte
	if held != nil {
		var err error
		content, err = json.Marshal(storedSession{
			Version: storedVersion, Address: s.address, Username: s.username,
			Access: held.access, AccessEnds: held.accessEnds,
			Refresh: held.refresh, RefreshEnds: held.refreshEnds,
		})
		if err != nil {
			return &provider.Error{Op: opLogin, Message: "the login could not be written as JSON", Err: err}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.store.Save(ctx, content); err != nil {
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opLogin, Message: "the login could not be written to Vault's storage", Err: err,
		}
	}
	return nil
}
