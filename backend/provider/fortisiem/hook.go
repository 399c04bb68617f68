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

// Placeholders of revoke_body. The client secret has none, because revoke_url may be on another host.
const (
	placeholderToken    = "{{token}}"
	placeholderClientID = "{{client_id}}"
)

// placeholderPattern matches placeholders, known and unknown ones.
var placeholderPattern = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// hook is the call of the operator's revoke_url, which ends a token.
type hook struct {
	http     *httpclient.Client
	method   string
	clientID string
	secrets  []string // secrets of the config, redacted from all answers

	// The template of the body: one of these, or none.
	json any
	form url.Values
}

// openHook returns the call that revoke_url, revoke_method and revoke_body describe, or nil without a revoke_url. base is
// the address of the config. The error is ClassInvalid and names the field.
func openHook(config provider.Config, base string, s *settings) (*hook, error) {
	if s.revokeURL == "" {
		return nil, nil
	}
	if !strings.Contains(s.revokeURL, "://") {
		return nil, provider.InvalidField(fieldRevokeURL, "must be a complete URL with its scheme")
	}
	options := httpclient.FromConfig(config)
	options.Address, options.ExactPath = s.revokeURL, true
	if !sameHost(base, s.revokeURL) {
		options.TLSServerName = "" // it belongs to the product's certificate
	}
	http, err := httpclient.New(options)
	if err != nil {
		return nil, withRevokeURL(err)
	}
	h := &hook{http: http, method: s.revokeMethod, clientID: s.clientID, secrets: []string{s.clientSecret, s.refreshToken}}
	if err := h.parseBody(s.revokeBody); err != nil {
		http.Close()
		return nil, err
	}
	h.secrets = append(h.secrets, h.bodySecrets()...)
	return h, nil
}

// minBodySecret is the length of the shortest text in revoke_body that is redacted. Shorter ones, such as "true", occur by
// chance.
const minBodySecret = 8

// bodySecrets returns the texts of the body that can be a credential: all but short ones, without placeholders.
func (h *hook) bodySecrets() []string {
	var secrets []string
	add := func(text string) {
		for _, part := range placeholderPattern.Split(text, -1) { // "key:{{token}}" has a credential too
			if len(part) >= minBodySecret {
				secrets = append(secrets, part)
			}
		}
	}
	for _, values := range h.form {
		for _, value := range values {
			add(value)
		}
	}
	var walk func(template any)
	walk = func(template any) {
		switch value := template.(type) {
		case string:
			add(value)
		case json.Number:
			add(value.String())
		case []any:
			for _, element := range value {
				walk(element)
			}
		case map[string]any:
			for _, member := range value {
				walk(member)
			}
		}
	}
	walk(h.json)
	return secrets
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

// withRevokeURL converts an error about the address into one about revoke_url.
func withRevokeURL(err error) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Field == "address" {
		failure.Field = fieldRevokeURL
	}
	return err
}

// parseBody parses the template of the body: JSON if it is an object or an array, otherwise a form. The hook keeps the
// parsed form, so that the value of a placeholder cannot change the structure of the body.
func (h *hook) parseBody(body string) error {
	for _, placeholder := range placeholderPattern.FindAllString(body, -1) {
		if placeholder != placeholderToken && placeholder != placeholderClientID {
			return provider.InvalidField(fieldRevokeBody, "may contain the placeholders %s and %s only", placeholderToken, placeholderClientID)
		}
	}
	trimmed := strings.TrimSpace(body)
	if trimmed == "" {
		return nil
	}
	if strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		decoder := json.NewDecoder(bytes.NewReader([]byte(trimmed)))
		decoder.UseNumber() // keeps a long number unchanged
		if !json.Valid([]byte(trimmed)) || decoder.Decode(&h.json) != nil {
			return provider.InvalidField(fieldRevokeBody, "begins like JSON and is not valid JSON")
		}
		return checkMembers(json.NewDecoder(strings.NewReader(trimmed)))
	}
	form, err := url.ParseQuery(trimmed)
	if err != nil {
		return provider.InvalidField(fieldRevokeBody, "is neither JSON nor a form")
	}
	for name := range form {
		if placeholderPattern.MatchString(name) {
			return errPlaceholderInName()
		}
	}
	h.form = form
	return nil
}

func errPlaceholderInName() error {
	return provider.InvalidField(fieldRevokeBody, "has a placeholder in a name, where it would not be replaced; a form has name=value")
}

// checkMembers refuses valid JSON that would be sent otherwise than it was written: of two members with one name, one would
// be lost, and a placeholder in a name is not replaced.
func checkMembers(decoder *json.Decoder) error {
	first, err := decoder.Token()
	if err != nil {
		return provider.InvalidField(fieldRevokeBody, "begins like JSON and is not valid JSON")
	}
	if first != json.Delim('{') && first != json.Delim('[') {
		return nil
	}
	seen := map[string]bool{}
	for decoder.More() {
		if first == json.Delim('{') {
			token, _ := decoder.Token()
			name, _ := token.(string)
			switch {
			case seen[name]:
				return provider.InvalidField(fieldRevokeBody, "has two members with the same name in one object")
			case placeholderPattern.MatchString(name):
				return errPlaceholderInName()
			}
			seen[name] = true
		}
		if err := checkMembers(decoder); err != nil {
			return err
		}
	}
	_, _ = decoder.Token() // the closing delimiter
	return nil
}

// call sends the request that ends a token. The request carries the token as its bearer too, which is how the product's own
// API authenticates callers. It is idempotent, since a token can be ended twice.
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
		return nil, withRevokeURL(err)
	}
	return response, nil
}

// fill returns a copy of a decoded JSON value with the placeholders in its strings replaced. It does not change the names
// of members.
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
