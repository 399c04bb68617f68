package fortianalyzer

import (
	"encoding/json"
)

// Values of grant_type at the OAuth server. Its refresh grant is not used: sessions outlive their token.
const grantPassword = "password"

// tokenRequest is the body that asks for an access token. There is no client secret: the application is a
// public one.
type tokenRequest struct {
	Username  string `json:"username"`
	Password  string `json:"password"`
	ClientID  string `json:"client_id"`
	GrantType string `json:"grant_type"`
}

// tokenAnswer is the answer to it, as far as it is read. expires_in differs between the vendor's documents,
// and the token is used at once.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
}

// revokeRequest is the body that revokes an access token.
type revokeRequest struct {
	ClientID string `json:"client_id"`
	Token    string `json:"token"`
}

// loginRequest is the body that exchanges an access token for a session.
type loginRequest struct {
	AccessToken string `json:"access_token"`
}

// loginAnswer is the answer to it, which is no JSON-RPC envelope.
type loginAnswer struct {
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

type rpcParam struct {
	URL string `json:"url"`
}

// rpcEnvelope is the envelope of its answer, with one result for each of the params.
type rpcEnvelope struct {
	Result []struct {
		Data   json.RawMessage `json:"data"`
		Status *struct {
			Code    *int   `json:"code"` // its absence is not the zero of success
			Message string `json:"message"`
		} `json:"status"`
	} `json:"result"`
}

// The codes of a result that are documented.
const (
	codeOK = 0
	// codeNoPermission means that the session is unknown or has ended, as well as that its user lacks the
	// permission.
	codeNoPermission = -11
)

// refusal is what the body of an error says, as far as it can be read.
type refusal struct {
	code int // of {"status": {"code"}} or {"error": {"code"}}
	text string
}

// readRefusal reads the body of an error of either server. Its shape is not documented; all that published
// clients and guides show are understood: {"error", "error_description"}, {"status", "message"}, and an
// object {"code", "message"} as status or error. It is zero for any other body.
func readRefusal(body []byte) refusal {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return refusal{}
	}
	var said refusal
	for _, name := range []string{"error_description", "error", "message"} {
		var text string
		if json.Unmarshal(members[name], &text) == nil && text != "" {
			said.text = text
			break
		}
	}
	for _, name := range []string{"status", "error"} {
		var inner struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		if json.Unmarshal(members[name], &inner) != nil || inner.Code == 0 {
			continue
		}
		said.code = inner.Code
		if said.text == "" {
			said.text = inner.Message
		}
		break
	}
	return said
}
