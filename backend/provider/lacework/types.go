package lacework

import (
	"encoding/json"
)

// tokenRequest is the body of POST /api/v2/access/tokens. The guide calls expiryTime optional, the OpenAPI
// document required; every known client sends it, and so do we.
type tokenRequest struct {
	KeyID      string `json:"keyId"`
	ExpiryTime int64  `json:"expiryTime"` // seconds
}

// tokenAnswer is the answer to it, which unlike most of this API has no "data" around it.
type tokenAnswer struct {
	Token     string `json:"token"`
	ExpiresAt string `json:"expiresAt"` // RFC 3339, on the product's clock
}

// profileAnswer is the answer to GET /api/v2/UserProfile.
type profileAnswer struct {
	Data []userProfile `json:"data"`
}

// userProfile says whose token it is. Member names as in the vendor's Go client.
type userProfile struct {
	Username   string            `json:"username"`
	URL        string            `json:"url"`
	OrgAccount bool              `json:"orgAccount"`
	OrgAdmin   bool              `json:"orgAdmin"`
	Accounts   []json.RawMessage `json:"accounts"`
}

// errorText reads the vendor's message out of the body of an error: {"message"} is documented, and the
// vendor's Go client still reads an older envelope, whose outer message says only that it failed. It
// returns "" for any other body.
func errorText(body []byte) string {
	var answer struct {
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var inner struct {
		Message       string `json:"message"`
		StatusMessage string `json:"statusMessage"`
		ErrorMsg      string `json:"ErrorMsg"`
	}
	if len(answer.Data) > 0 && json.Unmarshal(answer.Data, &inner) == nil {
		for _, text := range []string{inner.Message, inner.StatusMessage, inner.ErrorMsg} {
			if text != "" {
				return text
			}
		}
	}
	return answer.Message
}
