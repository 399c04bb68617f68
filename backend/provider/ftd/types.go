package ftd

import (
	"encoding/json"
	"strings"
)

// Values of grant_type at the token endpoint.
const (
	grantPassword = "password"
	grantCustom   = "custom_token"
	grantRefresh  = "refresh_token"
	grantRevoke   = "revoke_token"
)

// tokenType is the documented token_type, for an answer without one.
const tokenType = "Bearer"

// passwordGrant is the body of a login.
type passwordGrant struct {
	GrantType string `json:"grant_type"`
	Username  string `json:"username"`
	Password  string `json:"password"`
}

// refreshGrant is the body that exchanges a refresh token for a new pair.
type refreshGrant struct {
	GrantType    string `json:"grant_type"`
	RefreshToken string `json:"refresh_token"`
}

// customGrant is the body that makes a custom token. A refresh count of zero means no refresh token, and
// then desired_refresh_expires_in is not needed.
type customGrant struct {
	GrantType           string `json:"grant_type"`
	AccessToken         string `json:"access_token"`
	DesiredExpiresIn    int64  `json:"desired_expires_in"`
	DesiredSubject      string `json:"desired_subject"`
	DesiredRefreshCount int    `json:"desired_refresh_count"`
}

// revokeGrant is the body of a revocation. Exactly one of the last two is given.
type revokeGrant struct {
	GrantType       string `json:"grant_type"`
	AccessToken     string `json:"access_token"`
	TokenToRevoke   string `json:"token_to_revoke,omitempty"`
	SubjectToRevoke string `json:"custom_token_subject_to_revoke,omitempty"`
}

// tokenAnswer is the answer to every grant but a revocation. Lifetimes are in seconds. Without a refresh
// token its two members may be absent, null or empty; all three read the same here.
type tokenAnswer struct {
	AccessToken      string `json:"access_token"`
	ExpiresIn        int64  `json:"expires_in"`
	TokenType        string `json:"token_type"`
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
}

// versionsAnswer is the answer to GET /api/versions.
type versionsAnswer struct {
	SupportedVersions []string `json:"supportedVersions"`
}

// usersAnswer is the answer to GET /object/users, as far as it is read.
type usersAnswer struct {
	Items []struct {
		Name string `json:"name"`
		Role string `json:"userRole"`
	} `json:"items"`
}

// sessionsAnswer is the answer to GET /action/activeusersessions, as far as it is read.
type sessionsAnswer struct {
	Items []struct {
		ID        string          `json:"id"`
		UserName  string          `json:"userName"`
		ExpiresAt json.RawMessage `json:"expiresAt"`
	} `json:"items"`
	Paging struct {
		Count int `json:"count"` // on all pages together
	} `json:"paging"`
}

// errorText reads the vendor's message out of the body of an error, of either documented shape: the token
// endpoint's status and the resources' wrapper. It returns "" for any other body.
func errorText(body []byte) string {
	var answer struct {
		Message string `json:"message"`
		Error   struct {
			Messages []struct {
				Description string `json:"description"`
			} `json:"messages"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var texts []string
	for _, message := range answer.Error.Messages {
		if message.Description != "" {
			texts = append(texts, message.Description)
		}
	}
	if len(texts) > 0 {
		return strings.Join(texts, "; ")
	}
	return answer.Message
}
