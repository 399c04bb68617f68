package trend_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
)

func TestSuite(t *testing.T) {
	emulatortest.Suite[*manager]{Vendor: trend.New(), On: withRoot, Switches: switches}.Run(t)
}

// expiryOf returns the expiryDate in an answer as a time, or "none".
func expiryOf(a answer) string {
	at, ok := a.Body["expiryDate"].(float64)
	if !ok {
		return "none"
	}
	return time.UnixMilli(int64(at)).UTC().Format("2006-01-02T15:04:05.000")
}

var switches = emulatortest.SwitchCases[*manager]{
	"missing_api_version": {
		emulatortest.StatusOf(func(m *manager) answer {
			return m.do(http.MethodGet, "/api/apikeys", map[string]string{"api-secret-key": m.root, "api-version": "v2"}, nil)
		}),
		map[string]string{"400": "400", "403": "403", "404": "404", "ignore": "200"},
	},
	"bad_secret_status": {
		emulatortest.StatusOf(func(m *manager) answer { return m.as("1:wrong", http.MethodGet, "/apikeys", nil) }),
		map[string]string{"401": "401", "403": "403"},
	},
	"failed_attempts_until_lockout": {
		func(m *manager) string {
			for range 5 {
				m.works("1:wrong")
			}
			return strconv.Itoa(m.works(m.root))
		},
		map[string]string{"5": "401", "6": "200", "0": "200"},
	},
	"lockout_duration": {
		func(m *manager) string {
			for range 5 {
				m.works("1:wrong")
			}
			m.MoveClock(time.Minute)
			return strconv.Itoa(m.works(m.root))
		},
		map[string]string{"15m0s": "401", "1m": "200"},
	},
	"failed_logins_until_lockout": {
		func(m *manager) string {
			for range 5 {
				m.logIn(object{"password": "wrong"})
			}
			return strconv.Itoa(m.logIn(nil).Status)
		},
		map[string]string{"5": "401", "6": "200", "0": "200"},
	},
	"allow_web_service": {
		func(m *manager) string {
			secret := m.create("x", nil).Member("secretKey")
			m.do(http.MethodPost, "/api/roles/4", m.session(), object{"allowWebService": false})
			return strconv.Itoa(m.works(secret))
		},
		map[string]string{"ignored": "200", "enforced": "403"},
	},
	"last_sign_in": {
		func(m *manager) string {
			_, shown := m.get("/apikeys/current").Body["lastSignIn"]
			return strconv.FormatBool(shown)
		},
		map[string]string{"omitted": "false", "present": "true"},
	},
	"delete_own_key": {
		emulatortest.StatusOf(func(m *manager) answer {
			return m.as(m.root, http.MethodDelete, fmt.Sprint("/apikeys/", m.get("/apikeys/current").Body["ID"]), nil)
		}),
		map[string]string{"accept": "204", "400": "400", "403": "403", "409": "409"},
	},
	"secret_form": {
		func(m *manager) string { return strconv.FormatBool(m.create("x", nil).Member("secretKey")[:2] == "2:") },
		map[string]string{"id": "true", "tenant": "false"},
	},
	"rate_limit": {
		func(m *manager) string {
			for range 500 {
				m.works(m.root)
			}
			return strconv.Itoa(m.works(m.root))
		},
		map[string]string{"500": "429", "501": "200", "0": "200"},
	},
	"tenant_rate_limit": {
		func(m *manager) string {
			secret := m.create("x", nil).Member("secretKey")
			return strconv.Itoa(m.works(secret))
		},
		map[string]string{"0": "200", "1": "429", "2": "200"},
	},
	"retry_after": {
		func(m *manager) string {
			m.Set("rate_limit", "1")
			m.works(m.root)
			m.MoveClock(20 * time.Second)
			return m.get("/apikeys").Header.Get("Retry-After")
		},
		map[string]string{"absent": "", "present": "40"},
	},
	"lenient_sessions": {
		func(m *manager) string {
			cookie := map[string]string{"Cookie": m.session()["Cookie"]}
			return fmt.Sprint(m.do(http.MethodGet, "/api/apikeys", cookie, nil).Status)
		},
		map[string]string{"no": "400", "yes": "200"},
	},
	"session_idle_timeout": {
		func(m *manager) string {
			session := m.session()
			m.MoveClock(10 * time.Minute)
			return strconv.Itoa(m.do(http.MethodGet, "/api/apikeys", session, nil).Status)
		},
		map[string]string{"30m0s": "200", "10m": "401"},
	},
	"bad_login_status": {
		emulatortest.StatusOf(func(m *manager) answer { return m.logIn(object{"password": "wrong"}) }),
		map[string]string{"401": "401", "403": "403", "400": "400"},
	},
	"mfa_required": {
		func(m *manager) string {
			return fmt.Sprint(m.logIn(nil).Status, m.logIn(object{"mfaCode": "492039"}).Status)
		},
		map[string]string{"no": "200 200", "yes": "401 200"},
	},
	"tenant_name_required": {
		func(m *manager) string {
			return fmt.Sprint(m.logIn(nil).Status, m.logIn(object{"tenantName": "acme"}).Status)
		},
		map[string]string{"no": "200 200", "yes": "401 200"},
	},
	"create_status": {
		emulatortest.StatusOf(func(m *manager) answer { return m.create("x", nil) }),
		map[string]string{"200": "200", "201": "201"},
	},
	"delete_status": {
		func(m *manager) string {
			m.create("x", nil)
			deleted := m.as(m.root, http.MethodDelete, "/apikeys/2", nil)
			return strconv.Itoa(deleted.Status) + deleted.Text
		},
		map[string]string{"204": "204", "200": "200"},
	},
	"duplicate_name": {
		emulatortest.StatusOf(func(m *manager) answer { m.create("x", nil); return m.create("x", nil) }),
		map[string]string{"400": "400", "409": "409", "accept": "200"},
	},
	"maximum_name_length": {
		emulatortest.StatusOf(func(m *manager) answer { return m.create("12345678", nil) }),
		map[string]string{"128": "200", "7": "400", "0": "200"},
	},
	"unknown_role_status": {
		emulatortest.StatusOf(func(m *manager) answer { return m.create("x", object{"roleID": 99}) }),
		map[string]string{"400": "400", "404": "404", "422": "422"},
	},
	"rights_for_create": {
		func(m *manager) string {
			result := ""
			for _, lacking := range []string{"canCreateNewApiKeys", "canCreateNewAdministrators"} {
				id := m.Act("create_role", "name", lacking, "lacks", lacking)["role_id"]
				m.Act("set_role", "role_id", id)
				result += fmt.Sprint(m.create(lacking, nil).Status, " ")
			}
			return result
		},
		map[string]string{"both": "403 403 ", "apikey": "403 200 ", "administrator": "200 403 "},
	},
	"own_secret_needs_right": {
		emulatortest.StatusOf(func(m *manager) answer {
			return m.as(m.create("x", nil).Member("secretKey"), http.MethodPost, "/apikeys/current/secretkey", nil)
		}),
		map[string]string{"yes": "403", "no": "200"},
	},
	"expiry_precision": {
		func(m *manager) string {
			return expiryOf(m.create("x", object{"expiryDate": in(25 * time.Hour)})) + " " + expiryOf(m.get("/apikeys/2"))
		},
		map[string]string{
			"millisecond": "2030-01-03T04:04:05.678 2030-01-03T04:04:05.678",
			"second":      "2030-01-03T04:04:05.000 2030-01-03T04:04:05.000",
			"day_start":   "2030-01-03T00:00:00.000 2030-01-03T00:00:00.000",
			"day_end":     "2030-01-03T23:59:59.999 2030-01-03T23:59:59.999",
			"nothing":     "none none",
		},
	},
	"expiry_in_answer": {
		func(m *manager) string {
			made := expiryOf(m.create("x", nil))
			changed := expiryOf(m.post("/apikeys/2", object{"expiryDate": in(2 * time.Hour)}))
			return made + " " + changed + " " + expiryOf(m.get("/apikeys/2"))
		},
		map[string]string{
			"yes": "2030-01-02T04:04:05.678 2030-01-02T05:04:05.678 2030-01-02T05:04:05.678",
			"no":  "none none 2030-01-02T05:04:05.678",
		},
	},
	"past_expiry": {
		func(m *manager) string {
			made := m.create("x", object{"expiryDate": in(-time.Second)}).Status
			id := m.create("y", nil).Body["ID"]
			m.Set("shortened_expiry", "accept")
			return fmt.Sprint(made, m.post(fmt.Sprintf("/apikeys/%v", id), object{"expiryDate": in(-time.Second)}).Status)
		},
		map[string]string{"reject": "400 400", "accept": "200 200"},
	},
	"cleared_expiry": {
		func(m *manager) string {
			m.create("x", nil)
			status := m.post("/apikeys/2", object{"expiryDate": nil}).Status
			m.post("/apikeys/2", object{"expiryDate": 0})
			return strconv.Itoa(status) + " " + expiryOf(m.get("/apikeys/2"))
		},
		map[string]string{
			"reject": "400 2030-01-02T04:04:05.678", "clear": "200 none", "ignore": "200 2030-01-02T04:04:05.678",
		},
	},
	"shortened_expiry": {
		func(m *manager) string {
			m.create("x", nil)
			status := m.post("/apikeys/2", object{"expiryDate": in(time.Minute)}).Status
			return strconv.Itoa(status) + " " + expiryOf(m.get("/apikeys/2"))
		},
		map[string]string{"reject": "400 2030-01-02T04:04:05.678", "accept": "200 2030-01-02T03:05:05.678"},
	},
	"extend_expired_key": {
		func(m *manager) string {
			secret := m.create("x", nil).Member("secretKey")
			m.MoveClock(time.Hour)
			status := m.post("/apikeys/2", object{"expiryDate": in(2 * time.Hour)}).Status
			lines := m.Issued()
			last := lines[len(lines)-1]
			return fmt.Sprintf("%d %d %s %t", status, m.works(secret), last.ID, last.Live)
		},
		map[string]string{"reject": "400 401 2 false", "ignore": "200 401 2 false", "revive": "200 200 2+ true"},
	},
	"expired_keys": {
		func(m *manager) string {
			m.create("x", nil)
			m.MoveClock(time.Hour)
			read := m.get("/apikeys/2").Status
			return fmt.Sprint(read, m.as(m.root, http.MethodDelete, "/apikeys/2", nil).Status)
		},
		map[string]string{"kept": "200 204", "purged": "404 404"},
	},
	"search_without_match": {
		func(m *manager) string {
			return m.post("/apikeys/search", object{"searchCriteria": []object{{"fieldName": "keyName", "stringValue": "none"}}}).Text
		},
		map[string]string{"empty": `{"apiKeys":[]}`, "null": `{"apiKeys":null}`, "missing": `{}`},
	},
	"search_case": {
		func(m *manager) string {
			return m.find(object{"fieldName": "keyName", "stringValue": "VAULT-Management", "stringWildcards": false})
		},
		map[string]string{"insensitive": "vault-management", "sensitive": ""},
	},
	"search_maximum": {
		func(m *manager) string {
			m.create("x", nil)
			return m.find(object{"fieldName": "keyName", "stringValue": "%"})
		},
		map[string]string{"0": "vault-management,x", "1": "vault-management"},
	},
	"clock_skew": {
		func(m *manager) string {
			made := m.create("x", nil)
			return fmt.Sprint(made.Header.Get("Date"), " ", made.Status, " ", m.works(m.root))
		},
		map[string]string{"0s": "Wed, 02 Jan 2030 03:04:05 GMT 200 200", "2h": "Wed, 02 Jan 2030 05:04:05 GMT 400 200"},
	},
}
