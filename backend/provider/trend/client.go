package trend

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// Operations, with the names of the vendor's API reference and SDK.
const (
	opCreate      = "trend: create API key"
	opDescribe    = "trend: describe API key"
	opModify      = "trend: modify API key"
	opDelete      = "trend: delete API key"
	opSearch      = "trend: search API keys"
	opCurrent     = "trend: describe current API key"
	opSearchRoles = "trend: search administrator roles"
	opSession     = "trend: create session"
)

// apiVersion is the only known value of the required header api-version.
const apiVersion = "v1"

// rateWindow is the documented window in which the manager counts calls. No Retry-After header is documented.
// That it is enough to wait for the whole window is inferred.
const rateWindow = 60 * time.Second

// auth authenticates a request: the headers to send, and the secrets in them, which must be redacted.
type auth struct {
	header  http.Header
	secrets []string
}

// keyAuth authenticates with an API key.
func keyAuth(secret string) auth {
	return auth{header: http.Header{"Api-Secret-Key": {secret}}, secrets: []string{secret}}
}

// client sends requests to the API with one authentication. It has one method for each call.
type client struct {
	http   *httpclient.Client
	config string // the config's name, for messages
	clock  *managerClock
	auth   auth
}

// withAuth returns a client with another authentication and the same HTTP connections. It redacts the secrets
// of both.
func (c *client) withAuth(other auth) *client {
	copied := *c
	copied.auth = auth{header: other.header, secrets: slices.Concat(other.secrets, c.auth.secrets)}
	return &copied
}

// send adds the headers of every request, and updates the manager's clock from the response.
func (c *client) send(ctx context.Context, request httpclient.Request) (*httpclient.Response, error) {
	request.Header = http.Header{"Api-Version": {apiVersion}}
	maps.Copy(request.Header, c.auth.header)
	request.Secrets = append(request.Secrets, c.auth.secrets...)
	response, err := c.http.Do(ctx, request)
	if err != nil {
		return nil, err
	}
	c.clock.observe(response)
	return response, nil
}

// fetch sends a request to a path that exists on every manager and decodes the response into target.
func (c *client) fetch(ctx context.Context, request httpclient.Request, target any) (*httpclient.Response, error) {
	response, err := c.send(ctx, request)
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.fixedPathError(response)
	}
	return response, response.Decode(target)
}

// createKey creates an API key: POST /apikeys. Only this response contains the secret, so the request is sent
// at most once. That success has the status 200 is inferred; any 2xx is accepted, as in the vendor's SDK. If
// createKey returns both a key and an error, the manager created a key but the response is incomplete.
func (c *client) createKey(ctx context.Context, body newKey) (*apiKey, error) {
	response, err := c.send(ctx, httpclient.Request{Op: opCreate, Method: http.MethodPost, Path: "/apikeys", JSON: body})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		failure := c.statusError(response)
		switch {
		case response.Status == http.StatusNotFound:
			// The status for a role that does not exist is not documented.
			failure.Class = provider.ClassInvalid
			failure.Remedy = "check the ID of the administrator role, and that " + c.addressHint()
		case failure.Class == provider.ClassInvalid && failure.Remedy == "":
			failure.Remedy = "check the ID of the administrator role, the locale and the time zone"
		}
		return nil, failure
	}
	var created apiKey
	if err := response.Decode(&created); err != nil {
		return &created, err
	}
	if created.ID == 0 || created.SecretKey == "" {
		return &created, response.UnexpectedResponse("the response contains no ID or no secretKey")
	}
	return &created, nil
}

// describeKey reads an API key: GET /apikeys/{id}.
func (c *client) describeKey(ctx context.Context, id int) (*apiKey, error) {
	return c.fetchKey(ctx, httpclient.Request{Op: opDescribe, Path: keyPath(id)})
}

// modifyKey changes an API key: POST /apikeys/{id}, which returns the key. It is idempotent.
func (c *client) modifyKey(ctx context.Context, id int, change keyChange) (*apiKey, error) {
	return c.fetchKey(ctx, httpclient.Request{Op: opModify, Method: http.MethodPost, Path: keyPath(id), JSON: change})
}

// fetchKey sends an idempotent request that returns a key.
func (c *client) fetchKey(ctx context.Context, request httpclient.Request) (*apiKey, error) {
	request.Idempotent = true
	response, err := c.send(ctx, request)
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.statusError(response)
	}
	var key apiKey
	if err := response.Decode(&key); err != nil {
		return nil, err
	}
	return &key, nil
}

// deleteKey deletes an API key: DELETE /apikeys/{id}. That success has the status 204 is inferred; any 2xx is
// accepted, as in the vendor's SDK. A key that does not exist is ClassNotFound.
func (c *client) deleteKey(ctx context.Context, id int) error {
	response, err := c.send(ctx, httpclient.Request{Op: opDelete, Method: http.MethodDelete, Path: keyPath(id), Idempotent: true})
	if err != nil {
		return err
	}
	if !response.OK() {
		return c.statusError(response)
	}
	if response.IsHTML() {
		return response.UnexpectedResponse("the response to the deletion is an HTML page")
	}
	return nil
}

// findKeys finds the API keys with exactly this name: POST /apikeys/search.
func (c *client) findKeys(ctx context.Context, name string) ([]apiKey, error) {
	var found keysResponse
	response, err := c.fetch(ctx, httpclient.Request{
		Op: opSearch, Method: http.MethodPost, Path: "/apikeys/search", JSON: searchByName("keyName", name), Idempotent: true,
	}, &found)
	if err != nil {
		return nil, err
	}
	if len(found.APIKeys) >= pageSize {
		// The manager seems to have ignored the condition, so the key may be on another page.
		return nil, response.UnexpectedResponse("the response to the search for one name contains %d keys", len(found.APIKeys))
	}
	var exact []apiKey
	for _, key := range found.APIKeys {
		// It is not documented whether the manager's search is case-sensitive. Markers are.
		if key.KeyName == name && key.ID != 0 {
			exact = append(exact, key)
		}
	}
	return exact, nil
}

// findRoleID finds the ID of the administrator role with exactly this name: POST /roles/search.
func (c *client) findRoleID(ctx context.Context, name string) (int, error) {
	var found rolesResponse
	_, err := c.fetch(ctx, httpclient.Request{
		Op: opSearchRoles, Method: http.MethodPost, Path: "/roles/search", JSON: searchByName("name", name), Idempotent: true,
	}, &found)
	if err != nil {
		return 0, err
	}
	var ids []int
	for _, role := range found.Roles {
		if role.Name == name && role.ID != 0 {
			ids = append(ids, role.ID)
		}
	}
	switch len(ids) {
	case 0:
		failure := provider.InvalidField(fieldRoleName, "no administrator role has the name %q", name)
		failure.Op = opSearchRoles
		failure.Remedy = "check the name at the manager (Administration, User Management, Roles); it is case-sensitive"
		return 0, failure
	case 1:
		return ids[0], nil
	}
	failure := provider.InvalidField(fieldRoleName, "%d administrator roles have the name %q", len(ids), name)
	failure.Op, failure.Remedy = opSearchRoles, "use "+fieldRoleID
	return 0, failure
}

// describeCurrentKey reads the API key that authenticates the request: GET /apikeys/current.
func (c *client) describeCurrentKey(ctx context.Context) (*currentKey, error) {
	var current currentKey
	response, err := c.fetch(ctx, httpclient.Request{Op: opCurrent, Path: "/apikeys/current", Idempotent: true}, &current)
	if err != nil {
		return nil, err
	}
	if current.ID == 0 {
		return nil, response.UnexpectedResponse("the response contains no ID")
	}
	return &current, nil
}

// createSession logs a user in: POST /sessions. The documentation requires both the cookie sID and the header
// rID on later requests. Other cookies come from a load balancer and are sent back too. The request is sent at
// most once: the manager counts wrong passwords, and an MFA code works once.
func (c *client) createSession(ctx context.Context, body sessionRequest) (auth, error) {
	var session sessionResponse
	response, err := c.fetch(ctx, httpclient.Request{
		Op: opSession, Method: http.MethodPost, Path: "/sessions", JSON: body,
		Secrets: []string{body.Password, body.MFACode},
	}, &session)
	if err != nil {
		return auth{}, err
	}
	created := auth{header: http.Header{"Rid": {session.RID}}, secrets: []string{session.RID}}
	var cookies []string
	hasSID := false
	for _, cookie := range (&http.Response{Header: response.Header}).Cookies() {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
		created.secrets = append(created.secrets, cookie.Value)
		hasSID = hasSID || cookie.Name == "sID" && cookie.Value != ""
	}
	if session.RID == "" || !hasSID {
		return auth{}, response.UnexpectedResponse("the response contains no RID or no cookie sID")
	}
	created.header.Set("Cookie", strings.Join(cookies, "; "))
	return created, nil
}

// keyPath is the path of one API key.
func keyPath(id int) string { return "/apikeys/" + strconv.Itoa(id) }
