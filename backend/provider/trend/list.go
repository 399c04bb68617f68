package trend

import (
	"context"
	"fmt"
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
	current, err := c.describeCurrent(ctx)
	if err != nil {
		return nil, c.classifyCurrent(err)
	}
	var listed []provider.Listed
	err = c.api.listKeys(ctx, prefix, func(key apiKey) {
		if key.ID == current.ID {
			return
		}
		entry := provider.Listed{Marker: key.KeyName}
		if key.expires() {
			entry.ExpiresAt = c.api.clock.toLocal(time.UnixMilli(*key.ExpiryDate))
		}
		listed = append(listed, entry)
	})
	if err != nil {
		return nil, c.classify(ctx, err, rightsView)
	}
	return listed, nil
}

const (
	// pageSize is the number of keys that a search requests. A page of keys with long descriptions, of up to two
	// kilobytes each, is smaller than the largest response that is read, [httpclient.MaxBody]. The documented
	// default is 5,000.
	pageSize = 500

	// maxListedKeys and maxPages limit a list, so that a manager whose list does not end uses neither the memory of
	// the plugin nor the calls that the manager allows for a key.
	maxListedKeys = 20_000
	maxPages      = 200
)

// listKeys finds the API keys whose name begins with prefix: POST /apikeys/search, page by page. It calls keep with
// each of them, and holds one page in memory.
//
// It is not documented whether the manager returns as many keys as requested. So a page that is not full can
// have a next page, and listKeys stops only at an empty page.
func (c *client) listKeys(ctx context.Context, prefix string, keep func(apiKey)) error {
	lastID, received := 0, 0
	for range maxPages {
		page, err := c.listPage(ctx, prefix, lastID)
		if err != nil || len(page) == 0 {
			return err
		}
		lastID = page[len(page)-1].ID
		if received += len(page); received > maxListedKeys {
			break
		}
		for _, key := range page {
			// In a search with wildcards, _ matches any character, and the search may ignore case.
			if strings.HasPrefix(key.KeyName, prefix) {
				keep(key)
			}
		}
	}
	return &provider.Error{
		Class: provider.ClassUnavailable, Op: opSearch,
		Message: fmt.Sprintf("the manager returned more API keys whose name begins with %q than the engine reads (%d keys, %d pages)",
			prefix, maxListedKeys, maxPages),
		Remedy: "delete those keys at the manager that are no longer used, or check whether its list ends",
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
