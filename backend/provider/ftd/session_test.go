package ftd_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// changeLogin replaces members of the answers to logins. Nil removes a member.
func (d *device) changeLogin(members map[string]any) {
	d.T.Helper()
	login := false
	d.useProxy(func(_ *http.Request, body []byte) {
		login = bytes.Contains(body, []byte(`"grant_type":"password"`))
	}, func(answer *http.Response) error {
		if !login {
			return nil
		}
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		var granted map[string]any
		require.NoError(d.T, json.Unmarshal(content, &granted))
		for name, value := range members {
			granted[name] = value
			if value == nil {
				delete(granted, name)
			}
		}
		if content, err = json.Marshal(granted); err != nil {
			return err
		}
		answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		answer.Header.Del("Content-Length")
		return nil
	})
}

// A login lives 1800 seconds and can be refreshed for 2400, unless the device says otherwise. Both are taken as a second less.
func TestSession_Lifetimes_AreOfTheAnswerOrDocumented(t *testing.T) {
	absent := map[string]any{"expires_in": nil, "refresh_expires_in": nil}
	zero := map[string]any{"expires_in": 0, "refresh_expires_in": 0}
	short := map[string]any{"expires_in": 600, "refresh_expires_in": 900}
	for _, test := range []struct {
		name              string
		members           map[string]any
		after             time.Duration
		logins, refreshes int
	}{
		{"absent, one minute left", absent, 1739 * time.Second, 1, 0},
		{"absent, less than a minute left", absent, 1739*time.Second + 1, 1, 1},
		{"absent, refreshable", absent, 2399*time.Second - 1, 1, 1},
		{"absent, ended", absent, 2399 * time.Second, 2, 0},
		{"zero, one minute left", zero, 1739 * time.Second, 1, 0},
		{"zero, refreshable", zero, 2399*time.Second - 1, 1, 1},
		{"short, one minute left", short, 539 * time.Second, 1, 0},
		{"short, less than a minute left", short, 539*time.Second + 1, 1, 1},
		{"short, refreshable", short, 899*time.Second - 1, 1, 1},
		{"short, ended", short, 899 * time.Second, 2, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDevice(t)
			d.changeLogin(test.members)
			c := d.open()
			issue(t, c, "va-1")
			d.clock.Advance(test.after)
			issue(t, c, "va-2")
			assert.Equal(t, test.logins, d.Requested("password"), "logins")
			assert.Equal(t, test.refreshes, d.Requested("refresh_token"), "refreshes")
		})
	}
}
