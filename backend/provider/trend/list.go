package trend

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// List returns the keys whose name begins with prefix. It includes expired keys that the manager still lists. It
// omits the management key, which has a marker as its name if a bootstrap or a rotation created it.
func (c *connection) List(ctx context.Context, prefix string) ([]provider.Listed, error) {
	if err := provider.CheckPrefix(opSearch, prefix); err != nil {
		return nil, err
	}
	if err := c.checkUsable(opSearch); err != nil {
		return nil, err
	}
	current, err := c.api.describeCurrentKey(ctx)
	if err != nil {
		return nil, c.classifyCurrent(err)
	}
	keys, err := c.api.listKeys(ctx, prefix)
	if err != nil {
		return nil, c.classify(ctx, err, rightsView)
	}
	listed := make([]provider.Listed, 0, len(keys))
	for _, key := range keys {
		if key.ID == current.ID {
			continue
		}
		entry := provider.Listed{Marker: key.KeyName}
		if key.expires() {
			entry.ExpiresAt = c.api.clock.toLocal(time.UnixMilli(*key.ExpiryDate))
		}
		listed = append(listed, entry)
	}
	return listed, nil
}

// listKeys finds the API keys whose name begins with prefix: POST /apikeys/search, page by page.
//
// It is not documented whether the manager returns as many keys as requested. So a page that is not full can
// have a next page, and listKeys stops only at an empty page.
func (c *client) listKeys(ctx context.Context, prefix string) ([]apiKey, error) {
	var keys []apiKey
	for lastID := 0; ; {
		page, err := c.listPage(ctx, prefix, lastID)
		if err != nil || len(page) == 0 {
			return keys, err
		}
		lastID = page[len(page)-1].ID
		for _, key := range page {
			// In a search with wildcards, _ matches any character, and the search may ignore case.
			if strings.HasPrefix(key.KeyName, prefix) {
				keys = append(keys, key)
			}
		}
	}
}

// listPage returns the page of keys with IDs larger than lastID.
func (c *client) listPage(ctx context.Context, prefix string, lastID int) ([]apiKey, error) {
	var page keysResponse
	response, err := c.fetch(ctx, httpclient.Request{
		Op: opSearch, Method: http.MethodPost, Path: "/apikeys/search", JSON: searchByPrefix("keyName", prefix, lastID), Idempotent: true,
	}, &page)
	if err != nil {
		return nil, err
	}
	for _, key := range page.APIKeys {
		// In another order, pages could overlap without end, or keys could be missing.
		if key.ID <= lastID {
			return nil, response.UnexpectedResponse("the response contains keys that were not requested, or keys that are not in ascending order of ID")
		}
		lastID = key.ID
	}
	return page.APIKeys, nil
}
