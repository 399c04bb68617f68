package ftd_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestList_SeveralPages_AreAllRead(t *testing.T) {
	d := newDevice(t)
	page := func(from, to, count int) *string {
		var items []string
		for i := from; i < to; i++ {
			items = append(items, fmt.Sprintf(`{"id":"%d","userName":"va-%d","expiresAt":1767327000}`, i, i))
		}
		return new(fmt.Sprintf(`{"items":[%s],"paging":{"count":%d}}`, strings.Join(items, ","), count))
	}
	for name, pages := range map[string][]*string{
		"fewer than requested":   {page(0, 2, 3), page(2, 3, 3)},
		"full, without a count":  {page(0, 100, 0), page(100, 101, 0)},
		"full, then empty":       {page(0, 100, 0), page(0, 0, 0)},
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

func TestList_ExpiryInAnyUnit_IsConverted(t *testing.T) {
	// The device's clock is one hour ahead of the engine's.
	const date = "Fri, 02 Jan 2026 04:04:05 GMT"
	d := newDevice(t)
	end := d.clock.Now().Add(30*time.Minute - time.Second)
	for name, c := range map[string]struct {
		expiresAt, date string
		want            time.Time
	}{
		"seconds":              {"1767328445", date, end},
		"milliseconds":         {"1767328445000", date, end},
		"largest seconds":      {"99999999999", date, time.Unix(99_999_999_999, 0).Add(-time.Hour - time.Second).UTC()},
		"least milliseconds":   {"100000000000", date, time.UnixMilli(100_000_000_000).Add(-time.Hour - time.Second).UTC()},
		"text":                 {`"2026-01-02T04:34:05Z"`, date, time.Time{}},
		"null":                 {"null", date, time.Time{}},
		"zero":                 {"0", date, time.Time{}},
		"fraction":             {"1.5", date, time.Time{}},
		"without a Date":       {"1767328445", "", time.Time{}},
		"with an invalid Date": {"1767328445", "yesterday", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			d.EndFaults()
			d.InjectFault(emulator.Fault{
				Route: listing, Body: new(`{"items":[{"id":"1","userName":"va-1","expiresAt":` + c.expiresAt + `}]}`),
				Header: map[string]string{"Date": c.date},
			})
			found, err := d.open().List(t.Context(), "va-")
			require.NoError(t, err)
			assert.Equal(t, []provider.Listed{{Marker: "va-1", ExpiresAt: c.want}}, found)
		})
	}
}

func TestList_EngineUser_IsLeftOut(t *testing.T) {
	d := newDevice(t)
	d.Act("ui_login")
	found, err := d.open().List(t.Context(), "adm")
	require.NoError(t, err)
	assert.Empty(t, found)
}

func TestList_Refused_ReturnsRemedy(t *testing.T) {
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
