package fortianalyzer

import (
	"encoding/json"
)

// Values of grant_type: a login with a password, and one with the refresh token of an earlier login.
const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
)

// tokenRequest is the body of the request for an access token. It contains no client secret, because the application
// is a public OAuth client.
type tokenRequest struct {
	Username     string `json:"username,omitempty"`
	Password     string `json:"password,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ClientID     string `json:"client_id"`
	GrantType    string `json:"grant_type"`
}

// tokenResponse contains the members that are read of the answer to a tokenRequest. Whether an answer to a refresh
// contains a refresh token differs between the vendor's documents.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int64  `json:"expires_in"`
}

// revokeRequest is the body of the request that revokes an access token.
type revokeRequest struct {
	ClientID string `json:"client_id"`
	Token    string `json:"token"`
}

// loginRequest is the body of the request that exchanges an access token for a session.
type loginRequest struct {
	AccessToken string `json:"access_token"`
}

// loginResponse is the answer to a loginRequest. It is not a JSON-RPC envelope.
type loginResponse struct {
	Session string `json:"session"`
}

// rpcRequest is the envelope of a JSON-RPC call.
type rpcRequest struct {
	ID      int        `json:"id"`
	Method  string     `json:"method"`
	Params  []rpcParam `json:"params"`
	Session string     `json:"session"`
	Verbose int        `json:"verbose"`
}

// rpcParam names the resource of a JSON-RPC call.
type rpcParam struct {
	URL string `json:"url"`
}

// rpcResponse is the envelope of the answer to an rpcRequest, with one result for each of the params.
type rpcResponse struct {
	Result []struct {
		Data   json.RawMessage `json:"data"`
		Status *struct {
			Code    *int   `json:"code"` // nil when absent, since 0 means success
			Message string `json:"message"`
		} `json:"status"`
	} `json:"result"`
}

// The documented codes of a result.
const (
	codeOK = 0
	// codeNoPermission has two meanings: the session is unknown or has ended, or its user lacks the permission.
	codeNoPermission = -11
)
