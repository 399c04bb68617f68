package trend_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// find searches for keys by criteria, and returns their names in the order of their IDs.
func (m *manager) find(criteria ...object) string {
	m.T.Helper()
	found := m.post("/apikeys/search", object{"sortByObjectID": true, "searchCriteria": criteria})
	require.Equal(m.T, 200, found.Status, found.Text)
	return namesIn(found, "apiKeys", "keyName")
}

func TestSearch_Criteria_FindTheMatchingKeys(t *testing.T) {
	m := newManager(t)
	m.create("vault_1", nil)
	m.create("vaultx1", object{"expiryDate": in(3 * time.Hour), "roleID": 2})
	m.create("other", object{"expiryDate": nil, "description": "100%"})
	m.post("/apikeys/4", object{"active": false})

	const all = "vault-management,vault_1,vaultx1,other"
	for name, c := range map[string]struct {
		criteria []object
		want     string
	}{
		"none":                   {nil, all},
		"wildcard by default":    {[]object{{"fieldName": "keyName", "stringValue": "vault_1"}}, "vault_1,vaultx1"},
		"no wildcard":            {[]object{{"fieldName": "keyName", "stringValue": "vault_1", "stringWildcards": false}}, "vault_1"},
		"percent":                {[]object{{"fieldName": "keyName", "stringTest": "equal", "stringValue": "vault%"}}, "vault-management,vault_1,vaultx1"},
		"percent in the middle":  {[]object{{"fieldName": "keyName", "stringValue": "v%1"}}, "vault_1,vaultx1"},
		"percent as a character": {[]object{{"fieldName": "description", "stringValue": "100%", "stringWildcards": false}}, "other"},
		"not equal":              {[]object{{"fieldName": "keyName", "stringTest": "not-equal", "stringValue": "vault%"}}, "other"},
		"number":                 {[]object{{"fieldName": "roleID", "numericTest": "less-than", "numericValue": 4}}, "vault-management,vaultx1"},
		"number not equal":       {[]object{{"fieldName": "roleID", "numericTest": "not-equal", "numericValue": 4}}, "vault-management,vaultx1"},
		"truth":                  {[]object{{"fieldName": "active", "booleanTest": false}}, "other"},
		"choice":                 {[]object{{"fieldName": "locale", "choiceTest": "not-equal", "choiceValue": "ja-JP"}}, all},
		"null":                   {[]object{{"fieldName": "expiryDate", "nullTest": true}}, "vault-management,other"},
		"dates":                  {[]object{{"fieldName": "expiryDate", "firstDateValue": in(time.Hour), "lastDateValue": in(2 * time.Hour)}}, "vault_1"},
		"dates exclusive":        {[]object{{"fieldName": "expiryDate", "firstDateValue": in(time.Hour), "firstDateInclusive": false}}, "vaultx1"},
		"date before":            {[]object{{"fieldName": "expiryDate", "lastDateValue": in(3 * time.Hour), "lastDateInclusive": false}}, "vault_1"},
		"id":                     {[]object{{"idTest": "greater-than", "idValue": 2}}, "vaultx1,other"},
		"and": {[]object{
			{"fieldName": "keyName", "stringValue": "vault%"}, {"idTest": "greater-than-or-equal", "idValue": 2},
			{"idTest": "less-than-or-equal", "idValue": 2},
		}, "vault_1"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, m.find(c.criteria...)) })
	}
}

func TestSearch_WithoutOrderOrWithLimit_AnswersAccordingly(t *testing.T) {
	m := newManager(t)
	m.create("a", nil)
	m.create("b", nil)
	require.Equal(t, "b,a,vault-management", namesIn(m.post("/apikeys/search", nil), "apiKeys", "keyName"), "the newest first")
	require.Equal(t, "vault-management,a", namesIn(m.post("/apikeys/search", object{"maxItems": 2, "sortByObjectID": true}), "apiKeys", "keyName"))
	require.Equal(t, "Auditor", namesIn(m.post("/roles/search",
		object{"searchCriteria": []object{{"fieldName": "name", "stringValue": "Auditor", "stringWildcards": false}}}), "roles", "name"))
}

func TestSearch_InvalidRequest_IsRefused(t *testing.T) {
	m := newManager(t)
	for name, body := range map[string]any{
		"no JSON":        "x",
		"too many items": object{"maxItems": 5001},
		"no items":       object{"maxItems": 0},
		"unknown field":  object{"searchCriteria": []object{{"fieldName": "name", "stringValue": "x"}}},
		"unknown test":   object{"searchCriteria": []object{{"fieldName": "keyName", "stringTest": "like", "stringValue": "x"}}},
		"text of number": object{"searchCriteria": []object{{"fieldName": "roleID", "stringValue": "4"}}},
		"number of text": object{"searchCriteria": []object{{"fieldName": "keyName", "numericValue": 4}}},
		"unknown number": object{"searchCriteria": []object{{"fieldName": "roleID", "numericTest": "x", "numericValue": 4}}},
		"no test":        object{"searchCriteria": []object{{"fieldName": "keyName"}}},
	} {
		refused := m.post("/apikeys/search", body)
		require.Equal(t, 400, refused.Status, name)
		require.NotEmpty(t, refused.Body["message"], name)
	}
}
