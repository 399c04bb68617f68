package trend

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// ownKeyPresent must return true before a key is changed or deleted by its ID. It sends no request if the handle
// and the management key have the same tenant; the key can then be absent although the result is true. Otherwise
// it is keyPresent.
func (c *connection) ownKeyPresent(ctx context.Context, op string, leased handle) (bool, error) {
	if leased.Tenant != "" {
		if err := c.handshake(ctx); err != nil {
			return false, err
		}
	}
	if c.tenant.owns(leased) {
		return true, nil
	}
	return c.keyPresent(ctx, op, leased)
}

// keyPresent reports whether the manager has the leased key. A key with its ID and another name is an error. It
// costs one call if the manager's response is as documented.
func (c *connection) keyPresent(ctx context.Context, op string, leased handle) (bool, error) {
	key, conclusive, err := c.api.findID(ctx, leased.ID)
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		conclusive, err = false, nil // that the manager accepts this search is inferred
	}
	if err != nil {
		return false, c.classify(ctx, err, rightsView)
	}
	if !conclusive {
		// classify proves by another request that a 404 comes from the manager.
		key, err = c.api.describeKey(ctx, leased.ID)
		if err = c.classify(ctx, err, rightsView); provider.ClassOf(err) == provider.ClassNotFound {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	if key == nil {
		return false, nil
	}
	if key.KeyName != leased.Name {
		return false, errOtherKey(op, leased)
	}
	return true, nil
}

// findID searches for the API key with this ID: POST /apikeys/search. Key is nil if there is none. conclusive is
// false if the response does not prove that: it contains no list, as the response of another server would, or
// other keys, as if the manager had ignored the condition.
func (c *client) findID(ctx context.Context, id int) (key *apiKey, conclusive bool, err error) {
	var found struct {
		APIKeys json.RawMessage `json:"apiKeys"` // nil if the member is missing
	}
	response, err := c.fetch(ctx, httpclient.Request{
		Op: opSearch, Method: http.MethodPost, Path: "/apikeys/search", JSON: searchByID(id), Idempotent: true,
	}, &found)
	if err != nil || found.APIKeys == nil {
		return nil, false, err
	}
	var keys []apiKey
	if json.Unmarshal(found.APIKeys, &keys) != nil {
		return nil, false, response.UnexpectedResponse("the response contains no list of API keys")
	}
	for i := range keys {
		if keys[i].ID == id {
			return &keys[i], true, nil
		}
	}
	return nil, len(keys) == 0, nil
}
