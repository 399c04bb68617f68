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
	// blockTime is how long the documented failure threshold blocks a client id.
	blockTime = 5 * time.Minute

	// refusalMemory is how long a refusal of the pair is repeated to other callers without asking. The
	// product counts refusals, and a handful of readers at once must not bring on the block.
	refusalMemory = 30 * time.Second
)

// guiPath is where API tokens are managed.
const guiPath = "Admin > Settings > System > API Token in the FortiSIEM GUI"

// remedyPair is the remedy for a pair that the product does not know. %s is the config.
const remedyPair = "check client_id and client_secret in config/%s against " + guiPath

var (
	// errTooEarly is the cause of a refusal for coming within five seconds of another request.
	errTooEarly = errors.New("fortisiem: less than five seconds after another token request")
	// errBlocked is the cause of a refusal after too many refusals.
	errBlocked = errors.New("fortisiem: token requests are blocked")
)

// isTooEarly reports whether a request was refused for coming too early only.
func isTooEarly(err error) bool { return errors.Is(err, errTooEarly) }

// refusalMeaning says what a message of the token endpoint means.
type refusalMeaning struct {
	text       string // lower case, part of the message
	class      provider.Class
	remedy     string // %s is the config
	retryAfter time.Duration
	cause      error
}

// refusals are the documented messages of the token endpoint ("FortiSIEM Public API" 7.5.1, "API Token"), and
// as the last one a message that a client saw. The product answers each with the same 400 and the same error
// BAD_REQUEST, so the text is all that tells a wrong secret from coming too early. This is the only place
// that looks at a text, and a text that is not in the table is an invalid request like any other 400.
var refusals = []refusalMeaning{
	{
		text: "invalid clientid or clientsecret", class: provider.ClassUnauthenticated,
		remedy: remedyPair,
	},
	{
		text: "unauthorized user", class: provider.ClassForbidden,
		remedy: "give the user who made the API token the right to ask for tokens again (Full Admin, or a role that grants it), " +
			"or make the API token as another user and write it to config/%s",
	},
	{
		text: "client secret expired", class: provider.ClassUnauthenticated,
		remedy: "reset the secret under " + guiPath + " and write client_secret to config/%s",
	},
	{
		text: "client id revoked", class: provider.ClassUnauthenticated,
		remedy: "make a new API token under " + guiPath + " and write client_id and client_secret to config/%s",
	},
	{
		text: "rate limit exceeded", class: provider.ClassRateLimited, retryAfter: tokenInterval, cause: errTooEarly,
		remedy: "the product allows one token request every 5 seconds for each client id: use the client id of config/%s nowhere else, " +
			"and share tokens with sharing=shared",
	},
	{
		text: "failure threshold exceeded", class: provider.ClassRateLimited, retryAfter: blockTime, cause: errBlocked,
		remedy: "find out who sends wrong requests for the client id of config/%s; nothing is sent until the block has passed",
	},
	{
		text: "invalid input parameters", class: provider.ClassInvalid,
		remedy: "the product may hand out one access token only for each API token: make a new one under " + guiPath +
			", write it to config/%s with verify_connection=false, which spares the exchange of the check, and share its token with sharing=shared",
	},
}

// err turns an answer of the token endpoint that is not a 2xx into an error.
func (c *client) refusal(response *httpclient.Response) error {
	text := errorText(response.Body)
	failure := response.StatusError(text)
	switch response.Status {
	case http.StatusBadRequest:
		if text == "" {
			text = string(response.Body) // the product sends a bare message now and then
		}
		c.explain(failure, text)
	case http.StatusUnauthorized:
		failure.Remedy = fmt.Sprintf(remedyPair, c.config)
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		failure.Class = provider.ClassInvalid
		failure.Field = fieldTokenPath
		failure.Remedy = "API tokens need FortiSIEM 7.5.1 or later; check token_path and the address in config/" + c.config
	}
	return failure
}

// explain corrects the class of a 400 by its message.
func (c *client) explain(failure *provider.Error, text string) {
	text = strings.ToLower(text)
	for _, meaning := range refusals {
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
}

// remember notes a refusal of the pair, or a block. Other errors say nothing about the next request.
func (c *connection) remember(err error) {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || isTooEarly(err) {
		return
	}
	switch status := httpclient.StatusOf(err); {
	case errors.Is(err, errBlocked):
		c.refusals.Hold(failure, c.clock.Now())
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden:
		c.refusals.Observe(failure, c.clock.Now())
	}
}
