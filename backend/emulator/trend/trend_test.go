package trend_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
)

// now is where the clock stands still.
var now = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// object is a JSON object.
type object = map[string]any

// manager is an emulated manager on a clock that stands still.
type manager struct {
	t      *testing.T
	srv    *emulator.Server
	client *http.Client
	root   string
	login  map[string]string
}

// newManager serves the manager for the length of a test.
func newManager(t *testing.T) *manager {
	t.Helper()
	srv, err := emulator.Start(emulator.Config{PlainHTTP: true, Now: func() time.Time { return now }}, trend.New())
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		require.NoError(t, srv.Close())
	})
	state := srv.State().Vendors["trend"]
	return &manager{t: t, srv: srv, client: client, root: state.Credentials["api_key"], login: state.Login}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   object // nil if the text is not a JSON object
}

// object returns a member that is an object of its own.
func (a answer) list(name string) []any {
	list, _ := a.body[name].([]any)
	return list
}

// names returns one member of each object of a list.
func (a answer) names(list, member string) string {
	var names []string
	for _, item := range a.list(list) {
		names = append(names, fmt.Sprint(item.(object)[member]))
	}
	return strings.Join(names, ",")
}

// do sends a request with exactly these headers; body is nil, a string, or anything to be sent as JSON.
func (m *manager) do(method, path string, header map[string]string, body any) answer {
	m.t.Helper()
	text, ok := body.(string)
	if body != nil && !ok {
		content, err := json.Marshal(body)
		require.NoError(m.t, err)
		text = string(content)
	}
	base := strings.TrimSuffix(m.srv.URL("trend"), "/api")
	req, err := http.NewRequestWithContext(m.t.Context(), method, base+path, strings.NewReader(text))
	require.NoError(m.t, err)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := m.client.Do(req)
	require.NoError(m.t, err)
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	result := answer{status: resp.StatusCode, header: resp.Header, text: string(content)}
	_ = json.Unmarshal(content, &result.body)
	return result
}

// as sends a request under /api with a secret.
func (m *manager) as(secret, method, path string, body any) answer {
	m.t.Helper()
	return m.do(method, "/api"+path, map[string]string{"api-secret-key": secret, "api-version": "v1"}, body)
}

// get and post send requests with the root key.
func (m *manager) get(path string) answer {
	m.t.Helper()
	return m.as(m.root, http.MethodGet, path, nil)
}

func (m *manager) post(path string, body any) answer {
	m.t.Helper()
	return m.as(m.root, http.MethodPost, path, body)
}

// in is a time in milliseconds from where the clock stands.
func in(d time.Duration) int64 { return now.Add(d).UnixMilli() }

// create makes a key that expires in an hour, with other members besides.
func (m *manager) create(name string, changes object) answer {
	m.t.Helper()
	body := object{"keyName": name, "roleID": 4, "expiryDate": in(time.Hour)}
	for member, value := range changes {
		body[member] = value
	}
	return m.post("/apikeys", body)
}

// works gives the status that a secret is answered with.
func (m *manager) works(secret string) int {
	m.t.Helper()
	return m.as(secret, http.MethodGet, "/apikeys/current", nil).status
}

// secret returns the secret of a created key.
func (a answer) secret(t *testing.T) string {
	t.Helper()
	require.Contains(t, a.body, "secretKey", a.text)
	return a.body["secretKey"].(string)
}

// set changes a switch.
func (m *manager) set(name, value string) {
	m.t.Helper()
	require.NoError(m.t, m.srv.SetSwitch("trend", name, value))
}

// act carries out an action.
func (m *manager) act(name string, arguments map[string]string) map[string]string {
	m.t.Helper()
	result, err := m.srv.Do("trend", name, arguments)
	require.NoError(m.t, err)
	return result
}

// session logs in and returns the headers of later requests.
func (m *manager) session() map[string]string {
	m.t.Helper()
	opened := m.logIn(nil)
	require.Equal(m.t, 200, opened.status, opened.text)
	cookie, _, _ := strings.Cut(opened.header.Get("Set-Cookie"), ";")
	return map[string]string{"Cookie": cookie, "rID": opened.body["RID"].(string), "api-version": "v1"}
}

// logIn opens a session, with changed members.
func (m *manager) logIn(changes object) answer {
	m.t.Helper()
	body := object{"userName": m.login["username"], "password": m.login["password"]}
	for member, value := range changes {
		body[member] = value
	}
	return m.do(http.MethodPost, "/api/sessions", map[string]string{"api-version": "v1"}, body)
}

func TestCreate_AnswersLikeTheVendorsExample(t *testing.T) {
	m := newManager(t)
	made := m.post("/apikeys", object{"keyName": "vault-x", "description": "d", "roleID": "4"})
	require.Equal(t, 200, made.status)
	secret := made.secret(t)
	require.Regexp(t, `^2:[A-Za-z0-9+/]{43}=$`, secret)
	require.Equal(t, object{
		"keyName": "vault-x", "description": "d", "locale": "en-US", "roleID": 4.0, "timeZone": "Etc/UTC", "active": true,
		"created": float64(now.UnixMilli()), "unsuccessfulSignInAttempts": 0.0, "secretKey": secret,
		"serviceAccount": false, "ID": 2.0,
	}, made.body)

	read := m.get("/apikeys/2")
	require.NotContains(t, read.body, "secretKey")
	require.NotContains(t, read.body, "expiryDate")
	require.NotContains(t, read.body, "lastSignIn")
	require.Equal(t, "createApiKey", m.srv.Requests("trend")[0].Operation)
}

func TestBook_KnowsWhoMadeAKey(t *testing.T) {
	m := newManager(t)
	m.create("by-key", nil)
	session := m.session()
	require.Equal(t, 200, m.do(http.MethodPost, "/api/apikeys", session, object{"keyName": "by-session", "roleID": 3}).status)
	m.act("create_key", map[string]string{"name": "by-hand"})

	var lines []string
	for _, c := range m.srv.Credentials("trend") {
		lines = append(lines, c.ID+" "+c.Kind+" "+c.Marker)
	}
	require.Equal(t, []string{"1 login vault-management", "2 leased by-key", "3 login by-session", "4 login by-hand"}, lines)
	require.Equal(t, now.Add(time.Hour), *m.srv.Credentials("trend")[1].ExpiresAt)
}

func TestKey_WorksUntilItExpiresIsLockedOutOrDeleted(t *testing.T) {
	for name, end := range map[string]func(m *manager){
		"expired":  func(m *manager) { require.NoError(m.t, m.srv.Advance(time.Hour)) },
		"locked":   func(m *manager) { require.Equal(m.t, 200, m.post("/apikeys/2", object{"active": false}).status) },
		"deleted":  func(m *manager) { require.Equal(m.t, 204, m.as(m.root, http.MethodDelete, "/apikeys/2", "{}").status) },
		"replaced": func(m *manager) { require.Equal(m.t, 200, m.post("/apikeys/2/secretkey", nil).status) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			secret := m.create("x", nil).secret(t)
			require.Equal(t, 200, m.works(secret))
			end(m)
			require.Equal(t, 401, m.works(secret))
		})
	}
}

func TestModify_IsPartialAndIgnoresReadOnlyMembers(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", object{"description": "d"}).secret(t)
	changed := m.post("/apikeys/2", object{
		"expiryDate": in(2 * time.Hour), "created": 1, "lastSignIn": 1, "ID": 9, "secretKey": "x", "serviceAccount": true,
	})
	require.Equal(t, 200, changed.status)
	require.InDelta(t, float64(in(2*time.Hour)), changed.body["expiryDate"], 0)
	require.Equal(t, "d", changed.body["description"])
	require.InDelta(t, 2, changed.body["ID"], 0)
	require.Equal(t, false, changed.body["serviceAccount"])
	require.NotContains(t, changed.body, "lastSignIn")
	require.NotContains(t, changed.body, "secretKey")
	require.Equal(t, 200, m.works(secret))
	require.Equal(t, now.Add(2*time.Hour), *m.srv.Credentials("trend")[1].ExpiresAt)

	require.NoError(t, m.srv.Advance(90*time.Minute))
	require.Equal(t, 200, m.works(secret))
}

func TestModify_RoleAndLock(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).secret(t)
	require.InDelta(t, 2, m.post("/apikeys/2", object{"roleID": 2}).body["roleID"], 0)
	m.post("/apikeys/2", object{"active": false})
	require.Equal(t, 401, m.works(secret))
	m.post("/apikeys/2", object{"active": true})
	require.Equal(t, 200, m.works(secret))
}

func TestModifyCurrent_LeavesExpiryRoleAndLockAlone(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).secret(t)
	changed := m.as(secret, http.MethodPost, "/apikeys/current",
		object{"keyName": "y", "locale": "ja-JP", "expiryDate": in(9 * time.Hour), "roleID": 1, "active": false})
	require.Equal(t, 200, changed.status)
	require.Equal(t, "y", changed.body["keyName"])
	require.Equal(t, "ja-JP", changed.body["locale"])
	require.InDelta(t, float64(in(time.Hour)), changed.body["expiryDate"], 0)
	require.InDelta(t, 4, changed.body["roleID"], 0)
	require.Equal(t, true, changed.body["active"])
	require.InDelta(t, 78422, changed.body["tenantID"], 0)
	require.Equal(t, "urn:tmds:identity:us-east-ds-1:78422:role/Deployment", changed.body["roleURN"])
}

func TestSecretkey_TakesAnyBodyAndEndsTheOldSecret(t *testing.T) {
	m := newManager(t)
	for _, body := range []any{nil, "{}", object{"keyName": "ignored"}} {
		old := m.root
		m.root = m.as(m.root, http.MethodPost, "/apikeys/current/secretkey", body).secret(t)
		require.NotEqual(t, old, m.root)
		require.Equal(t, 401, m.works(old))
		require.Equal(t, 200, m.works(m.root))
	}
	require.Equal(t, "vault-management", m.get("/apikeys/current").body["keyName"])
	m.srv.Reset()
	require.Equal(t, 200, m.works(m.srv.State().Vendors["trend"].Credentials["api_key"]), "the first secret is back")
}

func TestCreate_Refuses(t *testing.T) {
	m := newManager(t)
	for name, c := range map[string]struct {
		body   any
		status int
	}{
		"no JSON":         {"keyName=x", 400},
		"an array":        {"[]", 400},
		"no name":         {object{"roleID": 4}, 400},
		"empty name":      {object{"keyName": "", "roleID": 4}, 400},
		"taken name":      {object{"keyName": "vault-management", "roleID": 4}, 400},
		"no role":         {object{"keyName": "x"}, 400},
		"unknown role":    {object{"keyName": "x", "roleID": 99}, 400},
		"role as a word":  {object{"keyName": "x", "roleID": "Auditor"}, 400},
		"unknown locale":  {object{"keyName": "x", "roleID": 4, "locale": "de-DE"}, 400},
		"past expiry":     {object{"keyName": "x", "roleID": 4, "expiryDate": in(-time.Second)}, 400},
		"negative expiry": {object{"keyName": "x", "roleID": 4, "expiryDate": -1}, 400},
		"expiry as text":  {object{"keyName": "x", "roleID": 4, "expiryDate": "2030-01-01"}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			refused := m.post("/apikeys", c.body)
			require.Equal(t, c.status, refused.status, refused.text)
			require.Len(t, refused.body, 1)
			require.NotEmpty(t, refused.body["message"])
		})
	}
	require.Len(t, m.srv.Credentials("trend"), 1)
}

func TestInjectedError_LooksLikeTheVendors(t *testing.T) {
	m := newManager(t)
	require.NoError(t, m.srv.AddFault(emulator.Fault{Vendor: "trend", Route: "createApiKey", Status: 500}))
	refused := m.create("x", nil)
	require.Equal(t, 500, refused.status)
	require.Equal(t, object{"message": "Internal Server Error"}, refused.body)
}
