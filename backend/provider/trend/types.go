package trend

import "encoding/json"

// newKey is the request body that creates an API key. The manager sets its defaults for absent members.
type newKey struct {
	KeyName     string `json:"keyName"`
	Description string `json:"description,omitempty"`
	RoleID      int    `json:"roleID"`
	Locale      string `json:"locale,omitempty"`
	TimeZone    string `json:"timeZone,omitempty"`
	ExpiryDate  int64  `json:"expiryDate,omitempty"` // milliseconds on the manager's clock
}

// keyChange is the request body that modifies an API key. All other members stay unchanged.
type keyChange struct {
	ExpiryDate int64 `json:"expiryDate"`
}

// apiKey holds the members of an API key that the driver reads. Recorded responses omit unset members.
type apiKey struct {
	ID         int    `json:"ID"`
	KeyName    string `json:"keyName"`
	RoleID     int    `json:"roleID"`
	Active     *bool  `json:"active"`
	Created    int64  `json:"created"` // milliseconds on the manager's clock
	ExpiryDate *int64 `json:"expiryDate"`
	SecretKey  string `json:"secretKey"` // only in the response to a creation
}

// locked reports whether the key was locked out at the manager.
func (k *apiKey) locked() bool { return k.Active != nil && !*k.Active }

// lastExpiry is the year 9000, in milliseconds. A later time counts as no expiry: not every program can write a
// year of five digits.
const lastExpiry = 221_845_392_000_000

// expires reports whether the response contains an expiry. That 0 means no expiry is inferred.
func (k *apiKey) expires() bool {
	return k.ExpiryDate != nil && *k.ExpiryDate > 0 && *k.ExpiryDate < lastExpiry
}

// currentKey is the response to GET /apikeys/current, which describes the key that sent the request.
type currentKey struct {
	apiKey
	RoleURN           string          `json:"roleURN"`
	TenantID          json.RawMessage `json:"tenantID"`
	TenantGUID        string          `json:"tenantGUID"`
	CloudOneAccountID string          `json:"cloudOneAccountID"`
}

// search is the request body of a search. All criteria must match.
type search struct {
	MaxItems       int   `json:"maxItems"`
	SortByObjectID bool  `json:"sortByObjectID,omitempty"`
	Criteria       []any `json:"searchCriteria"` // of textCriterion and idCriterion
}

// textCriterion is a condition on a text member. StringWildcards must be sent even if it is false, since the
// manager's default is true: % and _ in the value would match other characters, and a search for one key would
// find, and then delete, another key.
type textCriterion struct {
	FieldName       string `json:"fieldName"`
	StringTest      string `json:"stringTest"`
	StringValue     string `json:"stringValue"`
	StringWildcards bool   `json:"stringWildcards"`
}

// idCriterion is a condition on the ID. With it, a long result is read page by page, and one key is found by its ID.
// That "equal" is one of its tests, as it is of the numeric conditions, is inferred.
type idCriterion struct {
	IDTest  string `json:"idTest"`
	IDValue int    `json:"idValue"`
}

// searchByName returns the request body of a search for one name.
func searchByName(field, name string) search {
	return search{MaxItems: pageSize, Criteria: []any{textCriterion{FieldName: field, StringTest: "equal", StringValue: name}}}
}

// searchByID returns the request body of a search for one ID.
func searchByID(id int) search {
	return search{MaxItems: 1, Criteria: []any{idCriterion{IDTest: "equal", IDValue: id}}}
}

// searchByPrefix returns the request body of a search for names that begin with prefix. It matches only objects
// with an ID larger than after.
func searchByPrefix(field, prefix string, after int) search {
	return search{MaxItems: pageSize, SortByObjectID: true, Criteria: []any{
		textCriterion{FieldName: field, StringTest: "equal", StringValue: prefix + "%", StringWildcards: true},
		idCriterion{IDTest: "greater-than", IDValue: after},
	}}
}

// keysResponse is the response to a search for keys. It is not documented whether a search without a match
// returns an empty list or omits the list. Both decode to an empty list.
type keysResponse struct {
	APIKeys []apiKey `json:"apiKeys"`
}

// rolesResponse is the response to a search for administrator roles.
type rolesResponse struct {
	Roles []struct {
		ID   int    `json:"ID"`
		Name string `json:"name"`
	} `json:"roles"`
}

// sessionRequest is the request body of a login.
type sessionRequest struct {
	UserName   string `json:"userName"`
	Password   string `json:"password"`
	TenantName string `json:"tenantName,omitempty"`
	MFACode    string `json:"mfaCode,omitempty"`
}

// sessionResponse is the response to a login. A session consists of the RID and the cookie sID.
type sessionResponse struct {
	RID string `json:"RID"`
}

// errorText returns the vendor's message from the body of an error response, or "" for any other body.
func errorText(body []byte) string {
	var response struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &response) != nil {
		return ""
	}
	return response.Message
}
