package ftd

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// storedVersion is the version of the layout of [storedSession].
const storedVersion = 1

// storedSession is the form in which a session survives restarts. Address and Username name its owner: a session is
// never used for another device or for another user, even if the config has changed.
type storedSession struct {
	Version          int       `json:"v"`
	Address          string    `json:"address"`
	Username         string    `json:"username"`
	AccessToken      string    `json:"access_token"`
	AccessExpiresAt  time.Time `json:"access_expires_at"`
	RefreshToken     string    `json:"refresh_token,omitempty"`
	RefreshExpiresAt time.Time `json:"refresh_expires_at,omitzero"`
	// ListsTokens is a property of the device, see [tokenListing]. It is absent while it is not known.
	ListsTokens *bool `json:"lists_tokens,omitempty"`
}

// listing returns ListsTokens as a tokenListing.
func (s *storedSession) listing() tokenListing {
	switch {
	case s.ListsTokens == nil:
		return listingUnknown
	case *s.ListsTokens:
		return tokensListed
	}
	return tokensNotListed
}

// sessionStore reads and writes sessions in a [provider.SessionStore].
type sessionStore struct {
	store    provider.SessionStore // nil for none
	address  string
	username string
	timeout  time.Duration // of one read or write; a flight has no deadline of its own
	logger   hclog.Logger
}

// load returns the stored session, or nil when there is none for this device and user, and whether the device lists
// custom tokens.
func (s sessionStore) load(ctx context.Context) (*session, tokenListing, error) {
	if s.store == nil {
		return nil, listingUnknown, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	content, err := s.store.Load(ctx)
	if err != nil {
		// Without the stored login, the engine would log in again and use another of the device's sessions.
		return nil, listingUnknown, &provider.Error{
			Class: provider.ClassUnavailable, Op: opLogin, Message: "the stored login could not be read from Vault's storage", Err: err,
		}
	}
	if len(content) == 0 {
		return nil, listingUnknown, nil
	}
	var stored storedSession
	if err := json.Unmarshal(content, &stored); err != nil || stored.Version != storedVersion ||
		stored.AccessToken == "" || !httpclient.ValidToken(stored.AccessToken) {
		s.logger.Warn("the stored login has an unknown format and is not used", "version", stored.Version)
		return nil, listingUnknown, nil
	}
	if stored.Address != s.address || stored.Username != s.username {
		s.logger.Warn("the stored login belongs to another device or user and is not used")
		return nil, listingUnknown, nil
	}
	return &session{
		accessToken: stored.AccessToken, accessExpiresAt: stored.AccessExpiresAt,
		refreshToken: stored.RefreshToken, refreshExpiresAt: stored.RefreshExpiresAt,
	}, stored.listing(), nil
}

// save replaces the stored session. Nil deletes it.
func (s sessionStore) save(ctx context.Context, held *session, listing tokenListing) error {
	if s.store == nil {
		return nil
	}
	var content []byte
	if held != nil {
		stored := storedSession{
			Version: storedVersion, Address: s.address, Username: s.username,
			AccessToken: held.accessToken, AccessExpiresAt: held.accessExpiresAt,
			RefreshToken: held.refreshToken, RefreshExpiresAt: held.refreshExpiresAt,
		}
		if listing != listingUnknown {
			stored.ListsTokens = new(listing == tokensListed)
		}
		var err error
		content, err = json.Marshal(stored)
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
