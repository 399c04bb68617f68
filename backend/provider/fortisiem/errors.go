package fortisiem

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// blockTime is how long the product blocks a client id after the documented number of failures.
	blockTime = 5 * time.Minute

	// refusalPause is how long a refusal of the client credentials is remembered. The product counts refusals,
	// and a few readers at the same time must not cause the block.
	refusalPause = 30 * time.Second
)

// guiPath is the page of the GUI on which API tokens are managed.
const guiPath = "Admin > Settings > System > API Token in the FortiSIEM GUI"

// remedyCredentials is the remedy for client credentials that the product does not know. %s is the config.
const remedyCredentials = "check client_id and client_secret in config/%s against " + guiPath

// remedyTooEarly is the remedy for a request that came too early. %s is the config.
const remedyTooEarly = "the product allows one token request every 5 seconds for each client id: " +
	"do not use the client id of config/%s anywhere else, and share tokens with sharing=shared"

var (
	// errTooEarly is the cause of a refusal because less than five seconds have passed since another request.
	errTooEarly = errors.New("fortisiem: less than five seconds after another token request")
	// errUnknownText is a further cause of a 400 without a known message. The product answers so to a request that comes too
	// early, as a published client observed, and perhaps to others.
	errUnknownText = errors.New("fortisiem: a refusal without a known message")
	// errIssuedOnce is the cause of a refusal because the client has had a token, on a release that issues only one.
	errIssuedOnce = errors.New("fortisiem: another token for the same client may be refused")
	// errBlocked is the cause of a refusal because the client id is blocked after too many failures.
	errBlocked = errors.New("fortisiem: token requests are blocked")
)

// isTooEarly reports whether a request was refused only because it came too early.
func isTooEarly(err error) bool { return errors.Is(err, errTooEarly) }

// refusalMeaning is the meaning of a message of the token endpoint.
type refusalMeaning struct {
	text       string // a part of the message, in lower case
	class      provider.Class
	remedy     string // %s is the config
	retryAfter time.Duration
	cause      error
}

// refusalMeanings are the documented messages of the token endpoint ("FortiSIEM Public API" 7.5.1, "API Token"). The
// last one is not documented: a public client has seen it. The product answers all of them with the status 400 and the
// error BAD_REQUEST, so only the text distinguishes a wrong secret from a request that came too early. This is the
// only place that depends on a text. A text that is not in the table, and an empty one, most likely mean a request that came
// too early, as a published client observed.
var refusalMeanings = []refusalMeaning{
	{
		text: "invalid clientid or clientsecret", class: provider.ClassUnauthenticated,
		remedy: remedyCredentials,
	},
	{
		text: "unauthorized user", class: provider.ClassForbidden,
		remedy: "give the user who created the API token the right to ask for tokens again (Full Admin, or a role that grants it), " +
			"or create an API token as another user and write it to config/%s",
	},
	{
		text: "client secret expired", class: provider.ClassUnauthenticated,
		remedy: "reset the secret under " + guiPath + " and write client_secret to config/%s",
	},
	{
		text: "client id revoked", class: provider.ClassUnauthenticated,
		remedy: "create a new API token under " + guiPath + " and write client_id and client_secret to config/%s",
	},
	{
		text: "rate limit exceeded", class: provider.ClassRateLimited, retryAfter: tokenInterval, cause: errTooEarly,
		remedy: remedyTooEarly,
	},
	{
		text: "failure threshold exceeded", class: provider.ClassRateLimited, retryAfter: blockTime, cause: errBlocked,
		remedy: "find the program that sends wrong requests for the client id of config/%s; nothing is sent until the block has ended",
	},
	{
		text: "invalid input parameters", class: provider.ClassInvalid, cause: errIssuedOnce,
		remedy: "the product may issue only one access token for each API token: create a new one under " + guiPath +
			", write it to config/%s, whose next read gets the token of that write, and share it with sharing=shared",
	},
}

// refusal returns the error for an answer of the token endpoint that is not a 2xx.
func (c *client) refusal(response *httpclient.Response) error {
	text := errorText(response.Body)
	failure := response.StatusError(text)
	if response.HasMembers("error", "message") { // the documented form of the token endpoint's errors
		failure = response.ProductError(text)
	}
	switch response.Status {
	case http.StatusBadRequest:
		if text == "" {
			text = string(response.Body) // the product sometimes sends a message without JSON
		}
		c.explain(failure, text)
	case http.StatusTooManyRequests:
		// Not documented for the token endpoint; observed by a published client.
		failure.RetryAfter = max(failure.RetryAfter, tokenInterval)
		failure.Remedy = fmt.Sprintf(remedyTooEarly, c.config)
		failure.Err = errors.Join(failure.Err, errTooEarly)
	case http.StatusUnauthorized:
		failure.Remedy = fmt.Sprintf(remedyCredentials, c.config)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		failure.Class = provider.ClassInvalid
		failure.Field = fieldTokenPath
		failure.Remedy = "API tokens need FortiSIEM 7.5.1 or later; check token_path and the address in config/" + c.config
	}
	return failure
}

// explain sets class, remedy and cause of a 400 by its message.
func (c *client) explain(failure *provider.Error, text string) {
	text = strings.ToLower(text)
	for _, meaning := range refusalMeanings {
		if !strings.Contains(text, meaning.text) {
			continue
		}
		failure.Class = meaning.class
		failure.Remedy = fmt.Sprintf(meaning.remedy, c.config)
		failure.RetryAfter = max(failure.RetryAfter, meaning.retryAfter)
		if meaning.cause != nil {
			failure.Err = errors.Join(failure.Err, meaning.cause)
		}
		return
	}
	failure.Class = provider.ClassRateLimited
	failure.Message += "; the product answers like this to a request that comes too early"
	failure.RetryAfter = max(failure.RetryAfter, tokenInterval)
	failure.Remedy = fmt.Sprintf(remedyTooEarly, c.config) + "; if this happens again, check token_path, client_id and client_secret"
	failure.Err = errors.Join(failure.Err, errTooEarly, errUnknownText)
}

// rememberRefusal remembers a refusal of the client credentials, or a block. Other errors do not predict the result of
// the next request.
func (c *connection) rememberRefusal(err error) {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || isTooEarly(err) && !errors.Is(err, errUnknownText) {
		return
	}
	switch status := httpclient.StatusOf(err); {
	case errors.Is(err, errBlocked):
		c.refusals.Hold(failure, c.clock.Now())
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden:
		c.refusals.Observe(failure, c.clock.Now())
	}
}
