package ftd_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestSessionGuard_FullDevice_RefusesWithoutEviction(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		for users, free := range map[int]int{0: 4, 1: 3, 3: 1, 4: 0} {
			t.Run(fmt.Sprintf("lists custom tokens %s, %d users", lists, users), func(t *testing.T) {
				d := newDevice(t)
				d.Set("custom_tokens_in_sessions", lists)
				for range users {
					d.Act("ui_login")
				}
				c := d.open()
				for active := range free {
					_, err := c.Issue(t.Context(), requestWithActive(active))
					require.NoError(t, err)
				}
				_, err := c.Issue(t.Context(), requestWithActive(free))
				failure := requireClass(t, provider.ClassCapacity, err)
				assert.Contains(t, failure.Message, "5 sessions")
				for _, remedy := range []string{"log a user out", "max_credentials in config/edge", "sharing=shared"} {
					assert.Contains(t, failure.Remedy, remedy)
				}
				assert.Equal(t, free, d.Requested("custom_token"), "the refused token was not requested")
				assert.Zero(t, d.evicted())
			})
		}
	}
}

func TestSessionGuard_UserLogsOut_AllowsNextToken(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	var user map[string]string
	for range 3 {
		user = d.Act("ui_login")
	}
	issue(t, c, "va-1")
	_, err := c.Issue(t.Context(), requestWithActive(1))
	requireClass(t, provider.ClassCapacity, err)
	d.Act("ui_logout", "id", user["id"])
	_, err = c.Issue(t.Context(), requestWithActive(1))
	require.NoError(t, err)
	assert.Zero(t, d.evicted())
}

func TestSessionGuard_ConcurrentIssues_EvictNoSession(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		t.Run("lists custom tokens "+lists, func(t *testing.T) {
			d := newDevice(t)
			d.Set("custom_tokens_in_sessions", lists)
			d.Act("ui_login")
			d.Act("ui_login")
			c := d.open()
			var group errgroup.Group
			for active := range 10 { // the engine has reserved a slot for each
				group.Go(func() error {
					_, err := c.Issue(t.Context(), requestWithActive(active))
					if provider.ClassOf(err) == provider.ClassCapacity {
						return nil
					}
					return err
				})
			}
			require.NoError(t, group.Wait())
			assert.Zero(t, d.evicted())
			assert.LessOrEqual(t, d.Live(emulator.KindLeased), 2)
		})
	}
}

// Each config has a connection of its own, and counts its own tokens only.
func TestSessionGuard_SeveralConnections_EvictNoSession(t *testing.T) {
	d := newDevice(t)
	d.driver = ftd.New()
	d.Set("custom_tokens_in_sessions", "yes")
	var connections []connection
	for range 3 {
		c := d.openWithStore(&providertest.Sessions{})
		_, err := c.Check(t.Context()) // logs in
		require.NoError(t, err)
		connections = append(connections, c)
	}
	var group errgroup.Group
	for i := range 12 {
		group.Go(func() error {
			_, err := connections[i%3].Issue(t.Context(), request(fmt.Sprintf("vault-config%d", i)))
			if provider.ClassOf(err) == provider.ClassCapacity {
				return nil
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	assert.Zero(t, d.evicted())
	assert.Equal(t, 2, d.Live(emulator.KindLeased), "in addition to three logins")
}

// A plugin that has just started does not know whether the device lists custom tokens.
func TestSessionGuard_AfterRestart_CountsUnlistedTokens(t *testing.T) {
	d := newDevice(t)
	first := d.open()
	for active := range 3 {
		_, err := first.Issue(t.Context(), requestWithActive(active))
		require.NoError(t, err)
	}
	first.Close()
	d.Act("ui_login")
	_, err := d.open().Issue(t.Context(), requestWithActive(3))
	requireClass(t, provider.ClassCapacity, err)
	assert.Zero(t, d.evicted())
}

// Requests can be issued in another order than the one in which the engine has counted them.
func TestSessionGuard_AnyOrderOfCounts_EvictsNoSession(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		for _, counts := range [][]int{{2, 0, 1}, {1, 2, 0}, {2, 1, 0}, {3, 1, 0, 2}} {
			d := newDevice(t)
			d.Set("custom_tokens_in_sessions", lists)
			d.Act("ui_login")
			d.Act("ui_login")
			c := d.open()
			for _, active := range counts {
				if _, err := c.Issue(t.Context(), requestWithActive(active)); err != nil {
					requireClass(t, provider.ClassCapacity, err)
				}
			}
			assert.Zero(t, d.evicted(), "lists %s, counts %v", lists, counts)
			assert.Equal(t, 2, d.Live(emulator.KindLeased), "lists %s, counts %v", lists, counts)
		}
	}
}

// A list that is longer than the engine's own sessions may contain other users instead of the tokens.
func TestSessionGuard_ListingUnknown_CountsTokensTwice(t *testing.T) {
	d := newDevice(t)
	issue(t, d.open(), "va-1")
	for range 3 {
		d.Act("ui_login")
	}
	content := d.sessions.Saved()
	d.sessions.Put(bytes.ReplaceAll(content, []byte("lists_tokens"), []byte("unknown")))
	require.NotEqual(t, content, d.sessions.Saved())
	_, err := d.open().Issue(t.Context(), requestWithActive(1))
	requireClass(t, provider.ClassCapacity, err)
	assert.Zero(t, d.evicted())
}

func TestSessionGuard_AfterRestart_KnowsListedTokens(t *testing.T) {
	d := newDevice(t)
	d.Set("custom_tokens_in_sessions", "yes")
	first := d.open()
	for active := range 3 {
		_, err := first.Issue(t.Context(), requestWithActive(active))
		require.NoError(t, err)
	}
	first.Close()
	_, err := d.open().Issue(t.Context(), requestWithActive(3))
	require.NoError(t, err, "the tokens are not counted twice")
	assert.Zero(t, d.evicted())
}

func TestSessionGuard_OwnTokensFillDevice_SendsNothing(t *testing.T) {
	d := newDevice(t)
	_, err := d.open().Issue(t.Context(), requestWithActive(4))
	failure := requireClass(t, provider.ClassCapacity, err)
	assert.Contains(t, failure.Message, "5 sessions")
	assert.Empty(t, d.Requests("ftd"))
}

func TestSessionGuard_SeveralIssues_DetectListingOnce(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	for active := range 3 {
		_, err := c.Issue(t.Context(), requestWithActive(active))
		require.NoError(t, err)
	}
	assert.Equal(t, 4, d.Requested(listing), "before each token, and after the first")
}

func TestSessionGuard_ListingUnsupported_IssuesToken(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"forbidden":       {Status: 403},
		"bad request":     {Status: 400},
		"unauthorized":    {Status: 401},
		"older release":   {Status: 404},
		"another method":  {Status: 405},
		"validation":      {Status: 422},
		"not implemented": {Status: 501},
		"another shape":   {Body: new(`[{"ipAddress":"192.0.2.1"}]`)},
		"endless":         {Body: new(`{"items":[{"id":"1"}],"paging":{"count":1000000}}`)},
		"empty object":    {Body: new(`{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			fault.Route = listing
			d.InjectFault(fault)
			issue(t, d.open(), "va-1")
			assert.Equal(t, 1, d.Requested("password"))
		})
	}
}

func TestSessionGuard_ListingFails_IssuesNoToken(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"server error": {Status: 500},
		"starting":     {Status: 503},
		"busy":         {Status: 423},
		"lost":         {DropAfter: true},
		"truncated":    {Truncate: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			fault.Route = listing
			d.InjectFault(fault)
			_, err := d.open().Issue(t.Context(), request("va-1"))
			requireClass(t, provider.ClassUnavailable, err)
			assert.Zero(t, d.Requested("custom_token"))
		})
	}
}

func TestSessionGuard_CanceledWhileWaiting_SendsNothing(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	d.InjectFault(emulator.Fault{Route: "custom_token", Delay: time.Hour, Times: 1})
	slow, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Issue(slow, request("va-1"))
		done <- err
	}()
	require.Eventually(t, func() bool { return d.Requested("custom_token") == 1 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Issue(ctx, request("va-2"))
	require.ErrorIs(t, err, context.Canceled)
	requireClass(t, provider.ClassUnavailable, err)
	stop()
	requireClass(t, provider.ClassAmbiguous, <-done)
	issue(t, c, "va-3")
}

// A person who logs in as the engine's user at the same time is not taken for the token: the list shows the token's own id.
func TestDetectListing_PersonLogsInAtOnce_IsExact(t *testing.T) {
	for lists, want := range map[string]string{"yes": `"lists_tokens":true`, "no": `"lists_tokens":false`} {
		d := newDevice(t)
		d.Set("custom_tokens_in_sessions", lists)
		d.useProxy(func(_ *http.Request, body []byte) {
			if bytes.Contains(body, []byte("custom_token")) {
				d.Act("ui_login")
			}
		}, nil)
		issue(t, d.open(), "va-1")
		assert.Contains(t, string(d.sessions.Saved()), want)
	}
}

// A device whose ids are not those of the tokens shows a new session, which has the name of the user or of the token.
func TestDetectListing_OtherIDs_ComparesNewSessions(t *testing.T) {
	for name, test := range map[string]struct {
		switches []string
		person   string // another user who logs in during the issue
		want     string
	}{
		"listed under the user":    {nil, "", `"lists_tokens":true`},
		"listed under the subject": {[]string{"custom_token_session_name", "subject"}, "", `"lists_tokens":true`},
		"not listed":               {[]string{"custom_tokens_in_sessions", "no"}, "", `"lists_tokens":false`},
		"another user logs in":     {[]string{"custom_tokens_in_sessions", "no"}, "operator", `"lists_tokens":false`},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.Set("session_id_is_jti", "no")
			d.Set(test.switches...)
			next := d.open()
			if test.person != "" {
				root := d.Act("add_external_user", "name", test.person, "role", "admin")
				engine := d.fields
				d.fields = map[string]any{"username": root["username"], "password": root["password"]}
				person := d.openWithStore(nil)
				d.fields = engine
				d.useProxy(func(_ *http.Request, body []byte) {
					if bytes.Contains(body, []byte("custom_token")) {
						_, err := person.Check(context.Background())
						assert.NoError(t, err)
					}
				}, nil)
				next = d.open()
			}
			issue(t, next, "va-1")
			assert.Contains(t, string(d.sessions.Saved()), test.want)
		})
	}
}
