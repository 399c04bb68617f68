package ftd

import "encoding/json"

// Values of grant_type at the token endpoint.
const (
	grantPassword = "password"
	grantCustom   = "custom_token"
	grantRefresh  = "refresh_token"
	grantRevoke   = "revoke_token"
)

// tokenType is the documented token_type. It applies when an answer has none.
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

// customGrant is the body that issues a custom token. With a refresh count of zero, the device issues no refresh token
// and does not need desired_refresh_expires_in.
type customGrant struct {
	GrantType           string `json:"grant_type"`
	AccessToken         string `json:"access_token"`
	DesiredExpiresIn    int64  `json:"desired_expires_in"`
	DesiredSubject      string `json:"desired_subject"`
	DesiredRefreshCount int    `json:"desired_refresh_count"`
}

// revokeGrant is the body of a revocation. Exactly one of TokenToRevoke and SubjectToRevoke is set.
type revokeGrant struct {
	GrantType       string `json:"grant_type"`
	AccessToken     string `json:"access_token"`
	TokenToRevoke   string `json:"token_to_revoke,omitempty"`
	SubjectToRevoke string `json:"custom_token_subject_to_revoke,omitempty"`
}

// tokenAnswer is the answer to every grant except a revocation. Lifetimes are in seconds. If there is no refresh token,
// its two members may be absent, null or empty, which decode to the same values.
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

// usersAnswer is the part of the answer to GET /object/users that a check reads.
type usersAnswer struct {
	Items []struct {
		Name   string `json:"name"`
		Role   string `json:"userRole"`
		Source string `json:"identitySourceId"`
	} `json:"items"`
}

// sessionsAnswer is the part of the answer to GET /action/activeusersessions that the driver reads.
type sessionsAnswer struct {
	Items []struct {
		ID        string          `json:"id"`
		UserName  string          `json:"userName"`
		ExpiresAt json.RawMessage `json:"expiresAt"`
	} `json:"items"`
	Paging struct {
		Count int `json:"count"` // of all pages
	} `json:"paging"`
}
