package ftd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// A PUT replaces the whole object, so a member that is not sent back is lost.
func TestRotateRoot_UserObject_IsSentAsRead(t *testing.T) {
	d := newDevice(t)
	var read, sent map[string]json.RawMessage
	d.useProxy(func(r *http.Request, body []byte) {
		if r.Method == http.MethodPut {
			assert.NoError(t, json.Unmarshal(body, &sent))
		}
	}, func(answer *http.Response) error {
		if answer.Request.Method != http.MethodGet {
			return nil
		}
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		content = bytes.Replace(content, []byte(`"userPreferences"`),
			[]byte(`"serial":12345678901234567890,"later":{"list":[1.50,null]},"userPreferences"`), 1)
		answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		answer.Header.Del("Content-Length")
		var list struct{ Items []map[string]json.RawMessage }
		if err := json.Unmarshal(content, &list); err == nil && len(list.Items) == 1 && read == nil {
			read = list.Items[0]
		}
		return nil
	})
	_, err := rotate(t, d, d.open())
	require.NoError(t, err)
	assert.JSONEq(t, `"`+nextPassword+`"`, string(sent["newPassword"]))
	assert.JSONEq(t, `"`+d.fields["password"].(string)+`"`, string(sent["password"]))
	for _, member := range []string{"links", "password", "newPassword"} {
		require.Contains(t, read, member)
		delete(read, member)
		delete(sent, member)
	}
	for _, member := range []string{"id", "version", "type", "name", "identitySourceId", "userRole", "userServiceTypes", "userPreferences", "serial", "later"} {
		assert.Contains(t, read, member)
	}
	assert.Equal(t, read, sent)
}

func TestRotateRoot_UserID_IsOnePathSegment(t *testing.T) {
	d := newDevice(t)
	var paths []string
	d.useProxy(func(r *http.Request, _ []byte) {
		if r.Method == http.MethodPut {
			paths = append(paths, r.URL.EscapedPath())
		}
	}, nil)
	d.InjectFault(emulator.Fault{Route: readUsers, Times: 1, Body: new(`{"items":[{"name":"admin","type":"user","id":"../a b?c#d","identitySourceId":"` + localSource + `"}]}`)})
	_, err := rotate(t, d, d.open())
	require.Error(t, err)
	assert.Equal(t, []string{"/api/fdm/latest/object/users/..%2Fa%20b%3Fc%23d"}, paths)
}

// localSource is the identity source of local users on every device.
const localSource = "e3e74c32-3c03-11e8-983b-95c21a1b6da9"

func TestRotateRoot_ExternalUser_IsInvalid(t *testing.T) {
	for _, switches := range [][]string{
		{"external_users", "objects", "external_user_change", "reject"},
		{"external_users", "objects", "external_user_change", "ignore"},
		{"external_users", "objects", "local_identity_source", "LOCAL"},
		{"external_users", "absent"},
	} {
		t.Run(strings.Join(switches, " "), func(t *testing.T) {
			d := newDevice(t)
			d.Set(switches...)
			root := d.Act("add_external_user", "name", "external-admin", "role", "admin")
			d.fields["username"], d.fields["password"] = root["username"], root["password"]
			_, err := rotate(t, d, d.open())
			failure := requireClass(t, provider.ClassInvalid, err)
			assert.Contains(t, failure.Message, "external server")
			assert.Contains(t, failure.Remedy, "write it to config/edge")
			assert.Zero(t, d.changes())
			d.requirePassword(root["password"])
		})
	}
}

// The device lists its local identity sources, in case their id is not the known one.
func TestRotateRoot_OtherLocalSource_IsLookedUp(t *testing.T) {
	d := newDevice(t)
	d.Set("local_identity_source", "LOCAL")
	_, err := rotate(t, d, d.open())
	require.NoError(t, err)
	d.requirePassword(nextPassword)
}

func TestRotateRoot_SourceNotKnown_IsNotChanged(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		want  provider.Class
	}{
		"no such resource": {emulator.Fault{Status: 404}, provider.ClassInvalid},
		"not permitted":    {emulator.Fault{Status: 403}, provider.ClassInvalid},
		"an empty list":    {emulator.Fault{Body: new(`{"items":[]}`)}, provider.ClassInvalid},
		"a page":           {emulator.Fault{Body: new(`<html>Log in here</html>`)}, provider.ClassUnavailable},
		"starting":         {emulator.Fault{Status: 503}, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.Set("local_identity_source", "LOCAL")
			test.fault.Route = "object/localidentitysources"
			d.InjectFault(test.fault)
			_, err := rotate(t, d, d.open())
			requireClass(t, test.want, err)
			assert.Zero(t, d.changes())
		})
	}
}

func TestRotateRoot_UncertainUser_IsNotChanged(t *testing.T) {
	for name, test := range map[string]struct {
		listed string
		want   provider.Class
	}{
		"a page":             {`<html>Log in here</html>`, provider.ClassUnavailable},
		"no list":            {`[]`, provider.ClassUnavailable},
		"another shape":      {`{"items":["admin"]}`, provider.ClassUnavailable},
		"no id":              {`{"items":[{"name":"admin","type":"user"}]}`, provider.ClassUnavailable},
		"id that is no text": {`{"items":[{"name":"admin","type":"user","id":7}]}`, provider.ClassUnavailable},
		"parent as id":       {`{"items":[{"name":"admin","type":"user","id":".."}]}`, provider.ClassUnavailable},
		"another type":       {`{"items":[{"name":"admin","type":"group","id":"x"}]}`, provider.ClassUnavailable},
		"empty object":       {`{}`, provider.ClassInvalid},
		"null":               {`{"items":[null]}`, provider.ClassInvalid},
		"longer name":        {`{"items":[{"name":"admin2","type":"user","id":"x"}]}`, provider.ClassInvalid},
		"user of the VPN":    {`{"items":[{"name":"admin","type":"user","id":"x","userServiceTypes":["RA_VPN"]}]}`, provider.ClassInvalid},
		"two with one name":  {`{"items":[{"name":"admin","type":"user","id":"x"},{"name":"admin","type":"user","id":"y"}]}`, provider.ClassInvalid},
		"no source":          {`{"items":[{"name":"admin","type":"user","id":"x"}]}`, provider.ClassInvalid},
		"both services":      {`{"items":[{"name":"admin","userServiceTypes":["MGMT"]},{"name":"admin","userServiceTypes":["RA_VPN"]}]}`, provider.ClassUnavailable},
		"unknown services":   {`{"items":[{"name":"admin","userServiceTypes":"all"}]}`, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.InjectFault(emulator.Fault{Route: readUsers, Body: &test.listed})
			_, err := rotate(t, d, d.open())
			requireClass(t, test.want, err)
			assert.Zero(t, d.changes())
		})
	}
}
