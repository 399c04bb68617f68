package fortisiem

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// Placeholders of revoke_body. There is none for the client secret: revoke_url may be on another host.
const (
	placeholderToken    = "{{token}}"
	placeholderClientID = "{{client_id}}"
)

// placeholderPattern finds placeholders, known or not.
var placeholderPattern = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// hook is the operator's own call that ends a token.
type hook struct {
	http     *httpclient.Client
	method   string
	clientID string
	secrets  []string // of the config, which no answer may bring to light

	// One of these is the body's template, or none.
	json any
	form url.Values
}

// openHook prepares the call that revoke_url and its siblings describe, or returns nil when there is none.
// base is the address of the config. A refusal is ClassInvalid and names the field.
func openHook(config provider.Config, base string, s *settings) (*hook, error) {
	if s.revokeURL == "" {
		return nil, nil
	}
	if !strings.Contains(s.revokeURL, "://") {
		return nil, provider.InvalidField(fieldRevokeURL, "must be a complete URL with its scheme")
	}
	options := httpclient.FromConfig(config)
	options.Address = s.revokeURL
	if !sameHost(base, s.revokeURL) {
		options.TLSServerName = "" // it is the name of the product's certificate
	}
	http, err := httpclient.New(options)
	if err != nil {
		return nil, ofRevokeURL(err)
	}
	h := &hook{http: http, method: s.revokeMethod, clientID: s.clientID, secrets: []string{s.clientSecret, s.refreshToken}}
	if err := h.parseBody(s.revokeBody); err != nil {
		http.Close()
		return nil, err
	}
	return h, nil
}

// sameHost reports whether two URLs name the same host.
func sameHost(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil {
		return false
	}
	second, err := url.Parse(strings.TrimSpace(b))
	return err == nil && strings.EqualFold(first.Hostname(), second.Hostname())
}

// ofRevokeURL makes an error about an address one about revoke_url.
func ofRevokeURL(err error) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Field == "address" {
		failure.Field = fieldRevokeURL
	}
	return err
}

// parseBody reads the template of the body: JSON when it is an object or an array, a form otherwise. It is
// kept taken apart, so that what is put in for a placeholder cannot break out of its place.
func (h *hook) parseBody(body string) error {
	for _, placeholder := range placeholderPattern.FindAllString(body, -1) {
		if placeholder != placeholderToken && placeholder != placeholderClientID {
			return provider.InvalidField(fieldRevokeBody, "knows the placeholders %s and %s only", placeholderToken, placeholderClientID)
		}
	}
	trimmed := strings.TrimSpace(body)
	if trimmed == "" {
		return nil
	}
	if strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		decoder := json.NewDecoder(bytes.NewReader([]byte(trimmed)))
		decoder.UseNumber() // a long number must come out as it went in
		if !json.Valid([]byte(trimmed)) || decoder.Decode(&h.json) != nil {
			return provider.InvalidField(fieldRevokeBody, "begins like JSON and is none")
		}
		return nil
	}
	form, err := url.ParseQuery(trimmed)
	if err != nil {
		return provider.InvalidField(fieldRevokeBody, "is neither JSON nor a form")
	}
	h.form = form
	return nil
}

// call ends a token, or says why not. The token is also the bearer of the request, which is how the product's
// own API knows its callers. A call that ends a token can be made twice, so it is repeated like a read.
func (h *hook) call(ctx context.Context, token string) (*httpclient.Response, error) {
	replace := strings.NewReplacer(placeholderToken, token, placeholderClientID, h.clientID)
	request := httpclient.Request{
		Op:         opRevoke,
		Method:     h.method,
		Header:     http.Header{"Authorization": {"Bearer " + token}},
		Idempotent: true,
		Secrets:    append([]string{token}, h.secrets...),
	}
	switch {
	case h.json != nil:
		request.JSON = fill(h.json, replace)
	case h.form != nil:
		request.Form = make(url.Values, len(h.form))
		for name, values := range h.form {
			for _, value := range values {
				request.Form.Add(name, replace.Replace(value))
			}
		}
	}
	response, err := h.http.Do(ctx, request)
	if err != nil {
		return nil, ofRevokeURL(err)
	}
	return response, nil
}

// fill returns a copy of a decoded JSON value with the placeholders in its strings replaced. Names of members
// are left as they are.
func fill(template any, replace *strings.Replacer) any {
	switch value := template.(type) {
	case string:
		return replace.Replace(value)
	case []any:
		filled := make([]any, 0, len(value))
		for _, element := range value {
			filled = append(filled, fill(element, replace))
		}
		return filled
	case map[string]any:
		filled := make(map[string]any, len(value))
		for name, member := range value {
			filled[name] = fill(member, replace)
		}
		return filled
	}
	return template
}

// endToken ends a token by the hook. Any 2xx is its word that the token is gone, unless it is an HTML page, as
// of a login portal. That, not found and unauthorized can mean that the token is gone, or that the URL or the
// way to call it is wrong; the product knows which, and is asked with the token itself.
func (c *connection) endToken(ctx context.Context, token string) error {
	response, err := c.revocation.call(ctx, token)
	if err != nil {
		return err
	}
	if response.OK() && !response.IsHTML() {
		return nil
	}
	failure := response.StatusError(errorText(response.Body))
	switch response.Status {
	case http.StatusOK, http.StatusNotFound, http.StatusGone, http.StatusUnauthorized:
		alive, err := c.api.works(ctx, token)
		if err != nil {
			return err
		}
		if !alive {
			return nil
		}
		failure.Message += ", and the access token still works"
		if failure.Class == provider.ClassNotFound {
			// The token was found, so it is the URL that does not exist.
			failure.Class = provider.ClassInvalid
		}
	}
	failure.Field = fieldRevokeURL
	failure.Remedy = "correct revoke_url, revoke_method and revoke_body in config/" + c.api.config +
		", or take revoke_url away to let access tokens live to their expiry"
	return failure
}
