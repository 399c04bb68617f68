package lacework

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// rejectedKeyBackoff is how long a rejected key is not sent again if the engine keeps no memory of rejected keys.
const rejectedKeyBackoff = 30 * time.Second

// unrecognizedURL is the product's message, with the status 403, for a host or path that does not exist.
const unrecognizedURL = "unrecognized url"

// maxReset is the largest accepted value of RateLimit-Reset. The documented limit counts requests per hour.
const maxReset = 24 * time.Hour

// statusError makes an error from an answer that is not a 2xx. The status for a wrong secret, an unknown key and a
// disabled key is not documented; 401 and 403 are inferred from the vendor's general table of statuses.
func (c *client) statusError(response *httpclient.Response) *provider.Error {
	failure := response.StatusError(errorText(response.Body))
	if response.HasMembers("message") { // the documented form of every error
		failure = response.ProductError(errorText(response.Body))
	}
	switch response.Status {
	case http.StatusBadRequest:
		failure.Remedy = "check key_id and secret_key in config/" + c.config + " and the role's ttl"
	case http.StatusUnauthorized:
		failure.Remedy = "check key_id and secret_key in config/" + c.config +
			"; check in the console (Settings, API Keys) whether the key was disabled or deleted"
	case http.StatusForbidden:
		if strings.Contains(strings.ToLower(errorText(response.Body)), unrecognizedURL) {
			// The path is fixed, so the host is not the account.
			failure.Class, failure.Field = provider.ClassInvalid, "address"
			failure.Remedy = "check that the address in config/" + c.config + " is <account>.lacework.net"
			break
		}
		failure.Remedy = "the key may be disabled, or its owner may no longer be an administrator; check both in the console (Settings, API Keys)"
	case http.StatusNotFound, http.StatusGone:
		// The path is fixed, so the host is not the product.
		failure.Class = provider.ClassInvalid
		failure.Field = "address"
		failure.Remedy = "check that the address in config/" + c.config + " is <account>.lacework.net"
	case http.StatusTooManyRequests:
		if failure.RetryAfter == 0 {
			failure.RetryAfter = rateLimitReset(response.Header)
		}
		failure.Remedy = "the product allows each user 480 requests an hour for each call; use a longer ttl, or share tokens with sharing=shared"
	}
	return failure
}

// rateLimitReset reads the documented header RateLimit-Reset: the seconds until the product accepts the next request. A
// value that is not a number, is negative or is larger than maxReset counts as zero.
func rateLimitReset(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("RateLimit-Reset"), 10, 64)
	if err != nil || seconds > uint64(maxReset/time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// errorText returns the vendor's message from the body of an error. {"message"} is documented. The vendor's Go client
// also reads an older envelope, in which the message inside "data" is the specific one. For any other body the result
// is "".
func errorText(body []byte) string {
	var answer struct {
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var inner struct {
		Message       string `json:"message"`
		StatusMessage string `json:"statusMessage"`
		ErrorMsg      string `json:"ErrorMsg"`
	}
	if json.Unmarshal(answer.Data, &inner) == nil {
		for _, text := range []string{inner.Message, inner.StatusMessage, inner.ErrorMsg} {
			if text != "" {
				return text
			}
		}
	}
	return answer.Message
}
