package fortianalyzer

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// storedVersion is the version of the layout of storedToken.
const storedVersion = 1

// storedToken is the form in which the access token of an account survives restarts.
type storedToken struct {
	Version        int       `json:"v"`
	Account        string    `json:"account"` // its owner, by accountKey
	AccessToken    string    `json:"access_token,omitempty"`
	RefreshToken   string    `json:"refresh_token,omitempty"`
	ExpiresAt      time.Time `json:"expires_at,omitzero"`
	ObtainedAt     time.Time `json:"obtained_at,omitzero"`
	PasswordDigest string    `json:"password_digest"`
	ReplacedAt     time.Time `json:"replaced_at,omitzero"`
	Rejected       bool      `json:"rejected,omitempty"`
	Users          []string  `json:"users"`
}

// tokenStore reads and writes the access token of an account in a [provider.SessionStore].
type tokenStore struct {
	store   provider.SessionStore // nil for none
	account string
	timeout time.Duration // of one read or write; a flight has no deadline of its own
	logger  hclog.Logger
}

// load returns the stored token and the ids of the connections that use it, or nil when there is none.
func (s *tokenStore) load(ctx context.Context) (*accessToken, []string, error) {
	if s.store == nil {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	content, err := s.store.Load(ctx)
	if err != nil {
		// Without the stored token, the engine would send the password again.
		return nil, nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opToken, Message: "the stored access token could not be read from Vault's storage",
			Err: errors.Join(provider.ErrNotSent, err),
		}
	}
	if len(content) == 0 {
		return nil, nil, nil
	}
	var stored storedToken
	if err := json.Unmarshal(content, &stored); err != nil || stored.Version != storedVersion || stored.Account != s.account {
		s.logger.Warn("the stored access token has an unknown format or belongs to another account, and is not used", "version", stored.Version)
		return nil, nil, nil
	}
	return &accessToken{
		value: stored.AccessToken, refreshToken: stored.RefreshToken, expiresAt: stored.ExpiresAt, obtainedAt: stored.ObtainedAt,
		password: stored.PasswordDigest, replacedAt: stored.ReplacedAt, rejected: stored.Rejected,
	}, stored.Users, nil
}

// save replaces the stored token. Nil deletes it.
func (s *tokenStore) save(ctx context.Context, token *accessToken, users []string) error {
	if s.store == nil {
		return nil
	}
	var content []byte
	if token != nil {
		var err error
		content, err = json.Marshal(storedToken{
			Version: storedVersion, Account: s.account,
			AccessToken: token.value, RefreshToken: token.refreshToken, ExpiresAt: token.expiresAt, ObtainedAt: token.obtainedAt,
			PasswordDigest: token.password, ReplacedAt: token.replacedAt, Rejected: token.rejected, Users: users,
		})
		if err != nil {
			return &provider.Error{Op: opToken, Message: "the access token could not be written as JSON", Err: err}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.store.Save(ctx, content); err != nil {
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opToken, Message: "the access token could not be written to Vault's storage", Err: err,
		}
	}
	return nil
}
