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

// The steps are named as in the vendor's API reference and SDK.
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

// apiVersion is the only known value of the header api-version, without which nothing is answered.
const apiVersion = "v1"

// rateWindow is the documented length of the window in which calls are counted. That waiting for all of it
// is enough is inferred; no Retry-After header is documented.
const rateWindow = 60 * time.Second

// login is how a request proves who sends it.
type login struct {
	header  http.Header
	secrets []string
}

// keyLogin is an API key.
func keyLogin(secret string) login {
	return login{header: http.Header{"Api-Secret-Key": {secret}}, secrets: []string{secret}}
}

// client speaks the API in the name of one login, one method a call.
type client struct {
	http   *httpclient.Client
	config string
	clock  *managerClock
	login  login
}

// as returns a client for another login, over the same connections. What it passes on shows the secrets of neither.
func (c *client) as(other login) *client {
	copied := *c
	copied.login = login{header: other.header, secrets: slices.Concat(other.secrets, c.login.secrets)}
	return &copied
}

// send adds what every request has, and learns the manager's time from the answer.
func (c *client) send(ctx context.Context, request httpclient.Request) (*httpclient.Response, error) {
	request.Header = http.Header{"Api-Version": {apiVersion}}
	maps.Copy(request.Header, c.login.header)
	request.Secrets = append(request.Secrets, c.login.secrets...)
	response, err := c.http.Do(ctx, request)
	if err != nil {
		return nil, err
	}
	c.clock.observe(response)
	return response, nil
}

// read sends a request to a path that always exists and reads its answer into target.
func (c *client) read(ctx context.Context, request httpclient.Request, target any) error {
	response, err := c.send(ctx, request)
	if err != nil {
		return err
	}
	if !response.OK() {
		return c.atFixedPath(c.refusal(response))
	}
	return response.Decode(target)
}

// createKey makes an API key: POST /apikeys. The secret is in this answer only, so it is never sent twice.
// That 200 is the status of success is inferred; any 2xx is accepted, as the vendor's SDK does. A key
// together with an error means that one was made, of which the answer tells too little.
func (c *client) createKey(ctx context.Context, wanted newKey) (*apiKey, error) {
	response, err := c.send(ctx, httpclient.Request{Op: opCreate, Method: http.MethodPost, Path: "/apikeys", JSON: wanted})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		failure := c.refusal(response)
		switch {
		case response.Status == http.StatusNotFound:
			// The status for a role that does not exist is not documented.
			failure.Class = provider.ClassInvalid
			failure.Remedy = "check the ID of the administrator role, and that " + c.addressHint()
		case failure.Class == provider.ClassInvalid && failure.Remedy == "":
			failure.Remedy = "check the ID of the administrator role, locale and time zone"
		}
		return nil, failure
	}
	var made apiKey
	if err := response.Decode(&made); err != nil {
		return &made, err
	}
	if made.ID == 0 || made.SecretKey == "" {
		return &made, response.UnexpectedResponse("the answer holds no ID or no secretKey")
	}
	return &made, nil
}

// describeKey reads an API key: GET /apikeys/{id}.
func (c *client) describeKey(ctx context.Context, id int) (*apiKey, error) {
	return c.oneKey(ctx, httpclient.Request{Op: opDescribe, Path: keyPath(id)})
}

// modifyKey changes an API key: POST /apikeys/{id}, whose answer is the key. Doing it twice is the same as
// doing it once.
func (c *client) modifyKey(ctx context.Context, id int, change keyChange) (*apiKey, error) {
	return c.oneKey(ctx, httpclient.Request{Op: opModify, Method: http.MethodPost, Path: keyPath(id), JSON: change})
}

// oneKey sends a repeatable request whose answer is a key.
func (c *client) oneKey(ctx context.Context, request httpclient.Request) (*apiKey, error) {
	request.Idempotent = true
	response, err := c.send(ctx, request)
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.refusal(response)
	}
	var key apiKey
	if err := response.Decode(&key); err != nil {
		return nil, err
	}
	return &key, nil
}

// deleteKey deletes an API key: DELETE /apikeys/{id}. That 204 is the status of success is inferred; any 2xx
// is accepted, as the vendor's SDK does. ClassNotFound is the answer for a key that does not exist.
func (c *client) deleteKey(ctx context.Context, id int) error {
	response, err := c.send(ctx, httpclient.Request{Op: opDelete, Method: http.MethodDelete, Path: keyPath(id), Idempotent: true})
	if err != nil {
		return err
	}
	if !response.OK() {
		return c.refusal(response)
	}
	if response.IsHTML() {
		return response.UnexpectedResponse("the answer to a deletion is an HTML page")
	}
	return nil
}

// keysNamed finds the API keys of exactly that name: POST /apikeys/search.
func (c *client) keysNamed(ctx context.Context, name string) ([]apiKey, error) {
	var found keysAnswer
	err := c.read(ctx, httpclient.Request{
		Op: opSearch, Method: http.MethodPost, Path: "/apikeys/search", JSON: searchByName("keyName", name), Idempotent: true,
	}, &found)
	if err != nil {
		return nil, err
	}
	var exact []apiKey
	for _, key := range found.APIKeys {
		// Whether the manager minds upper and lower case is not documented. We do.
		if key.KeyName == name && key.ID != 0 {
			exact = append(exact, key)
		}
	}
	return exact, nil
}

// roleID finds the administrator role of exactly that name: POST /roles/search.
func (c *client) roleID(ctx context.Context, name string) (int, error) {
	var found rolesAnswer
	err := c.read(ctx, httpclient.Request{
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
		failure.Op, failure.Remedy = opSearchRoles, "look at Administration, User Management, Roles; upper and lower case matter"
		return 0, failure
	case 1:
		return ids[0], nil
	}
	failure := provider.InvalidField(fieldRoleName, "%d administrator roles have the name %q", len(ids), name)
	failure.Op, failure.Remedy = opSearchRoles, "use "+fieldRoleID
	return 0, failure
}

// current reads what the login's own key is: GET /apikeys/current.
func (c *client) current(ctx context.Context) (*currentKey, error) {
	response, err := c.send(ctx, httpclient.Request{Op: opCurrent, Path: "/apikeys/current", Idempotent: true})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.atFixedPath(c.refusal(response))
	}
	var own currentKey
	if err := response.Decode(&own); err != nil {
		return nil, err
	}
	if own.ID == 0 {
		return nil, response.UnexpectedResponse("the answer holds no ID")
	}
	return &own, nil
}

// createSession logs a user in: POST /sessions. Both the cookie sID and the header rID are documented as
// needed; other cookies are a load balancer's, and go back with it. It is never sent twice: a wrong password
// counts against the user, and a code works once.
func (c *client) createSession(ctx context.Context, user sessionRequest) (login, error) {
	response, err := c.send(ctx, httpclient.Request{
		Op: opSession, Method: http.MethodPost, Path: "/sessions", JSON: user,
		Secrets: []string{user.Password, user.MFACode},
	})
	if err != nil {
		return login{}, err
	}
	if !response.OK() {
		return login{}, c.atFixedPath(c.refusal(response))
	}
	var answer sessionAnswer
	if err := response.Decode(&answer); err != nil {
		return login{}, err
	}
	opened := login{header: http.Header{"Rid": {answer.RID}}, secrets: []string{answer.RID}}
	var cookies []string
	haveSID := false
	for _, cookie := range (&http.Response{Header: response.Header}).Cookies() {
		cookies = append(cookies, cookie.Name+"="+cookie.Value)
		opened.secrets = append(opened.secrets, cookie.Value)
		haveSID = haveSID || cookie.Name == "sID" && cookie.Value != ""
	}
	if answer.RID == "" || !haveSID {
		return login{}, response.UnexpectedResponse("the answer holds no RID or no cookie sID")
	}
	opened.header.Set("Cookie", strings.Join(cookies, "; "))
	return opened, nil
}

// keyPath is the path of one API key.
func keyPath(id int) string { return "/apikeys/" + strconv.Itoa(id) }

// addressHint is what to check about the address.
func (c *client) addressHint() string {
	return "the address in config/" + c.config + " is https://<manager>:4119/api or https://app.deepsecurity.trendmicro.com/api"
}
