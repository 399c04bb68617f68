package trend

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// List lists the keys whose name begins with prefix, those too that have expired and are still listed. The
// management key itself is left out: a bootstrap has given it a marker too.
func (c *connection) List(ctx context.Context, prefix string) ([]provider.Listed, error) {
	if err := provider.CheckPrefix(opSearch, prefix); err != nil {
		return nil, err
	}
	if err := c.checkUsable(opSearch); err != nil {
		return nil, err
	}
	own, err := c.api.current(ctx)
	if err != nil {
		return nil, c.classifyCurrent(err)
	}
	keys, err := c.api.keysBeginning(ctx, prefix)
	if err != nil {
		return nil, c.classify(ctx, err, rightsView)
	}
	found := make([]provider.Listed, 0, len(keys))
	for _, key := range keys {
		if key.ID == own.ID {
			continue
		}
		entry := provider.Listed{Marker: key.KeyName}
		if key.expires() {
			entry.ExpiresAt = c.api.clock.toLocal(time.UnixMilli(*key.ExpiryDate))
		}
		found = append(found, entry)
	}
	return found, nil
}

// keysBeginning finds the API keys whose name begins with prefix: POST /apikeys/search, a page at a time.
//
// A page that is not full is no sign of the last one: whether a manager gives as many as are asked for is not
// documented. So the next page is asked for until one is empty.
func (c *client) keysBeginning(ctx context.Context, prefix string) ([]apiKey, error) {
	var keys []apiKey
	for last := 0; ; {
		page, err := c.keysAfter(ctx, prefix, last)
		if err != nil || len(page) == 0 {
			return keys, err
		}
		last = page[len(page)-1].ID
		for _, key := range page {
			// In a search with wildcards _ stands for any character, and upper and lower case may be the same.
			if strings.HasPrefix(key.KeyName, prefix) {
				keys = append(keys, key)
			}
		}
	}
}

// keysAfter returns the page of keys that follows the key of that ID.
func (c *client) keysAfter(ctx context.Context, prefix string, last int) ([]apiKey, error) {
	request := httpclient.Request{
		Op: opSearch, Method: http.MethodPost, Path: "/apikeys/search", JSON: searchByPrefix("keyName", prefix, last), Idempotent: true,
	}
	response, err := c.send(ctx, request)
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.atFixedPath(c.refusal(response))
	}
	var answer keysAnswer
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	for _, key := range answer.APIKeys {
		// Out of order, pages would overlap without end, or leave keys out.
		if key.ID <= last {
			return nil, response.UnexpectedResponse("the answer holds keys that were not asked for, or not by ascending ID")
		}
		last = key.ID
	}
	return answer.APIKeys, nil
}
