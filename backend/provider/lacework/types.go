package lacework

import (
	"encoding/json"
)

// tokenRequest is the body of POST /api/v2/access/tokens. The vendor's guide calls expiryTime optional, the OpenAPI
// document calls it required. Every known client sends it, and so does this one.
type tokenRequest struct {
	KeyID      string `json:"keyId"`
	ExpiryTime int64  `json:"expiryTime"` // seconds
}

// tokenResponse is the answer to a tokenRequest. Unlike most answers of this API, it is not wrapped in "data".
type tokenResponse struct {
	Token     string `json:"token"`
	ExpiresAt string `json:"expiresAt"` // RFC 3339, on the product's clock
}

// profileResponse is the answer to GET /api/v2/UserProfile.
type profileResponse struct {
	Data []userProfile `json:"data"`
}

// userProfile describes the user of a token. The names of the members are those of the vendor's Go client.
type userProfile struct {
	Username   string            `json:"username"`
	URL        string            `json:"url"`
	OrgAccount bool              `json:"orgAccount"`
	OrgAdmin   bool              `json:"orgAdmin"`
	Accounts   []json.RawMessage `json:"accounts"`
}
