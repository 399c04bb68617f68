package ftd_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// listing is the operation that lists the device's sessions.
const listing = "action/activeusersessions"

// evicted counts sessions that the device ended for a new one.
func (d *device) evicted() int {
	count := 0
	for _, credential := range d.Issued() {
		if credential.EndedBy == emulator.EndedEvicted {
			count++
		}
	}
	return count
}

// holding is a request of an engine that holds that many tokens.
func holding(live int) provider.IssueRequest {
	wanted := request(fmt.Sprintf("va-%d", live+1))
	wanted.ActiveCount = live
	return wanted
}

func TestIssue_FullDevice_IsRefusedAndNobodyIsEvicted(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		for people, room := range map[int]int{0: 4, 1: 3, 3: 1, 4: 0} {
			t.Run(fmt.Sprintf("lists custom tokens %s, %d people", lists, people), func(t *testing.T) {
				d := newDevice(t)
				d.Set("custom_tokens_in_sessions", lists)
				for range people {
					d.Act("ui_login")
				}
				c := d.open()
				for live := range room {
					_, err := c.Issue(t.Context(), holding(live))
					require.NoError(t, err)
				}
				_, err := c.Issue(t.Context(), holding(room))
				failure := requireClass(t, provider.ClassCapacity, err)
				assert.Contains(t, failure.Message, "5 sessions")
				for _, remedy := range []string{"log a user out", "max_credentials in config/edge", "sharing=shared"} {
					assert.Contains(t, failure.Remedy, remedy)
				}
				assert.Equal(t, room, d.Requested("custom_token"), "nothing was asked for")
				assert.Zero(t, d.evicted())
			})
		}
	}
}

func TestIssue_FullDevice_HasRoomAgainWhenSomebodyLeaves(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	var person map[string]string
	for range 3 {
		person = d.Act("ui_login")
	}
	issue(t, c, "va-1")
	_, err := c.Issue(t.Context(), holding(1))
	requireClass(t, provider.ClassCapacity, err)
	d.Act("ui_logout", "id", person["id"])
	_, err = c.Issue(t.Context(), holding(1))
	require.NoError(t, err)
	assert.Zero(t, d.evicted())
}

func TestIssue_TokensMadeAtOnce_LeaveNobodyEvicted(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		t.Run("lists custom tokens "+lists, func(t *testing.T) {
			d := newDevice(t)
			d.Set("custom_tokens_in_sessions", lists)
			d.Act("ui_login")
			d.Act("ui_login")
			c := d.open()
			var group errgroup.Group
			for live := range 10 { // the engine has reserved a slot for each
				group.Go(func() error {
					_, err := c.Issue(t.Context(), holding(live))
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

// A plugin that has just started does not know what the device lists.
func TestIssue_AfterRestart_CountsTokensThatAreNotListed(t *testing.T) {
	d := newDevice(t)
	first := d.open()
	for live := range 3 {
		_, err := first.Issue(t.Context(), holding(live))
		require.NoError(t, err)
	}
	first.Close()
	d.Act("ui_login")
	_, err := d.open().Issue(t.Context(), holding(3))
	requireClass(t, provider.ClassCapacity, err)
	assert.Zero(t, d.evicted())
}

func TestIssue_SessionsAreLearnedAboutOnce(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	for live := range 3 {
		_, err := c.Issue(t.Context(), holding(live))
		require.NoError(t, err)
	}
	assert.Equal(t, 4, d.Requested(listing), "before each token, and after the first")
}

func TestIssue_DeviceThatDoesNotTellItsSessions_MakesTokensAllTheSame(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"forbidden":      {Status: 403},
		"bad request":    {Status: 400},
		"unauthorized":   {Status: 401},
		"older release":  {Status: 404},
		"another method": {Status: 405},
		"validation":     {Status: 422},
		"not built":      {Status: 501},
		"another shape":  {Body: new(`[{"ipAddress":"192.0.2.1"}]`)},
		"endless":        {Body: new(`{"items":[{"id":"1"}],"paging":{"count":1000000}}`)},
		"nothing":        {Body: new(`{}`)},
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

func TestIssue_SessionsThatCannotBeReadNow_MakeNoToken(t *testing.T) {
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

func TestIssue_CallerWhoseTurnDoesNotCome_GivesUpWithNothingSent(t *testing.T) {
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

func TestFind_ReadsAllPages(t *testing.T) {
	d := newDevice(t)
	page := func(from, to, count int) *string {
		var items []string
		for i := from; i < to; i++ {
			items = append(items, fmt.Sprintf(`{"id":"%d","userName":"va-%d","expiresAt":1767327000}`, i, i))
		}
		return new(fmt.Sprintf(`{"items":[%s],"paging":{"count":%d}}`, strings.Join(items, ","), count))
	}
	for name, pages := range map[string][]*string{
		"fewer than asked for":   {page(0, 2, 3), page(2, 3, 3)},
		"full, without a count":  {page(0, 100, 0), page(100, 101, 0)},
		"full, and nothing more": {page(0, 100, 0), page(0, 0, 0)},
		"count that is too high": {page(0, 2, 3), page(0, 0, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			d.EndFaults()
			total := 0
			for _, body := range pages {
				total += strings.Count(*body, "userName")
				d.InjectFault(emulator.Fault{Route: listing, Body: body, Times: 1})
			}
			found, err := d.open().List(t.Context(), "va-")
			require.NoError(t, err)
			require.Len(t, found, total)
			assert.Equal(t, "va-0", found[0].Marker)
			assert.Equal(t, fmt.Sprintf("va-%d", total-1), found[total-1].Marker)
		})
	}
}

func TestFind_ExpiryInAnyUnit(t *testing.T) {
	// The device's clock is an hour ahead of ours.
	const date = "Fri, 02 Jan 2026 04:04:05 GMT"
	d := newDevice(t)
	end := d.clock.Now().Add(30*time.Minute - time.Second)
	for name, c := range map[string]struct {
		shown, date string
		want        time.Time
	}{
		"seconds":             {"1767328445", date, end},
		"milliseconds":        {"1767328445000", date, end},
		"text":                {`"2026-01-02T04:34:05Z"`, date, time.Time{}},
		"null":                {"null", date, time.Time{}},
		"zero":                {"0", date, time.Time{}},
		"fraction":            {"1.5", date, time.Time{}},
		"without a Date":      {"1767328445", "", time.Time{}},
		"with an unread Date": {"1767328445", "yesterday", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			d.EndFaults()
			d.InjectFault(emulator.Fault{
				Route: listing, Body: new(`{"items":[{"id":"1","userName":"va-1","expiresAt":` + c.shown + `}]}`),
				Header: map[string]string{"Date": c.date},
			})
			found, err := d.open().List(t.Context(), "va-")
			require.NoError(t, err)
			assert.Equal(t, []provider.Listed{{Marker: "va-1", ExpiresAt: c.want}}, found)
		})
	}
}

func TestFind_OwnNameIsNotListed(t *testing.T) {
	d := newDevice(t)
	d.Act("ui_login")
	found, err := d.open().List(t.Context(), "adm")
	require.NoError(t, err)
	assert.Empty(t, found)
}

func TestFind_RefusalsAreExplained(t *testing.T) {
	for status, want := range map[int]struct {
		class  provider.Class
		remedy string
	}{
		http.StatusForbidden: {provider.ClassForbidden, "a role that may do this"},
		http.StatusNotFound:  {provider.ClassInvalid, "may not list sessions"},
	} {
		d := newDevice(t)
		d.InjectFault(emulator.Fault{Route: listing, Status: status})
		_, err := d.open().List(t.Context(), "va-")
		assert.Contains(t, requireClass(t, want.class, err).Remedy, want.remedy)
	}
}
