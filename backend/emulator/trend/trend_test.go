package trend_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
)

// now is the time of the manager's clock in whole milliseconds, as in its answers.
var now = emulatortest.Now.Truncate(time.Millisecond)

// object is a JSON object.
type object = map[string]any

// manager is an emulated manager, with the secret of the API key to use.
type manager struct {
	*emulatortest.Server
	root string
}

type answer = emulatortest.Answer

// newManager serves the manager until the test ends.
func newManager(t *testing.T) *manager {
	t.Helper()
	return withRoot(emulatortest.Start(t, trend.New()))
}

// withRoot uses the first API key.
func withRoot(server *emulatortest.Server) *manager {
	return &manager{Server: server, root: server.Root()["api_key"]}
}

// namesIn returns one member of each object of a list.
func namesIn(a answer, list, member string) string {
	var names []string
	for _, item := range a.Body[list].([]any) {
		names = append(names, fmt.Sprint(item.(object)[member]))
	}
	return strings.Join(names, ",")
}

// do sends a request with exactly these headers. body is as in [emulatortest.Server.Send].
func (m *manager) do(method, path string, header map[string]string, body any) answer {
	m.T.Helper()
	var lines []string
	for name, value := range header {
		lines = append(lines, name, value)
	}
	return m.Send(method, strings.TrimSuffix(m.Address(), "/api")+path, body, lines...)
}

// as sends a request under /api with a secret.
func (m *manager) as(secret, method, path string, body any) answer {
	m.T.Helper()
	return m.do(method, "/api"+path, map[string]string{"api-secret-key": secret, "api-version": "v1"}, body)
}

// get and post send requests with the root key.
func (m *manager) get(path string) answer {
	m.T.Helper()
	return m.as(m.root, http.MethodGet, path, nil)
}

func (m *manager) post(path string, body any) answer {
	m.T.Helper()
	return m.as(m.root, http.MethodPost, path, body)
}

// in returns the time d after now in milliseconds.
func in(d time.Duration) int64 { return now.Add(d).UnixMilli() }

// create creates a key that expires in an hour. changes adds or replaces members.
func (m *manager) create(name string, changes object) answer {
	m.T.Helper()
	body := object{"keyName": name, "roleID": 4, "expiryDate": in(time.Hour)}
	maps.Copy(body, changes)
	return m.post("/apikeys", body)
}

// works returns the status of a request with a secret.
func (m *manager) works(secret string) int {
	m.T.Helper()
	return m.as(secret, http.MethodGet, "/apikeys/current", nil).Status
}

// session logs in and returns the headers of later requests.
func (m *manager) session() map[string]string {
	m.T.Helper()
	opened := m.logIn(nil)
	require.Equal(m.T, 200, opened.Status, opened.Text)
	cookie, _, _ := strings.Cut(opened.Header.Get("Set-Cookie"), ";")
	return map[string]string{"Cookie": cookie, "rID": opened.Member("RID"), "api-version": "v1"}
}

// logIn requests a session. changes adds or replaces members.
func (m *manager) logIn(changes object) answer {
	m.T.Helper()
	body := object{"userName": m.Login()["username"], "password": m.Login()["password"]}
	maps.Copy(body, changes)
	return m.do(http.MethodPost, "/api/sessions", map[string]string{"api-version": "v1"}, body)
}

func TestCreate_Valid_AnswersLikeTheVendorsExample(t *testing.T) {
	m := newManager(t)
	made := m.post("/apikeys", object{"keyName": "vault-x", "description": "d", "roleID": "4"})
	require.Equal(t, 200, made.Status)
	secret := made.Member("secretKey")
	require.Regexp(t, `^2:[A-Za-z0-9+/]{43}=$`, secret)
	require.Equal(t, object{
		"keyName": "vault-x", "description": "d", "locale": "en-US", "roleID": 4.0, "timeZone": "Etc/UTC", "active": true,
		"created": float64(now.UnixMilli()), "unsuccessfulSignInAttempts": 0.0, "secretKey": secret,
		"serviceAccount": false, "ID": 2.0,
	}, made.Body)

	read := m.get("/apikeys/2")
	require.NotContains(t, read.Body, "secretKey")
	require.NotContains(t, read.Body, "expiryDate")
	require.NotContains(t, read.Body, "lastSignIn")
	require.Equal(t, "createApiKey", m.Operations()[0])
}

func TestHistory_NewKey_KindDependsOnItsCreator(t *testing.T) {
	m := newManager(t)
	m.create("by-key", nil)
	session := m.session()
	require.Equal(t, 200, m.do(http.MethodPost, "/api/apikeys", session, object{"keyName": "by-session", "roleID": 3}).Status)
	m.Act("create_key", "name", "by-hand")

	var entries []string
	for _, c := range m.Issued() {
		entries = append(entries, c.ID+" "+c.Kind+" "+c.Marker)
	}
	require.Equal(t, []string{"1 login vault-management", "2 leased by-key", "3 login by-session", "4 login by-hand"}, entries)
	require.Equal(t, now.Add(time.Hour), *m.Issued()[1].ExpiresAt)
}

func TestReset_AdvancedClock_RootKeyIsNotInTheFuture(t *testing.T) {
	m := newManager(t)
	m.MoveClock(time.Hour)
	m.Reset()
	require.False(t, m.Issued()[0].IssuedAt.After(m.Now()))
}

func TestKey_ExpiredLockedDeletedOrReplaced_IsRefused(t *testing.T) {
	for name, end := range map[string]func(m *manager){
		"expired":  func(m *manager) { m.MoveClock(time.Hour) },
		"locked":   func(m *manager) { require.Equal(m.T, 200, m.post("/apikeys/2", object{"active": false}).Status) },
		"deleted":  func(m *manager) { require.Equal(m.T, 204, m.as(m.root, http.MethodDelete, "/apikeys/2", "{}").Status) },
		"replaced": func(m *manager) { require.Equal(m.T, 200, m.post("/apikeys/2/secretkey", nil).Status) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			secret := m.create("x", nil).Member("secretKey")
			require.Equal(t, 200, m.works(secret))
			end(m)
			require.Equal(t, 401, m.works(secret))
		})
	}
}

func TestModify_SomeMembers_KeepsTheOthers(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", object{"description": "d"}).Member("secretKey")
	changed := m.post("/apikeys/2", object{
		"expiryDate": in(2 * time.Hour), "created": 1, "lastSignIn": 1, "ID": 9, "secretKey": "x", "serviceAccount": true,
	})
	require.Equal(t, 200, changed.Status)
	require.InDelta(t, float64(in(2*time.Hour)), changed.Body["expiryDate"], 0)
	require.Equal(t, "d", changed.Body["description"])
	require.InDelta(t, 2, changed.Body["ID"], 0)
	require.Equal(t, false, changed.Body["serviceAccount"])
	require.NotContains(t, changed.Body, "lastSignIn")
	require.NotContains(t, changed.Body, "secretKey")
	require.Equal(t, 200, m.works(secret))
	require.Equal(t, now.Add(2*time.Hour), *m.Issued()[1].ExpiresAt)

	m.MoveClock(90 * time.Minute)
	require.Equal(t, 200, m.works(secret))
}

func TestModify_RoleAndActive_TakeEffect(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).Member("secretKey")
	require.InDelta(t, 2, m.post("/apikeys/2", object{"roleID": 2}).Body["roleID"], 0)
	m.post("/apikeys/2", object{"active": false})
	require.Equal(t, 401, m.works(secret))
	m.post("/apikeys/2", object{"active": true})
	require.Equal(t, 200, m.works(secret))
}

func TestModifyCurrent_ExpiryRoleAndActive_AreIgnored(t *testing.T) {
	m := newManager(t)
	secret := m.create("x", nil).Member("secretKey")
	changed := m.as(secret, http.MethodPost, "/apikeys/current",
		object{"keyName": "y", "locale": "ja-JP", "expiryDate": in(9 * time.Hour), "roleID": 1, "active": false})
	require.Equal(t, 200, changed.Status)
	require.Equal(t, "y", changed.Body["keyName"])
	require.Equal(t, "ja-JP", changed.Body["locale"])
	require.InDelta(t, float64(in(time.Hour)), changed.Body["expiryDate"], 0)
	require.InDelta(t, 4, changed.Body["roleID"], 0)
	require.Equal(t, true, changed.Body["active"])
	require.InDelta(t, 78422, changed.Body["tenantID"], 0)
	require.Equal(t, "urn:tmds:identity:us-east-ds-1:78422:role/Deployment", changed.Body["roleURN"])
}

func TestSecretKey_AnyBody_EndsTheOldSecret(t *testing.T) {
	m := newManager(t)
	for _, body := range []any{nil, "{}", object{"keyName": "ignored"}} {
		old := m.root
		m.root = m.as(m.root, http.MethodPost, "/apikeys/current/secretkey", body).Member("secretKey")
		require.NotEqual(t, old, m.root)
		require.Equal(t, 401, m.works(old))
		require.Equal(t, 200, m.works(m.root))
	}
	require.Equal(t, "vault-management", m.get("/apikeys/current").Body["keyName"])
	m.Reset()
	require.Equal(t, 200, m.works(m.Root()["api_key"]), "the first secret is back")
}

func TestCreate_InvalidRequest_IsRefused(t *testing.T) {
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
			require.Equal(t, c.status, refused.Status, refused.Text)
			require.Len(t, refused.Body, 1)
			require.NotEmpty(t, refused.Body["message"])
		})
	}
	require.Len(t, m.Issued(), 1)
}

func TestInjectedError_StatusOnly_HasTheVendorsForm(t *testing.T) {
	m := newManager(t)
	m.InjectFault(emulator.Fault{Route: "createApiKey", Status: 500})
	refused := m.create("x", nil)
	require.Equal(t, 500, refused.Status)
	require.Equal(t, object{"message": "Internal Server Error"}, refused.Body)
}
