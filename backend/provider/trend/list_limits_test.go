package trend_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// keyList is a manager that has a number of keys and returns at most a number of them in one page.
type keyList struct {
	keys, page int
	padding    string // in each description
	pages      atomic.Int64
	largest    atomic.Int64 // bytes of the largest page
}

// ServeHTTP implements http.Handler.
func (l *keyList) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/search") {
		_, _ = w.Write([]byte(`{"ID":1,"keyName":"management","tenantGUID":"A"}`))
		return
	}
	var request struct {
		MaxItems int `json:"maxItems"`
		Criteria []struct {
			IDValue int `json:"idValue"`
		} `json:"searchCriteria"`
	}
	_ = json.NewDecoder(r.Body).Decode(&request)
	var items []string
	for id := request.Criteria[1].IDValue + 1; id <= l.keys && len(items) < min(request.MaxItems, l.page); id++ {
		items = append(items, fmt.Sprintf(`{"ID":%d,"keyName":"vault-%d","description":%q,"roleID":4,"active":true}`, id, id, l.padding))
	}
	l.pages.Add(1)
	written, _ := fmt.Fprintf(w, `{"apiKeys":[%s]}`, strings.Join(items, ","))
	l.largest.Store(max(l.largest.Load(), int64(written)))
}

// list lists the keys of a manager.
func (l *keyList) list(t *testing.T) ([]provider.Listed, error) {
	t.Helper()
	server := httptest.NewServer(l)
	defer server.Close()
	conn, err := trend.New().Open(provider.Config{
		Address: server.URL, AllowAddresses: providertest.Loopback(), Fields: &framework.FieldData{Raw: fields{"api_key": "1:x"}, Schema: trend.New().ConfigFields()},
	})
	require.NoError(t, err)
	defer conn.Close()
	return conn.(provider.Lister).List(t.Context(), "vault-")
}

func TestList_ManyKeys_ArePagedBelowResponseLimit(t *testing.T) {
	manager := &keyList{keys: 20_000, page: 5_000, padding: strings.Repeat("d", 1_500)}
	listed, err := manager.list(t)
	require.NoError(t, err)
	assert.Len(t, listed, 20_000-1, "all but the management key")
	assert.Less(t, manager.largest.Load(), int64(1<<20))
}

func TestList_WithoutEnd_FailsAfterABound(t *testing.T) {
	for name, manager := range map[string]*keyList{
		"full pages":  {keys: 1 << 30, page: 5_000},
		"small pages": {keys: 1 << 30, page: 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manager.list(t)
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassUnavailable, failure.Class)
			assert.Contains(t, failure.Message, "20000 keys")
			assert.Contains(t, failure.Remedy, "delete those keys")
			assert.LessOrEqual(t, manager.pages.Load(), int64(200))
		})
	}
}
