package trend

import "encoding/json"

// newKey is the body that creates an API key. Members that are absent get the manager's defaults.
type newKey struct {
	KeyName     string `json:"keyName"`
	Description string `json:"description,omitempty"`
	RoleID      int    `json:"roleID"`
	Locale      string `json:"locale,omitempty"`
	TimeZone    string `json:"timeZone,omitempty"`
	ExpiryDate  int64  `json:"expiryDate,omitempty"` // milliseconds on the manager's clock
}

// keyChange is the body that modifies an API key. All other members are left unchanged.
type keyChange struct {
	ExpiryDate int64 `json:"expiryDate"`
}

// apiKey is an API key, as far as it is read. Members that are not set are omitted, as recorded.
type apiKey struct {
	ID         int    `json:"ID"`
	KeyName    string `json:"keyName"`
	RoleID     int    `json:"roleID"`
	Active     *bool  `json:"active"`
	ExpiryDate *int64 `json:"expiryDate"`
	SecretKey  string `json:"secretKey"` // toServer the answer to a creation only
}

// locked reports whether a person has locked the key out.
func (k *apiKey) locked() bool { return k.Active != nil && !*k.Active }

// lastExpiry is the year 9000, in milliseconds. Later times mean never, and not every program can write them.
const lastExpiry = 221_845_392_000_000

// expires reports whether the answer holds an expiry. That 0 means the same as none is inferred.
func (k *apiKey) expires() bool {
	return k.ExpiryDate != nil && *k.ExpiryDate > 0 && *k.ExpiryDate < lastExpiry
}

// currentKey is what a key is told about itself.
type currentKey struct {
	apiKey
	RoleURN           string          `json:"roleURN"`
	TenantID          json.RawMessage `json:"tenantID"`
	TenantGUID        string          `json:"tenantGUID"`
	CloudOneAccountID string          `json:"cloudOneAccountID"`
}

// maxItems is the documented default of how many a search answers with.
const maxItems = 5000

// search is the body of a search. Its criteria are ANDed.
type search struct {
	MaxItems       int   `json:"maxItems"`
	SortByObjectID bool  `json:"sortByObjectID,omitempty"`
	Criteria       []any `json:"searchCriteria"` // of textCriterion and idCriterion
}

// textCriterion is a condition on a text member. Without stringWildcards=false, % and _ in the value would
// stand for other characters, and a search for one key would find, and delete, another.
type textCriterion struct {
	FieldName       string `json:"fieldName"`
	StringTest      string `json:"stringTest"`
	StringValue     string `json:"stringValue"`
	StringWildcards bool   `json:"stringWildcards"`
}

// idCriterion is a condition on the ID, by which a long result is read a page at a time.
type idCriterion struct {
	IDTest  string `json:"idTest"`
	IDValue int    `json:"idValue"`
}

// searchByName makes the body of a search for one name.
func searchByName(field, name string) search {
	return search{MaxItems: maxItems, Criteria: []any{textCriterion{FieldName: field, StringTest: "equal", StringValue: name}}}
}

// searchByPrefix makes the body of a search for names that begin with a prefix, of objects with a larger ID
// than the given one.
func searchByPrefix(field, prefix string, after int) search {
	return search{MaxItems: maxItems, SortByObjectID: true, Criteria: []any{
		textCriterion{FieldName: field, StringTest: "equal", StringValue: prefix + "%", StringWildcards: true},
		idCriterion{IDTest: "greater-than", IDValue: after},
	}}
}

// keysAnswer is the answer to a search for keys. Whether the list is empty or missing when there is no match
// is not documented; both read the same here.
type keysAnswer struct {
	APIKeys []apiKey `json:"apiKeys"`
}

// rolesAnswer is the answer to a search for administrator roles.
type rolesAnswer struct {
	Roles []struct {
		ID   int    `json:"ID"`
		Name string `json:"name"`
	} `json:"roles"`
}

// sessionRequest is the body of a login.
type sessionRequest struct {
	UserName   string `json:"userName"`
	Password   string `json:"password"`
	TenantName string `json:"tenantName,omitempty"`
	MFACode    string `json:"mfaCode,omitempty"`
}

// sessionAnswer is the answer to it; the other half of the session is the cookie sID.
type sessionAnswer struct {
	RID string `json:"RID"`
}

// errorText reads the vendor's message out of the body of an error, or returns "" for any other body.
func errorText(body []byte) string {
	var answer struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.Message
}
